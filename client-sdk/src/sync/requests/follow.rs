//! What the device that asked does about the steps of others.
//!
//! It alone knows every group of a request, and whom the request is about: it tells the other groups who
//! has it (with the hub's receipt, so that nobody must believe it), gives the request a fresh register when
//! the owner lets go, and hands the identity to the owner alone.

use cercle_proto::id::{GroupId, RegisterId, UserId};

use super::{
    super::{Cx, Step},
    ask::Asked,
};
use crate::{
    event::Message,
    message::{
        Body, Handover, RequestId, Transition,
        request::{Audience, Situation},
        transition::Action,
    },
    thread::requests::{Course, Owner, State},
};

impl Cx<'_, '_> {
    /// A step that counts is stored; `course` is the request after it.
    pub(super) fn follow_request(&mut self, message: &Message, action: &Action, course: &Course) -> Step {
        let request = course.request.id;
        let own = self.m.me.as_ref().is_some_and(|me| me.identity.user == course.requester);
        if !own {
            return Ok(());
        }
        let Some(mut asked) = self.asked(request)? else { return Ok(()) };
        match (&course.standing.owner, course.standing.state) {
            (_, State::Completed | State::Cancelled) => {
                if message.sender != course.requester {
                    self.tell_others(
                        &asked,
                        message.group,
                        request,
                        &Action::Complete { report: String::new(), documents: Vec::new() },
                    )?;
                }
                self.forget_asked(request)
            }
            (Some(owner), _) if matches!(action, Action::Claim { .. }) && !owner.elsewhere => {
                self.claimed_by(request, &mut asked, owner, message.group, action)
            }
            (None, State::Open) if asked.owner.is_some() => self.let_go(request, &mut asked),
            _ => Ok(()),
        }
    }

    /// Somebody has it: tells the other groups, and tells him whom it is about.
    fn claimed_by(
        &mut self,
        request: RequestId,
        asked: &mut Asked,
        owner: &Owner,
        home: GroupId,
        action: &Action,
    ) -> Step {
        if asked.owner.as_deref() == Some(owner.user.as_str()) {
            // He has said it in two groups.
            return Ok(());
        }
        asked.owner = Some(owner.user.as_str().to_owned());
        if let Action::Claim { receipt: Some(receipt), .. } = action {
            let (receipt, owner_name) = (Some(receipt.clone()), owner.name.clone());
            self.tell_others(asked, home, request, &Action::Claim { receipt, owner_name })?;
        }
        self.write_asked(request, asked)?;
        self.hand_over_identity(request, asked, &owner.user)
    }

    fn hand_over_identity(&mut self, request: RequestId, asked: &Asked, owner: &UserId) -> Step {
        let Some(patient) = asked.patient.clone() else { return Ok(()) };
        match self.direct_with(owner)? {
            Ok(thread) => self.post(thread, Body::Handover(Box::new(Handover { request, patient }))),
            Err(error) => {
                tracing::error!(%error, "there is no thread with the owner of a request");
                Ok(())
            }
        }
    }

    /// The owner has let go: others may have it, under a fresh register if one decides.
    fn let_go(&mut self, request: RequestId, asked: &mut Asked) -> Step {
        asked.owner = None;
        if let Some(mut posted) = asked.request()
            && let Audience::Several(several) = &mut posted.audience
        {
            let register = RegisterId::new(self.random());
            several.register = register;
            asked.renew(posted, self.now);
            for group in asked.groups() {
                let action = Action::Reopen { register };
                self.post(group, step(request, action))?;
            }
        }
        self.write_asked(request, asked)
    }

    fn tell_others(&mut self, asked: &Asked, home: GroupId, request: RequestId, action: &Action) -> Step {
        for group in asked.groups().into_iter().filter(|group| *group != home) {
            self.post(group, step(request, action.clone()))?;
        }
        Ok(())
    }
}

/// A step that the device takes by itself.
pub(super) fn step(request: RequestId, action: Action) -> Body {
    Body::Transition(Box::new(Transition { request, action, situation: Situation::default() }))
}
