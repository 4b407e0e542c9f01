//! Steps that a person takes: checked against what this device knows, then queued where they count.

use super::super::{Cx, Step};
use crate::{
    core::{Act, Outcome},
    error::Error,
    limits,
    message::{self, Body, Draft, Kind as _, Transition, transition::Action},
    mls::identity::Myself,
    thread::requests::{Author, Refusal},
};

impl Cx<'_, '_> {
    /// Takes a step. A claim of a request to several groups goes to the hub's register first.
    pub(crate) fn act(&mut self, id: u64, act: Act) -> Step<Result<(), Error>> {
        let Some(me) = self.m.me.clone() else { return Ok(Err(Error::NotEnrolled)) };
        let Act { request, action, situation } = act;
        let transition = Transition { request, action, situation };
        if let Err(error) = transition.check() {
            return Ok(Err(error));
        }
        let outcome = match &transition.action {
            Action::Claim { .. } if self.is_wide(&transition)? => self.begin_claim(&me, &transition)?,
            Action::Widen { groups } => {
                let groups = groups.clone();
                self.widen_by_hand(&me, &transition, &groups)?
            }
            _ => self.post_step(&me, &transition)?,
        };
        match outcome {
            Ok(outcome) => {
                self.finish(id, Ok(outcome));
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    fn is_wide(&mut self, transition: &Transition) -> Step<bool> {
        Ok(self.courses(transition.request)?.iter().any(|course| course.is_wide()))
    }

    /// Queues a step in every group where it counts: for an owner that is the group where he took it on,
    /// for a requester all of them.
    fn post_step(&mut self, me: &Myself, transition: &Transition) -> Step<Result<Outcome, Error>> {
        let courses = self.courses(transition.request)?;
        let author = Author { user: &me.identity.user, at_ms: self.now };
        let mut refusal = Refusal::Unknown;
        let mut groups = Vec::new();
        for course in &courses {
            let thread = self.m.thread(self.tx, course.group)?;
            match thread.requests.judge(&author, transition) {
                Ok(_) => groups.push(course.group),
                Err(why) => refusal = why,
            }
        }
        groups.retain(|group| self.usable(*group).is_ok());
        if groups.is_empty() {
            return Ok(Err(refusal.into()));
        }
        if self.tx.outbox_length()? + groups.len() as u64 > limits::OUTBOX_MESSAGES_MAX {
            return Ok(Err(Error::OutboxFull));
        }
        let content =
            match message::compose(&Draft::from(Body::Transition(Box::new(transition.clone()))), self.now) {
                Ok(content) => content,
                Err(error) => return Ok(Err(error)),
            };
        let mut first = None;
        for group in groups {
            let message = self.queue(group, &content)?;
            first = first.or(Some(message));
        }
        Ok(first.map(Outcome::Queued).ok_or(Error::Request(Refusal::Unknown)))
    }
}
