//! What a handle of the client can be told.

use std::io;

use crate::{
    core::DisconnectReason,
    error::{Error, OpenError},
    profile::ProfileError,
};

/// Why an operation of a [`Client`](super::Client) failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The device refused it, or the hub did.
    #[error(transparent)]
    Core(#[from] Error),
    /// The session was ended for good; connecting again does not help.
    #[error("the session has ended: {}", describe(*.0))]
    Stopped(DisconnectReason),
    /// Too many commands wait for the hub: wait for some to finish.
    #[error("too many operations wait for the hub")]
    Busy,
    /// The client was closed, or its thread ended.
    #[error("the client is closed")]
    Closed,
}

/// Why a [`Client`](super::Client) cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientOpenError {
    /// The profile cannot be used; among others: wrong passphrase.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The system gave no thread.
    #[error("no thread could be started")]
    Thread(#[source] io::Error),
    /// The thread ended before it was ready: a fault of this program.
    #[error("the client's thread ended while it opened the store")]
    Died,
}

fn describe(reason: DisconnectReason) -> String {
    match reason {
        DisconnectReason::Refused { code: Some(code), .. } => {
            format!("{} {} ({})", code.meaning(), code.action(), code.number())
        }
        DisconnectReason::Refused { code: None, .. } => {
            "the hub gave a reason newer than this program".to_owned()
        }
        DisconnectReason::Untrusted => "what the hub presented is not trusted".to_owned(),
        DisconnectReason::Fault(what) => format!("the hub broke the protocol: {what}"),
        DisconnectReason::Silent => "the hub went silent".to_owned(),
        DisconnectReason::StoreFailed => "the local store failed".to_owned(),
        DisconnectReason::NotEnrolled => "the device is not enrolled".to_owned(),
    }
}
