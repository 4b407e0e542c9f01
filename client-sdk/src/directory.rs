//! The directory of the hub: finding professionals, structures and shared inboxes, and the user's own card.
//!
//! What is asked and answered is public data of the national directory and what members show each other; it is
//! not end-to-end encrypted. The types are those of the wire (`cercle/hub/v1/directory.proto` says what each
//! field means). Identities are never taken from here: whom a message reaches is decided by certificates.

pub use cercle_proto::v1::{
    Activity, Card, Coded, DirectoryEntry as Entry, DirectoryFacet as Facet, DirectoryPage as Page,
    DirectorySearch as Filter, DutyPeriod, GroupListing, GroupRule, MembershipDue, QuietHours, SharedInbox,
    directory_entry::Kind, directory_search::Membership,
};
use cercle_proto::{
    id::{GroupId, UserId},
    v1::{
        self, DirectoryGet, GetGroupRules, SetGroupRule, UpdateCard, client_frame::Body, update_card::What,
    },
};

use crate::{
    client::{Client, ClientError, operations::unexpected},
    core::{Command, Outcome},
    error::Error,
    message::GroupProfile,
};

/// What is asked of the directory; needs a connection.
#[derive(Clone)]
pub enum Question {
    /// Finds entries.
    Search(Filter),
    /// One entry: by key, national identifier, number of a structure, or user id.
    Get(String),
    /// Replaces the user's card.
    UpdateCard(Card),
    /// Makes, changes or gives up a shared inbox.
    UpdateInbox(SharedInbox),
    /// Sets the rule of a group, or lets it go.
    SetRule(GroupId, Option<GroupRule>),
    /// The rule of a group, and what is due by it.
    GetRule(GroupId),
    /// Lists a group so that people can ask to join it, or takes it off.
    Publish(GroupId, Option<GroupListing>),
    /// Finds listed groups.
    FindGroups(String),
    /// Asks to join a listed group, or (`true`) takes that back.
    AskToJoin(GroupId, bool),
    /// Who wants to join a group, or any that the user administers.
    JoinRequests(Option<GroupId>),
    /// Declines somebody's request.
    DeclineJoin(GroupId, UserId, String),
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Question")
    }
}

impl Question {
    /// The frame that asks it.
    pub(crate) fn frame(self) -> Body {
        match self {
            Self::Search(filter) => Body::DirectorySearch(filter),
            Self::Get(key) => Body::DirectoryGet(DirectoryGet { key }),
            Self::UpdateCard(card) => Body::UpdateCard(UpdateCard { what: Some(What::Card(card)) }),
            Self::SetRule(group, rule) => Body::SetGroupRule(SetGroupRule { group: group.to_bytes(), rule }),
            Self::GetRule(group) => Body::GetGroupRules(GetGroupRules { group: group.to_bytes() }),
            Self::Publish(group, listing) => {
                Body::PublishGroup(v1::PublishGroup { group: group.to_bytes(), listing })
            }
            Self::FindGroups(text) => Body::FindGroups(v1::FindGroups { text }),
            Self::AskToJoin(group, withdraw) => {
                Body::AskToJoin(v1::AskToJoin { group: group.to_bytes(), withdraw })
            }
            Self::JoinRequests(group) => {
                let group = group.map_or_else(Default::default, GroupId::to_bytes);
                Body::GetJoinRequests(v1::GetJoinRequests { group })
            }
            Self::DeclineJoin(group, user, reason) => {
                let user = user.as_str().to_owned();
                Body::DeclineJoin(v1::DeclineJoin { group: group.to_bytes(), user, reason })
            }
            Self::UpdateInbox(inbox) => Body::UpdateCard(UpdateCard { what: Some(What::Inbox(inbox)) }),
        }
    }
}

impl Client {
    /// Finds entries of the directory, best first.
    ///
    /// # Errors
    /// When there is no connection, the filter is out of bounds, or the user searches too much.
    pub async fn directory_search(&self, filter: Filter) -> Result<Page, ClientError> {
        match self.command(Command::Directory(Question::Search(filter).into())).await? {
            Outcome::DirectoryPage(page) => Ok(*page),
            _ => Err(unexpected()),
        }
    }

    /// One entry: by key, national identifier, number of a structure, or user id.
    ///
    /// # Errors
    /// When there is no connection, or no such entry that the user may see.
    pub async fn directory_get(&self, key: &str) -> Result<Entry, ClientError> {
        self.entry(Question::Get(key.to_owned())).await
    }

    /// Replaces the user's card; returns his entry as others see it.
    ///
    /// # Errors
    /// When there is no connection or a field is out of bounds.
    pub async fn update_card(&self, card: Card) -> Result<Entry, ClientError> {
        self.entry(Question::UpdateCard(card)).await
    }

    /// Makes (without an id) or changes a shared inbox: one address with several people behind it. Without users,
    /// it is given up; `None` then.
    ///
    /// # Errors
    /// When there is no connection, a field is out of bounds, or the inbox is not the user's.
    pub async fn update_inbox(&self, mut inbox: SharedInbox) -> Result<Option<Entry>, ClientError> {
        if inbox.id.is_empty() {
            let mut id = [0; 16];
            getrandom::fill(&mut id).map_err(|_| Error::Invalid("this machine gives no random numbers"))?;
            inbox.id = id.to_vec().into();
        }
        match self.command(Command::Directory(Question::UpdateInbox(inbox).into())).await? {
            Outcome::DirectoryEntry(entry) => Ok(Some(*entry)),
            Outcome::Done => Ok(None),
            _ => Err(unexpected()),
        }
    }

    /// Sets the rule that says who is in a group, or lets it go; returns what is due by it. From then on devices of
    /// administrators add and remove whom the hub names, and the group's profile says so to its members.
    ///
    /// # Errors
    /// When there is no connection, the user does not administer the group, a list is out of bounds, or the group
    /// is a patient circle or a direct thread.
    pub async fn set_group_rule(
        &self,
        group: GroupId,
        rule: Option<GroupRule>,
    ) -> Result<Option<MembershipDue>, ClientError> {
        let groups = self.groups().await?;
        let summary = groups.into_iter().find(|summary| summary.group == group);
        let profile = summary.ok_or(Error::UnknownGroup(group))?.profile;
        let follows_directory = rule.is_some();
        if follows_directory && !profile.thread.may_follow_directory() {
            return Err(Error::Invalid("the members of this thread do not follow the directory").into());
        }
        let due = self.rule(Question::SetRule(group, rule)).await?;
        if profile.follows_directory != follows_directory {
            self.set_profile(group, GroupProfile { follows_directory, ..profile }).await?;
        }
        Ok(due)
    }

    /// The rule of a group and what is due by it; `None`: it has none.
    ///
    /// # Errors
    /// When there is no connection, or the user does not administer the group.
    pub async fn group_rule(&self, group: GroupId) -> Result<Option<MembershipDue>, ClientError> {
        self.rule(Question::GetRule(group)).await
    }

    async fn rule(&self, question: Question) -> Result<Option<MembershipDue>, ClientError> {
        match self.command(Command::Directory(question.into())).await? {
            Outcome::GroupRules(rules) => Ok(rules.into_iter().next()),
            _ => Err(unexpected()),
        }
    }

    async fn entry(&self, question: Question) -> Result<Entry, ClientError> {
        match self.command(Command::Directory(question.into())).await? {
            Outcome::DirectoryEntry(entry) => Ok(*entry),
            _ => Err(unexpected()),
        }
    }
}
