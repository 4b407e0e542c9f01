//! What was asked in a group and what became of it: one pure function of its messages in log order.
//!
//! Every device of the group comes to the same owner and the same state, because it looks at nothing but
//! the messages, their senders (as certificates say), the hub's times, and the pinned root under which
//! receipts of registers verify. A step that the rules ([`rules`]) do not allow is ignored everywhere.
//! Read by boards, the timeline of a patient, and the automations of the device that asked.

use std::collections::BTreeMap;

use cercle_proto::{certificate::Root, id::UserId};

use crate::{
    event::Message,
    limits,
    message::{Body, Handover, Patient, Request, RequestId, Transition},
};

mod course;
mod rules;

pub use course::{Course, Owner, Standing, State, Step};
pub use rules::Refusal;
pub(crate) use rules::{Author, judge};

/// What was asked in a group.
#[derive(Debug, Default)]
pub struct Requests {
    root: Option<Root>,
    courses: BTreeMap<RequestId, Course>,
    handovers: BTreeMap<RequestId, HandedOver>,
}

/// An identity that was handed over in this group. Whether the requester sent it is for the reader to
/// compare: the request is in another group.
#[derive(Clone, PartialEq, Eq)]
pub struct HandedOver {
    /// Who sent it.
    pub from: UserId,
    /// The patient.
    pub patient: Patient,
}

crate::message::kind::hidden!(HandedOver);

impl Requests {
    /// The root under which receipts must verify; without one no receipt counts. Set before the first
    /// message is applied.
    pub(crate) fn trust(&mut self, root: Root) {
        self.root = Some(root);
    }

    /// Takes the next message of the log.
    pub(crate) fn apply(&mut self, message: &Message) {
        match &message.body {
            Body::Request(request) => self.asked(message, request),
            Body::Transition(transition) => self.step(message, transition),
            Body::Handover(handover) => self.handed_over(message, handover),
            _ => {}
        }
    }

    /// The life of a request of this group.
    #[must_use]
    pub fn get(&self, request: RequestId) -> Option<&Course> {
        self.courses.get(&request)
    }

    /// Every request of this group, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Course> {
        self.courses.values()
    }

    /// The identity that was handed over here for a request, if it was.
    #[must_use]
    pub fn handover(&self, request: RequestId) -> Option<&HandedOver> {
        self.handovers.get(&request)
    }

    /// What a step would lead to.
    ///
    /// # Errors
    /// Why it would be ignored.
    pub(crate) fn judge(&self, author: &Author<'_>, transition: &Transition) -> Result<Standing, Refusal> {
        let course = self.courses.get(&transition.request).ok_or(Refusal::Unknown)?;
        judge(course, author, &transition.action, self.root.as_ref())
    }

    /// The first message with an id makes the request; a later one, of whomever, changes nothing.
    fn asked(&mut self, message: &Message, request: &Request) {
        self.courses.entry(request.id).or_insert_with(|| Course::new(message, request));
    }

    fn step(&mut self, message: &Message, transition: &Transition) {
        let author = Author { user: &message.sender, device: message.device, at_ms: message.at_ms };
        let Ok(mut standing) = self.judge(&author, transition) else { return };
        let Some(course) = self.courses.get_mut(&transition.request) else { return };
        if course.history.len() >= limits::STEPS_PER_REQUEST_MAX {
            return;
        }
        if let Some(owner) = standing.owner.as_mut().filter(|owner| owner.user == message.sender) {
            owner.name.clone_from(&message.display_name);
        }
        course.history.push(Step::new(message, transition, standing.state));
        course.standing = standing;
    }

    fn handed_over(&mut self, message: &Message, handover: &Handover) {
        let Handover { request, patient } = handover.clone();
        // The first one counts: nobody else can put another patient in its place.
        let from = message.sender.clone();
        self.handovers.entry(request).or_insert(HandedOver { from, patient });
    }
}
