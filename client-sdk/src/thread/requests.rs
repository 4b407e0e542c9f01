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
    message::{Body, Patient, Request, RequestId, Transition},
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
    /// By request and sender: nobody can put a patient in the place of the one that the requester names.
    handovers: BTreeMap<(RequestId, UserId), Patient>,
}

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
            Body::Handover(handover) => {
                let key = (handover.request, message.sender.clone());
                self.handovers.insert(key, handover.patient.clone());
            }
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

    /// The patient whom this user has named here for a request of another group.
    #[must_use]
    pub fn handed_over(&self, request: RequestId, by: &UserId) -> Option<&Patient> {
        self.handovers.get(&(request, by.clone()))
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
        let author = Author { user: &message.sender, at_ms: message.at_ms };
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
}
