//! Claims of requests to several groups: the hub's first-wins register decides, then the log is told.
//!
//! A claim is a note until the hub has answered: it waits for a connection, and is asked again after a
//! crash; the hub answers a repeated claim as the first time. On a win the claim goes into the outbox in
//! the transaction that removes the note, so that it is in the log once.

use cercle_proto::{
    id::{GroupId, RegisterId, UserId},
    receipt,
    v1::{self, client_frame::Body as Request},
};
use serde::{Deserialize, Serialize};

use super::super::{
    Cx, Step,
    session::{Pending, Phase},
    verdict::{Verdict, verdict},
};
use crate::{
    core::Outcome,
    error::Error,
    event::Event,
    message::{
        Body, RequestId, Transition,
        request::Situation,
        transition::{Action, Receipt},
    },
    mls::identity::Myself,
    thread::requests::{Course, Owner, Refusal, State},
};

/// Kind of the notes about claims; the key is the request's id.
const NOTE: &str = "claims";

/// A claim that the hub has not decided.
#[derive(Clone, Serialize, Deserialize)]
struct Claim {
    register: [u8; 16],
    /// Where it will be told.
    group: [u8; 16],
    situation: Situation,
}

impl Cx<'_, '_> {
    /// Notes a claim and asks the hub, at once or when there is a connection.
    pub(super) fn begin_claim(
        &mut self,
        me: &Myself,
        transition: &Transition,
    ) -> Step<Result<Outcome, Error>> {
        let courses = self.courses(transition.request)?;
        let mut refusal = Refusal::Unknown;
        for course in &courses {
            match claimable(course, &me.identity.user, self.now) {
                Ok(register) if self.usable(course.group).is_ok() => {
                    let (register, group) = (*register.as_bytes(), *course.group.as_bytes());
                    let claim = Claim { register, group, situation: transition.situation.clone() };
                    self.tx.write_note(NOTE, transition.request.as_bytes(), &claim)?;
                    self.send_claim(transition.request, &claim);
                    return Ok(Ok(Outcome::Claiming));
                }
                Ok(_) => refusal = Refusal::NotPossible,
                Err(why) => refusal = why,
            }
        }
        Ok(Err(refusal.into()))
    }

    /// Whether the hub is still to decide a claim of this device.
    pub(crate) fn is_claiming(&self, request: RequestId) -> Step<bool> {
        Ok(self.tx.note::<Claim>(NOTE, request.as_bytes())?.is_some())
    }

    /// Asks for every claim that is not decided and not on its way.
    pub(crate) fn send_claims(&mut self) -> Step {
        for (key, claim) in self.tx.notes::<Claim>(NOTE)? {
            if let Some(request) = RequestId::from_slice(&key) {
                self.send_claim(request, &claim);
            }
        }
        Ok(())
    }

    fn send_claim(&mut self, request: RequestId, claim: &Claim) {
        let pending = Pending::ClaimOnce { request };
        let sent = self.m.session.pending.values().any(|(known, _)| *known == pending);
        if self.m.session.phase == Phase::Ready && !sent {
            let register = RegisterId::new(claim.register).to_bytes();
            self.request(Request::ClaimOnce(v1::ClaimOnce { register }), pending);
        }
    }

    /// The hub has decided.
    pub(crate) fn claim_decided(&mut self, request: RequestId, decided: &v1::RegisterClaimed) -> Step {
        let (Some(claim), Some(me)) = (self.tx.note::<Claim>(NOTE, request.as_bytes())?, self.m.me.clone())
        else {
            return Ok(());
        };
        self.tx.delete_note(NOTE, request.as_bytes())?;
        let Some(signed) = &decided.receipt else { return self.claim_failed(request, None) };
        let read = receipt::Receipt::verify(signed, me.verifier.root());
        let Some(read) = read.ok().filter(|read| *read.register.as_bytes() == claim.register) else {
            tracing::warn!("the hub's receipt of a register does not verify");
            return self.claim_failed(request, None);
        };
        // Another device of this user may have won it and never come to say so: this one says it.
        if read.user != me.identity.user {
            let owner = self.owner_named(GroupId::new(claim.group), read.user)?;
            return self.claim_failed(request, Some(owner));
        }
        let receipt = Some(Receipt::new(signed));
        let action = Action::Claim { receipt, owner_name: String::new() };
        let transition = Transition { request, action, situation: claim.situation };
        self.post(GroupId::new(claim.group), Body::Transition(Box::new(transition)))
    }

    /// The hub did not take the claim.
    pub(crate) fn claim_once_refused(&mut self, request: RequestId, error: &v1::Error) -> Step {
        match verdict(error) {
            Verdict::Later(delay) => {
                self.retry_after(delay);
                Ok(())
            }
            _ => {
                self.tx.delete_note(NOTE, request.as_bytes())?;
                self.claim_failed(request, None)
            }
        }
    }

    /// Tells the app that an own claim in the log did not count.
    pub(super) fn claim_lost(&mut self, request: RequestId, course: &Course) {
        let owner = course.standing.owner.clone();
        let own = self.m.me.as_ref().map(|me| &me.identity.user);
        if owner.as_ref().map(|owner| &owner.user) != own {
            self.emit(Event::RequestLost { request, owner });
        }
    }

    fn claim_failed(&mut self, request: RequestId, owner: Option<Owner>) -> Step {
        self.emit(Event::RequestLost { request, owner });
        Ok(())
    }

    /// A user with the name that a group knows him by, or without name.
    fn owner_named(&mut self, group: GroupId, user: UserId) -> Step<Owner> {
        let named = self.with_group(group, |_, _, loaded, author| {
            let members = crate::mls::group::members(loaded, author.me)?;
            Ok(members.into_iter().find(|(_, member)| member.user == user).map(|(_, m)| m.display_name))
        })?;
        let name = named.ok().flatten();
        Ok(Owner { elsewhere: name.is_none(), name: name.unwrap_or_default(), user })
    }
}

/// The register that is to be claimed.
fn claimable(course: &Course, user: &UserId, now: u64) -> Result<RegisterId, Refusal> {
    let assigned_to_other = course.standing.assignee.as_ref().is_some_and(|assignee| assignee != user);
    match (course.state_at(now), &course.standing.owner) {
        _ if course.requester == *user || assigned_to_other => Err(Refusal::NotYours),
        (State::Open, _) => course.standing.register.ok_or(Refusal::NotPossible),
        (State::Expired, _) => Err(Refusal::Expired),
        (state, Some(owner)) if state.is_owned() => Err(Refusal::Owned(owner.clone())),
        _ => Err(Refusal::Closed),
    }
}
