//! What the device that asked notes of the steps of others.
//!
//! It alone knows every group of a request, and whom the request is about. It notes who has it and how it
//! ended; what it owes the groups and the owner for that follows from the note ([`super::settle`]).

use cercle_proto::id::RegisterId;

use super::{
    super::{Cx, Step},
    ask::{Asked, Taken},
};
use crate::{
    message::{request::Audience, transition::Action},
    thread::requests::{Course, State},
};

impl Cx<'_, '_> {
    /// A step that counts is stored; `course` is the request after it.
    pub(super) fn follow_request(&mut self, action: &Action, course: &Course) -> Step {
        let request = course.request.id;
        let own = self.m.me.as_ref().is_some_and(|me| me.identity.user == course.requester);
        if !own {
            return Ok(());
        }
        let Some(mut asked) = self.asked(request)? else { return Ok(()) };
        asked.tries = 0;
        let at_home = asked.taken.as_ref().is_none_or(|taken| taken.home == *course.group.as_bytes());
        match (&course.standing.owner, course.standing.state) {
            (_, state @ (State::Completed | State::Cancelled)) => {
                asked.ended = Some(state);
                asked.patient = None;
            }
            (Some(owner), _) if asked.taken.is_none() && !owner.elsewhere => {
                let receipt = match action {
                    Action::Claim { receipt, .. } => receipt.clone(),
                    _ => None,
                };
                asked.taken = Some(Taken {
                    user: owner.user.as_str().to_owned(),
                    name: owner.name.clone(),
                    home: *course.group.as_bytes(),
                    receipt,
                    told: false,
                });
            }
            // Where it was not his yet, a step of somebody else does not mean that he has let go.
            (None, State::Open) if asked.taken.is_some() && at_home => self.let_go(&mut asked),
            _ => {}
        }
        self.write_asked(request, &asked)?;
        self.settle_request(request)
    }

    /// The owner has let go: others may have it, under a fresh register if one decides.
    fn let_go(&mut self, asked: &mut Asked) {
        asked.taken = None;
        if let Some(mut posted) = asked.request()
            && let Audience::Several(several) = &mut posted.audience
        {
            several.register = RegisterId::new(self.random());
            asked.renew(posted, self.now);
        }
    }
}
