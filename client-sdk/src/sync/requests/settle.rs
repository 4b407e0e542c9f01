//! What the device that asked owes: every group knows who has the request and how it ended (with the hub's
//! receipt, so that nobody must believe it), and the owner alone knows whom it is about.
//!
//! What is owed is the difference between the device's note and what the logs say, so nothing of it can be
//! lost or said twice: it is looked at after every step, when somebody could be added to a group, and, while
//! something cannot be done (a group is closed to this device, the owner has no device that can be added), at
//! appointments that become rarer and end.

use cercle_proto::id::{GroupId, RegisterId, UserId};

use super::{
    super::{Cx, Step, agenda::Appointment, outbox::queued_body},
    ask::Asked,
};
use crate::{
    event::Message,
    limits,
    message::{Body, Handover, RequestId, Transition, transition::Action},
    thread::requests::{Author, Course, State},
};

impl Cx<'_, '_> {
    /// Does what is owed for an own request and can be done, and makes an appointment for the rest.
    pub(crate) fn settle_request(&mut self, request: RequestId) -> Step {
        let Some(asked) = self.asked(request)? else { return Ok(()) };
        let mut owes = false;
        for group in asked.groups() {
            owes |= self.tell_group(request, &asked, group)?;
        }
        owes |= self.tell_owner(request, &asked)?;
        let Some(mut asked) = self.asked(request)? else { return Ok(()) };
        let given_up = asked.tries >= limits::SETTLE_TRIES_MAX;
        if asked.ended.is_some() && (!owes || given_up) {
            return self.forget_asked(request);
        }
        if !owes || given_up || asked.waits {
            return Ok(());
        }
        let (first, longest) = limits::SETTLE_DELAY_MS;
        let delay = (first << asked.tries.min(16)).min(longest);
        asked.waits = true;
        self.write_asked(request, &asked)?;
        self.remind(self.now + delay, &Appointment::SettleRequest { request })
    }

    /// The time to try again has come.
    pub(crate) fn settle_due(&mut self, request: RequestId) -> Step {
        let Some(mut asked) = self.asked(request)? else { return Ok(()) };
        asked.waits = false;
        asked.tries += 1;
        self.write_asked(request, &asked)?;
        self.settle_request(request)
    }

    /// Somebody was added to a group: he may be an owner who could not be told.
    pub(crate) fn somebody_was_added(&mut self) -> Step {
        for (request, asked) in self.all_asked()? {
            if asked.taken.is_some_and(|taken| !taken.told) {
                self.settle_request(request)?;
            }
        }
        Ok(())
    }

    /// A message that says whom a request is about is in the log.
    pub(super) fn identity_told(&mut self, message: &Message, request: RequestId) -> Step {
        let Some(mut asked) = self.asked(request)?.filter(|_| message.own) else { return Ok(()) };
        let members = self.others_in(message.group)?;
        if let Some(taken) = &mut asked.taken
            && members.iter().any(|user| user.as_str() == taken.user)
        {
            taken.told = true;
            self.write_asked(request, &asked)?;
        }
        self.settle_request(request)
    }

    /// Says the next thing that a group does not know; true if there was one.
    fn tell_group(&mut self, request: RequestId, asked: &Asked, group: GroupId) -> Step<bool> {
        let Some(course) = self.course(group, request)? else { return Ok(false) };
        let Some(owed) = self.owed_to(asked, &course)? else { return Ok(false) };
        if !self.speaks_of(group, request)? {
            self.post(group, Body::Transition(Box::new(owed)))?;
        }
        Ok(true)
    }

    /// The next step that a group needs to know what this device knows, in the situation of who asked: it is
    /// his word that the device gives.
    fn owed_to(&mut self, asked: &Asked, course: &Course) -> Step<Option<Transition>> {
        let (Some(me), Some(posted)) = (self.m.me.clone(), asked.request()) else { return Ok(None) };
        let Some(register) = posted.audience.register() else { return Ok(None) };
        let author = Author { user: &me.identity.user, at_ms: self.now };
        let requests = &self.m.thread(self.tx, course.group)?.requests;
        let mut steps = owed(asked, course, register).into_iter().map(|action| Transition {
            request: course.request.id,
            action,
            situation: posted.situation.clone(),
        });
        Ok(steps.find(|step| requests.judge(&author, step).is_ok()))
    }

    /// Says to the owner whom the request is about; true if he is still to be told.
    fn tell_owner(&mut self, request: RequestId, asked: &Asked) -> Step<bool> {
        let (Some(patient), Some(taken)) = (&asked.patient, &asked.taken) else { return Ok(false) };
        let Some(owner) = UserId::parse(&taken.user).ok().filter(|_| !taken.told) else { return Ok(false) };
        let mut thread = self.circle_shared_with(patient, &owner)?;
        if thread.is_none() {
            thread = match self.direct_with(&owner)? {
                // He is told when he is in: what is said before, he can never read.
                Ok(direct) => self.others_in(direct)?.contains(&owner).then_some(direct),
                Err(error) => {
                    tracing::warn!(%error, "there is no thread with the owner of a request yet");
                    None
                }
            };
        }
        if let Some(thread) = thread
            && !self.speaks_of(thread, request)?
        {
            let handover = Handover { request, patient: patient.clone() };
            self.post(thread, Body::Handover(Box::new(handover)))?;
        }
        Ok(true)
    }

    /// Whether something about a request is on its way into a group; what follows is decided when it is
    /// there.
    fn speaks_of(&self, group: GroupId, request: RequestId) -> Step<bool> {
        let rows = self.tx.outbox_of(group, 0, usize::MAX >> 1)?;
        Ok(rows.iter().any(|row| match queued_body(&row.content) {
            Body::Request(posted) => posted.id == request,
            Body::Transition(step) => step.request == request,
            Body::Handover(handover) => handover.request == request,
            _ => false,
        }))
    }
}

/// What a group may have to be told, in this order.
fn owed(asked: &Asked, course: &Course, register: RegisterId) -> Vec<Action> {
    let mut steps = Vec::new();
    if course.standing.register != Some(register) {
        steps.push(Action::Reopen { register });
    }
    if let Some(taken) = &asked.taken {
        steps.push(Action::Claim { receipt: taken.receipt.clone(), owner_name: taken.name.clone() });
    }
    match asked.ended {
        Some(State::Cancelled) => steps.push(Action::Cancel { reason: String::new() }),
        Some(_) => steps.push(Action::Complete { report: String::new(), documents: Vec::new() }),
        None => {}
    }
    steps
}
