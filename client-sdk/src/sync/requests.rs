//! Requests: what a device does for the person who asks and for the one who takes it on, by itself,
//! durably, once.
//!
//! Everything hangs on messages of the log, appointments and notes, and happens in the transaction that
//! stores the message or takes the appointment: a device that stops in between goes on where it was.
//!
//! - [`ask`]: posting a request; what its device keeps of it ([`Asked`](ask::Asked));
//! - [`act`]: steps that a person takes;
//! - [`claims`]: the hub's register, for requests to several groups;
//! - [`follow`]: what the device that asked notes of the steps of others;
//! - [`settle`]: what it owes for that: tells the other groups, hands the identity over, again until it is
//!   done;
//! - [`widening`]: what happens at its time if nobody owns it.

use cercle_proto::id::{GroupId, TimestampMs};

use super::{Cx, Step};
use crate::{
    event::{Event, Message},
    message::{self, Body, Draft, RequestId, transition::Action},
    thread::requests::Course,
};

mod act;
mod ask;
mod claims;
mod follow;
mod settle;
mod widening;

impl Cx<'_, '_> {
    /// A message about a request is stored at its place in the log.
    pub(crate) fn request_stored(&mut self, message: &Message) -> Step {
        let (request, transition) = match &message.body {
            Body::Request(request) => (request.id, None),
            Body::Transition(transition) => (transition.request, Some(transition)),
            Body::Handover(handover) => {
                self.emit(Event::RequestHandedOver { group: message.group, request: handover.request });
                return self.identity_told(message, handover.request);
            }
            _ => return Ok(()),
        };
        let Some(course) = self.course(message.group, request)? else { return Ok(()) };
        let last = course.history.last().map(|step| step.message);
        if let Some(transition) = transition
            && last != Some(message.id)
        {
            // It did not count.
            if message.own && matches!(transition.action, Action::Claim { .. }) {
                self.claim_lost(request, &course);
            }
            return if message.own { self.settle_request(request) } else { Ok(()) };
        }
        let state = course.state_at(self.now);
        self.emit(Event::RequestChanged { group: message.group, request, state });
        match transition {
            _ if message.exported_by.is_some() => Ok(()),
            Some(transition) => self.follow_request(&transition.action, &course),
            None => self.settle_request(request),
        }
    }

    /// The life of a request in a group.
    pub(crate) fn course(&mut self, group: GroupId, request: RequestId) -> Step<Option<Course>> {
        Ok(self.m.thread(self.tx, group)?.requests.get(request).cloned())
    }

    /// The life of a request in each group where this device knows it.
    pub(crate) fn courses(&mut self, request: RequestId) -> Step<Vec<Course>> {
        let groups: Vec<GroupId> = self.m.groups.keys().copied().collect();
        let mut courses = Vec::new();
        for group in groups {
            courses.extend(self.course(group, request)?);
        }
        Ok(courses)
    }

    /// Queues a message that this device writes by itself; what it may not write is left out.
    fn post(&mut self, group: GroupId, body: Body) -> Step {
        if self.usable(group).is_err() {
            return Ok(());
        }
        match message::compose(&Draft::from(body), self.now) {
            Ok(content) => self.queue(group, &content).map(drop),
            Err(error) => {
                tracing::error!(group.id = ?group, %error, "a step of a request cannot be written");
                Ok(())
            }
        }
    }
}

/// Whether a request's time is over.
fn is_over(expires_ms: Option<TimestampMs>, now: TimestampMs) -> bool {
    expires_ms.is_some_and(|expires| now > expires)
}
