//! What happens at its time if nobody owns a request: more groups are asked, or it ends.
//!
//! The device that asked decides, and only when it has read everything: somebody may have taken the
//! request on while it was not connected.

use cercle_proto::id::GroupId;

use super::{
    super::{Cx, Step},
    ask::Asked,
    is_over,
};
use crate::{
    core::Outcome,
    error::Error,
    event::Event,
    message::{
        Body, RequestId, Transition,
        request::{Audience, Situation},
        transition::Action,
    },
    mls::identity::Myself,
    thread::requests::{Refusal, State},
};

impl Cx<'_, '_> {
    /// The time of a step of the plan has come.
    pub(crate) fn widening_due(&mut self, request: RequestId, step: u32) -> Step {
        let Some(mut asked) = self.asked(request)? else { return Ok(()) };
        if self.m.session.caught_up {
            return self.widen_by_plan(request, asked, step);
        }
        asked.late.push(step);
        self.write_asked(request, &asked)
    }

    /// This device has read everything: steps whose time came before are decided.
    pub(crate) fn widen_late(&mut self) -> Step {
        for (request, mut asked) in self.all_asked()? {
            let late = std::mem::take(&mut asked.late);
            if late.is_empty() {
                continue;
            }
            self.write_asked(request, &asked)?;
            for step in late {
                self.widening_due(request, step)?;
            }
        }
        Ok(())
    }

    /// The end of a request has come: the app is told if nobody has it.
    pub(crate) fn request_expires(&mut self, request: RequestId) -> Step {
        for course in self.courses(request)? {
            if course.state_at(self.now) == State::Expired {
                self.emit(Event::RequestChanged { group: course.group, request, state: State::Expired });
            }
        }
        Ok(())
    }

    /// Nothing more can come of a request that has ended: what was kept of whom it was about goes. If
    /// somebody has it, it is kept until he is done.
    pub(crate) fn forget_request(&mut self, request: RequestId) -> Step {
        match self.asked(request)? {
            Some(asked) if asked.taken.is_none() => self.forget_asked(request),
            _ => Ok(()),
        }
    }

    /// The requester asks more groups at once.
    pub(super) fn widen_by_hand(
        &mut self,
        me: &Myself,
        transition: &Transition,
        groups: &[GroupId],
    ) -> Step<Result<Outcome, Error>> {
        let request = transition.request;
        for group in groups {
            if let Err(error) = self.usable(*group) {
                return Ok(Err(error));
            }
        }
        let courses = self.courses(request)?;
        let Some(course) = courses.iter().find(|course| course.requester == me.identity.user) else {
            let refusal = if courses.is_empty() { Refusal::Unknown } else { Refusal::NotYours };
            return Ok(Err(refusal.into()));
        };
        match (course.state_at(self.now), &course.standing.owner) {
            (State::Open, _) if course.is_wide() => {}
            (State::Expired, _) => return Ok(Err(Refusal::Expired.into())),
            (state, Some(owner)) if state.is_owned() => {
                return Ok(Err(Refusal::Owned(owner.clone()).into()));
            }
            _ => return Ok(Err(Refusal::NotPossible.into())),
        }
        // Another device of the requester has the plan and the other groups.
        let Some(asked) = self.asked(request)? else { return Ok(Err(Refusal::NotYours.into())) };
        self.widen(request, asked, groups, &transition.situation)?;
        Ok(Ok(Outcome::Done))
    }

    fn widen_by_plan(&mut self, request: RequestId, asked: Asked, step: u32) -> Step {
        let Some(posted) = asked.request() else { return Ok(()) };
        let Audience::Several(several) = &posted.audience else { return Ok(()) };
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        let Some(widening) = several.widening.get(step) else { return Ok(()) };
        if asked.taken.is_some() || is_over(posted.expires_ms, self.now) {
            return Ok(());
        }
        for course in self.courses(request)? {
            if course.standing.state != State::Open {
                return Ok(());
            }
        }
        self.widen(request, asked, &widening.groups, &posted.situation)
    }

    /// Posts the request in groups that have not seen it, and tells those that have.
    fn widen(
        &mut self,
        request: RequestId,
        mut asked: Asked,
        groups: &[GroupId],
        situation: &Situation,
    ) -> Step {
        let known = asked.groups();
        let fresh = groups.iter().filter(|group| !known.contains(group) && self.usable(**group).is_ok());
        let fresh: Vec<GroupId> = fresh.copied().collect();
        let Some(posted) = asked.request().filter(|_| !fresh.is_empty()) else { return Ok(()) };
        for group in &fresh {
            self.post(*group, Body::Request(Box::new(posted.clone())))?;
        }
        for group in known {
            let action = Action::Widen { groups: fresh.clone() };
            let widened = Transition { request, action, situation: situation.clone() };
            self.post(group, Body::Transition(Box::new(widened)))?;
        }
        asked.add_groups(&fresh);
        self.write_asked(request, &asked)
    }
}
