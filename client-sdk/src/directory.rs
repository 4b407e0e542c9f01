//! The directory of the hub: finding professionals, structures and shared inboxes, and the user's own card.
//!
//! What is asked and answered is public data of the national directory and what members show each other; it is
//! not end-to-end encrypted. The types are those of the wire (`cercle/hub/v1/directory.proto` says what each
//! field means). Identities are never taken from here: whom a message reaches is decided by certificates.

pub use cercle_proto::v1::{
    Activity, Card, Coded, DirectoryEntry as Entry, DirectoryFacet as Facet, DirectoryPage as Page,
    DirectorySearch as Filter, DutyPeriod, QuietHours, SharedInbox, directory_entry::Kind,
    directory_search::Membership,
};
use cercle_proto::v1::{DirectoryGet, UpdateCard, client_frame::Body, update_card::What};

use crate::{
    client::{Client, ClientError, operations::unexpected},
    core::{Command, Outcome},
    error::Error,
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

    async fn entry(&self, question: Question) -> Result<Entry, ClientError> {
        match self.command(Command::Directory(question.into())).await? {
            Outcome::DirectoryEntry(entry) => Ok(*entry),
            _ => Err(unexpected()),
        }
    }
}
