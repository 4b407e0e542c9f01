//! Why an operation on an alert fails, by what the caller can do.

use cercle_storage::store::{ReadError, WriteError};

/// Why an operation on an alert fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field is missing or out of range.
    #[error("{0}")]
    InvalidField(&'static str),
    /// The user is no crisis publisher, and it is nothing that a member may.
    #[error("only crisis publishers may do this")]
    NotAuthorised,
    /// The publisher's device is not in a group of the alert.
    #[error("the device is not in every group of the alert")]
    NotMember,
    /// No such alert, or the user is none of its recipients.
    #[error("no such alert, or the user is none of its recipients")]
    Unknown,
    /// It is closed or has expired.
    #[error("the alert is closed or has expired")]
    Over,
    /// Who opened an alert cannot confirm it.
    #[error("another publisher than the one who opened the alert must confirm it")]
    SecondPerson,
    /// A limit is reached.
    #[error("{0}")]
    TooMany(&'static str),
    /// Not stored, or perhaps.
    #[error("the alert was not stored")]
    Write(#[from] WriteError),
    /// The store cannot be read.
    #[error("the alerts cannot be read")]
    Read(#[from] ReadError),
}
