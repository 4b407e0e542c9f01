//! Groups that can be asked for: listed by their administrators, found and asked for by everybody, answered by an
//! invitation or not at all.
//!
//! The hub sees the title of a listed group and who asks; what is said in the group it does not see. Whom an
//! administrator lets in is proved by his certificate, as with every invitation.

use cercle_proto::id::{GroupId, UserId};
pub use cercle_proto::v1::{GroupListing, JoinDeclined, JoinRequest, ListedGroup};

use crate::{
    client::{Client, ClientError, operations::unexpected},
    core::{Command, Outcome},
    directory::Question,
    error::Error,
    limits,
};

/// Somebody wants to join groups that this device administers. `Debug` shows no name.
#[derive(Clone, PartialEq, Eq)]
pub struct WantToJoin(pub Vec<JoinRequest>);

impl std::fmt::Debug for WantToJoin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("WantToJoin").field(&self.0.len()).finish()
    }
}

/// A request of this user to join a group was declined. `Debug` shows no text.
#[derive(Clone, PartialEq, Eq)]
pub struct Declined(pub JoinDeclined);

impl std::fmt::Debug for Declined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Declined")
    }
}

impl Client {
    /// Lists a group so that everybody on the hub finds its title and a line about it, and can ask to join.
    ///
    /// # Errors
    /// When there is no connection, the user does not administer the group, a text is too long, or the group is a
    /// patient circle or a direct thread.
    pub async fn list_group(&self, group: GroupId, about: &str) -> Result<(), ClientError> {
        let groups = self.groups().await?;
        let summary = groups.into_iter().find(|summary| summary.group == group);
        let profile = summary.ok_or(Error::UnknownGroup(group))?.profile;
        if !profile.thread.may_follow_directory() {
            return Err(Error::Invalid("this thread is for those in it alone: it cannot be listed").into());
        }
        if about.chars().count() > limits::LISTING_ABOUT_CHARS_MAX {
            return Err(Error::Invalid("what a listed group is for has at most 280 characters").into());
        }
        let listing = GroupListing { title: profile.title, about: about.to_owned() };
        self.done(Command::Directory(Question::Publish(group, Some(listing)).into())).await
    }

    /// Takes a group off the list, and forgets who asked.
    ///
    /// # Errors
    /// When there is no connection, or the user does not administer the group.
    pub async fn unlist_group(&self, group: GroupId) -> Result<(), ClientError> {
        self.done(Command::Directory(Question::Publish(group, None).into())).await
    }

    /// Listed groups, by title; every word of the text begins one of theirs.
    ///
    /// # Errors
    /// When there is no connection, or the user asks too much.
    pub async fn find_groups(&self, text: &str) -> Result<Vec<ListedGroup>, ClientError> {
        match self.command(Command::Directory(Question::FindGroups(text.to_owned()).into())).await? {
            Outcome::ListedGroups(groups) => Ok(groups),
            _ => Err(unexpected()),
        }
    }

    /// Asks to join a listed group. Administrators are told; who lets the user in invites him.
    ///
    /// # Errors
    /// When there is no connection, the group is not listed, or it declined a short time ago.
    pub async fn ask_to_join(&self, group: GroupId) -> Result<(), ClientError> {
        self.done(Command::Directory(Question::AskToJoin(group, false).into())).await
    }

    /// Takes a request back.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn withdraw_request_to_join(&self, group: GroupId) -> Result<(), ClientError> {
        self.done(Command::Directory(Question::AskToJoin(group, true).into())).await
    }

    /// Who wants to join a group, or any group that the user administers. New ones are an
    /// [`Event::WantToJoin`](crate::event::Event::WantToJoin).
    ///
    /// # Errors
    /// When there is no connection, or the user does not administer the one group.
    pub async fn join_requests(&self, group: Option<GroupId>) -> Result<Vec<JoinRequest>, ClientError> {
        match self.command(Command::Directory(Question::JoinRequests(group).into())).await? {
            Outcome::JoinRequests(requests) => Ok(requests),
            _ => Err(unexpected()),
        }
    }

    /// Declines somebody's request; to let him in, invite him.
    ///
    /// # Errors
    /// When there is no connection, the user does not administer the group, or nobody asked.
    pub async fn decline_join(
        &self,
        group: GroupId,
        user: UserId,
        reason: String,
    ) -> Result<(), ClientError> {
        self.done(Command::Directory(Question::DeclineJoin(group, user, reason).into())).await
    }
}
