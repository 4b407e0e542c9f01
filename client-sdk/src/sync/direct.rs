//! The thread of two people: found if there is one, else made.
//!
//! Called for the app, and by whatever must say something to one person alone. Everything happens in the
//! caller's transaction: what it queues in the group right after is read by the other as soon as he is in.

use cercle_proto::id::{GroupId, UserId};

use super::{Cx, Lane, Step};
use crate::{
    core::{GroupState, PolicyTemplate},
    error::Error,
    message::{GroupProfile, ThreadKind},
    mls::group,
    store::intents::Change,
};

/// Kind of the notes that say which group was made for a user.
const NOTE: &str = "direct";

impl Cx<'_, '_> {
    /// Finds or makes the direct thread with a user, and sees to it that he is invited.
    ///
    /// If both make one at the same time there are two; from then on both use the one with the smaller id.
    ///
    /// # Errors
    /// Inner: [`Error::NotEnrolled`]; [`Error::Offline`] if there is none and this device was never
    /// connected; [`Error::Invalid`] for oneself.
    pub(crate) fn direct_with(&mut self, user: &UserId) -> Step<Result<GroupId, Error>> {
        let Some(me) = self.m.me.clone() else { return Ok(Err(Error::NotEnrolled)) };
        if me.identity.user == *user {
            return Ok(Err(Error::Invalid("a direct thread is with somebody else")));
        }
        if let Some(group) = self.find_direct(user)? {
            return Ok(Ok(group));
        }
        let title = direct_title(&me.identity.display_name, user);
        let profile = GroupProfile::of_kind(title, ThreadKind::Direct);
        match self.make_group(profile, PolicyTemplate::Conversation)? {
            Ok((group, _)) => {
                self.tx.write_note(NOTE, user.as_str().as_bytes(), group.as_bytes())?;
                self.invite_one(group, user)?;
                Ok(Ok(group))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    fn find_direct(&mut self, user: &UserId) -> Step<Option<GroupId>> {
        let usable = |lane: &Lane| {
            let direct = lane.row.record.profile.thread == ThreadKind::Direct;
            direct && !matches!(lane.state(), GroupState::Leaving | GroupState::Closed)
        };
        let candidates = self.m.groups.iter().filter(|(_, lane)| usable(lane));
        let candidates: Vec<GroupId> = candidates.map(|(group, _)| *group).collect();
        let made: Option<[u8; 16]> = self.tx.note(NOTE, user.as_str().as_bytes())?;
        let mut alone = None;
        for group in candidates {
            let others = self.with_group(group, |_, _, loaded, author| {
                let members = group::members(loaded, author.me)?;
                let mut users = group::users(members.iter().map(|(_, identity)| identity));
                users.retain(|other| *other != author.me.identity.user);
                Ok(users)
            })?;
            match others.as_deref() {
                Ok([other]) if other == user => return Ok(Some(group)),
                Ok([]) if made.as_ref() == Some(group.as_bytes()) => alone = Some(group),
                _ => {}
            }
        }
        if let Some(group) = alone
            && !self.invites(group, user)?
        {
            // He could not be reached when it was made, or has left.
            self.invite_one(group, user)?;
        }
        Ok(alone)
    }

    /// Whether an invitation of this user into the group is on its way.
    fn invites(&self, group: GroupId, user: &UserId) -> Step<bool> {
        let invited = |change: &Change| match change {
            Change::Invite { users, .. } => users.iter().any(|invited| invited == user.as_str()),
            _ => false,
        };
        Ok(self.tx.intents_of(group)?.iter().any(|row| invited(&row.intent.change)))
    }

    fn invite_one(&mut self, group: GroupId, user: &UserId) -> Step {
        let change = Change::Invite { users: vec![user.as_str().to_owned()], claim: self.random() };
        self.add_intent(group, change, true).map(drop)
    }
}

/// Both names, so that each of the two recognises the thread.
fn direct_title(own_name: &str, user: &UserId) -> String {
    let other = user.as_str().split('@').next().unwrap_or_default();
    let mut title = format!("{own_name} · {other}");
    title.truncate(title.floor_char_boundary(crate::limits::TITLE_BYTES_MAX));
    title
}
