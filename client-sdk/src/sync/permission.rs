//! May this be said here? Checked before a message is queued, so that nobody believes to have said what the
//! others will ignore. What others send is judged by the thread's own rules ([`crate::thread::chat`]).

use cercle_proto::{
    id::{GroupId, MessageId},
    policy::PolicyError,
};

use super::{Cx, Step};
use crate::{
    error::Error,
    message::{Body, GroupProfile, ThreadKind, guard},
    mls::group,
};

impl Cx<'_, '_> {
    /// Checks what depends on the thread and on who this user is in it.
    ///
    /// # Errors
    /// Inner: [`Error::Field`] if the message that it is about is unknown, withdrawn, or somebody else's, if it
    /// names somebody else than the patient of the circle, or a
    /// thread is to become a library in which everybody writes; [`Error::KindIsFixed`] if it may not become
    /// what it is to become;
    /// [`Error::IdentityInWideThread`] if the thread may not know the patient;
    /// [`Error::Denied`] if only administrators may; [`Error::Invalid`] for what is never stored.
    pub(crate) fn permitted(&mut self, group: GroupId, body: &Body) -> Step<Result<(), Error>> {
        if let Err(error) = guard::check(body, self.thread_kind(group)?) {
            return Ok(Err(error));
        }
        if let Err(error) = self.names_the_circles_patient(group, body)? {
            return Ok(Err(error));
        }
        match body {
            Body::Typing(_) => Ok(Err(Error::Invalid("this is no message but an ephemeral sign"))),
            Body::GroupProfile(profile) => self.about_the_thread(group, profile),
            Body::Edit(edit) => self.about(group, edit.message, Needs::OwnText),
            Body::Retract(retract) if self.administers(group)? => {
                self.about(group, retract.message, Needs::Message)
            }
            Body::Retract(retract) => self.about(group, retract.message, Needs::Own),
            Body::Reaction(reaction) => self.about(group, reaction.message, Needs::Message),
            Body::Pin(pin) => self.about(group, pin.message, Needs::Message),
            _ => Ok(Ok(())),
        }
    }

    fn about_the_thread(&mut self, group: GroupId, profile: &GroupProfile) -> Step<Result<(), Error>> {
        if !self.administers(group)? {
            return Ok(Err(Error::Denied(PolicyError::Change)));
        }
        if self.profile_of(group).is_some_and(|known| !known.thread.may_become(profile.thread)) {
            return Ok(Err(Error::KindIsFixed));
        }
        let restricted =
            self.with_group(group, |_, _, loaded, _| Ok(group::policy(loaded)?.posting_is_restricted()))?;
        if profile.thread == ThreadKind::Library && !restricted.unwrap_or(false) {
            let problem = "everybody writes in this group; make a library as such".into();
            return Ok(Err(Error::Field { field: "thread", problem }));
        }
        Ok(Ok(()))
    }

    /// Whether this user administers a group, at this place of its log.
    pub(crate) fn administers(&mut self, group: GroupId) -> Step<bool> {
        let administers = self.with_group(group, |_, _, loaded, author| {
            Ok(group::policy(loaded)?.is_administrator(&author.me.identity.user))
        })?;
        Ok(administers.unwrap_or(false))
    }

    /// Whether others would be left in a group that nobody administers, if this device left it.
    pub(crate) fn is_last_administrator(&mut self, group: GroupId) -> Step<bool> {
        let is_last = self.with_group(group, |_, _, loaded, author| {
            let policy = group::policy(loaded)?;
            let me = &author.me.identity;
            let members = group::members(loaded, author.me)?;
            let mut others =
                members.iter().map(|(_, other)| other).filter(|other| other.device != me.device).peekable();
            let leaves_others = others.peek().is_some();
            let administers = |user| policy.is_administrator(user);
            Ok(administers(&me.user) && leaves_others && !others.any(|other| administers(&other.user)))
        })?;
        // A group that is not joined yet, or is being recovered, can be left.
        Ok(is_last.unwrap_or(false))
    }

    fn about(&mut self, group: GroupId, message: MessageId, needs: Needs) -> Step<Result<(), Error>> {
        let Some(me) = self.m.me.clone() else { return Ok(Err(Error::NotEnrolled)) };
        if self.tx.outbox_row(message)?.is_some_and(|row| row.group == group) {
            // An own message that is ahead of this one in the queue.
            return Ok(Ok(()));
        }
        let problem = match self.m.thread(self.tx, group)?.chat().line(message) {
            None => "is not in this thread",
            Some(line) if line.retracted.is_some() => "was withdrawn",
            Some(line) if needs != Needs::Message && line.sender != me.identity.user => "is somebody else's",
            Some(line) if needs == Needs::OwnText && !line.is_text => "is no text",
            Some(_) => return Ok(Ok(())),
        };
        Ok(Err(Error::Field { field: "message", problem: problem.into() }))
    }
}

/// What the message must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Message,
    Own,
    OwnText,
}
