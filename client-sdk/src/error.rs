//! What went wrong, by what an app can do about it.

use cercle_proto::{
    ErrorCode,
    certificate::CertificateError,
    id::{GroupId, UserId},
    policy::PolicyError,
};

/// Why a command or query failed. Texts are for developers and hold no name and no content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another device of the user keeps the backup: make the recovery code there, or begin the backup anew.
    #[error("another device of the user keeps the backup")]
    RecoveryElsewhere,
    /// The device has no certificate yet: redeem an invitation first.
    #[error("this device is not enrolled")]
    NotEnrolled,
    /// The store already belongs to an enrolled device: use another profile.
    #[error("this device is already enrolled")]
    AlreadyEnrolled,
    /// What came back from the hub at enrolment or renewal is not trusted: nothing was stored.
    #[error("the hub's answer is not trusted: {0}")]
    Untrusted(#[source] CertificateError),
    /// Needs the hub and there is no connection: try again when connected.
    #[error("no connection to the hub")]
    Offline,
    /// No such group in this store.
    #[error("unknown group {0:?}")]
    UnknownGroup(GroupId),
    /// This device is no longer in the group.
    #[error("no longer a member of group {0:?}")]
    NotMember(GroupId),
    /// None of these users can be added: unknown, or without a device that can be reached.
    #[error("{} users have no device that can be added", users.len())]
    NoDevice {
        /// The users.
        users: Vec<UserId>,
    },
    /// A key package for one of the users did not verify; nobody was added.
    #[error("a device's key package is not trusted: {0}")]
    KeyPackageRefused(#[source] CertificateError),
    /// The users are not in the group.
    #[error("{} users are not in the group", users.len())]
    NotInGroup {
        /// The users.
        users: Vec<UserId>,
    },
    /// The group's policy does not allow it: ask an administrator of the group.
    #[error(transparent)]
    Denied(#[from] PolicyError),
    /// The hub refused it for good; the code's table says what to do.
    #[error("the hub refused it ({}): {message}", code.number())]
    Refused {
        /// The hub's code.
        code: ErrorCode,
        /// The hub's explanation, for a developer.
        message: String,
    },
    /// An argument is out of range.
    #[error("{0}")]
    Invalid(&'static str),
    /// A field of a message is missing or breaks a rule; nothing was kept or sent.
    #[error("{field}: {problem}")]
    Field {
        /// Which, as in the JSON form.
        field: &'static str,
        /// What is wrong and how to mend it, without the value.
        problem: std::borrow::Cow<'static, str>,
    },
    /// A patient circle and a direct thread stay what they are, and nothing else becomes one; nothing was sent.
    /// Open a circle or a direct thread instead.
    #[error("a patient circle or a direct thread is opened as such and stays it")]
    KindIsFixed,
    /// A message about one patient belongs in the patient's circle or in a direct thread; nothing was sent.
    #[error("a message of kind {kind} says who a patient is: post it in a patient circle or a direct thread")]
    IdentityInWideThread {
        /// Name of the kind, as in JSON.
        kind: &'static str,
    },
    /// A step in the life of a request is not possible.
    #[error(transparent)]
    Request(#[from] crate::thread::requests::Refusal),
    /// A patient circle does not allow it; the refusal is in the journal of this device.
    #[error("refused by the rules of patient circles: {}", .0.name())]
    CircleRefused(crate::thread::circle::Refusal),
    /// There is a circle for this patient among one's own: use it, or say that another is meant.
    #[error("there is a circle for this patient already: {0:?}")]
    CircleExists(GroupId),
    /// A history that was handed over is not to be trusted; nothing of it was kept.
    #[error("the history: {0}")]
    History(#[from] crate::history::HistoryError),
    /// Too much waits to be sent: wait for the connection.
    #[error("the outbox is full")]
    OutboxFull,
    /// MLS refused the operation: a fault of this program or a damaged group.
    #[error("MLS: {0}")]
    Mls(String),
    /// The local store failed; nothing of the operation was kept.
    #[error("the local store failed: {0}")]
    Store(#[from] crate::store::StoreError),
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The key is not the one that the store was made with.
    #[error("the key does not open this store")]
    WrongKey,
    /// A newer version of this program wrote the store: update the program.
    #[error("the store has format {found}, this program knows up to {known}")]
    NewerFormat {
        /// Format number of the store.
        found: u32,
        /// Newest format number that this program knows.
        known: u32,
    },
    /// The file is not a store of this program, is damaged, or the disk fails.
    #[error("the local store failed: {0}")]
    Store(#[from] crate::store::StoreError),
}
