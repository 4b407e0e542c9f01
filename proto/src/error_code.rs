//! The stable numbers of `Error`, each with its meaning and what a client does.
//!
//! `docs/error-codes.md` is this table, written by [`markdown`]; a test keeps the two equal. A number is
//! never reused.

macro_rules! error_codes {
    ($($name:ident = $number:literal, $meaning:literal, $action:literal;)*) => {
        /// Why the hub refused a request or ended a session.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum ErrorCode {
            $(#[doc = $meaning] $name = $number,)*
        }

        impl ErrorCode {
            /// Every code, in order of number.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What it means.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }

            /// What a client does about it.
            #[must_use]
            pub const fn action(self) -> &'static str {
                match self { $(Self::$name => $action,)* }
            }

            /// The code with this number.
            #[must_use]
            pub const fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

error_codes! {
    MalformedFrame = 100, "The bytes are not a protobuf frame.", "Fix the client; the session ends.";
    FrameTooLarge = 101, "The frame is longer than `frame_bytes_max`.", "Send less, or as an attachment; the session ends.";
    UnsupportedVersion = 102, "No common protocol version.", "Update the client (or the hub).";
    UnexpectedFrame = 103, "The frame does not fit this phase of the session.", "Fix the client; the session ends.";
    UnknownRequest = 104, "The frame has no body that this hub knows.", "Do without; the hub is older.";
    InvalidField = 105, "A field is missing or out of range; the message names it.", "Fix the client.";

    NotAuthenticated = 200, "The session is not authenticated.", "Authenticate first.";
    ProofInvalid = 201, "The signature over the nonce does not verify.", "Check the device key; the session ends.";
    DeviceUnknown = 202, "No such device is enrolled here.", "Enrol with an invitation.";
    DeviceRevoked = 203, "The device was revoked.", "Stop; ask for a new invitation.";
    CertificateExpired = 204, "The certificate on record has expired.", "Renew it: only RenewCertificate is answered in this session.";
    InvitationUnknown = 205, "No such invitation.", "Ask for a new invitation.";
    InvitationExpired = 206, "The invitation has expired.", "Ask for a new invitation.";
    InvitationUsed = 207, "Another device has used the invitation.", "Ask for a new invitation.";
    NotAuthorised = 208, "The user lacks the role for this.", "Ask a coordinator.";
    AuthenticationTimeout = 209, "The session was not authenticated in time.", "Connect again.";
    SessionReplaced = 210, "The device opened another session.", "Stop: the newer one goes on.";
    DeviceIdTaken = 211, "The device id is enrolled with another key.", "Choose a new random device id.";
    RecoveryRefused = 212, "The recovery code is not the right one, or the user has none.", "Type it again; without it, ask the coordinator for an invitation.";

    GroupUnknown = 300, "No such group, or the device was never in it.", "Forget the group.";
    GroupExists = 301, "The group id is taken.", "Choose a new random group id.";
    NotMember = 302, "The device is not (or no longer) a member.", "Read on to the removal, or join again.";
    EpochConflict = 303, "Another commit won the epoch.", "Read on, make the change again on top, with a new message id.";
    EpochStale = 304, "The message was made for an epoch that is too far behind, or ahead, or from before a device came in that could not open it.", "Read on, encrypt again, keep the message id.";
    ResyncRequired = 305, "The log no longer reaches back to the cursor.", "Join again by external commit.";
    MlsInvalid = 306, "The MLS message does not verify.", "Join again by external commit; if that fails too, ask to be added again.";
    PolicyDenied = 307, "The group's policy does not allow this.", "Ask an administrator of the group.";
    WelcomeMismatch = 308, "Welcome and added key packages do not match.", "Fix the client.";
    GroupInfoMismatch = 309, "The group info is not that of the epoch the commit leads to.", "Fix the client.";
    ApplicationNotPrivate = 310, "Application messages must be PrivateMessage.", "Fix the client.";
    CertificateRefused = 311, "A certificate is not one of this hub, has expired, is revoked or is for another key.", "Renew it, or leave the member out.";
    ProposalsPending = 312, "The commit leaves out proposals that wait in the log.", "Read on, commit them too.";
    GroupFull = 313, "The group has reached its largest size.", "Split the audience over several groups.";
    ExternalJoinDenied = 314, "The device that asked to join by external commit is not one of a user in the roster.", "Ask a member to be added.";

    KeyPackageInvalid = 400, "A key package does not verify or is not for this device.", "Make new ones.";
    KeyPackagesFull = 401, "The device has its full stock already.", "Publish later.";

    BlobUnknown = 420, "No such blob in a group of this device, or it is another user's.", "Do without it; ask who sent it.";
    BlobIncomplete = 421, "The blob is not stored completely.", "Upload the rest first, or wait for its uploader.";
    BlobExists = 422, "The blob id is taken by another blob.", "Choose a new random blob id.";
    BlobTooLarge = 423, "The blob is larger than the hub takes.", "Send a smaller file.";
    QuotaExceeded = 424, "The user's attachments would take more than they may.", "Release attachments that are no longer needed, or ask the operator.";
    VaultConflict = 430, "The vault has another version: another device has written meanwhile.", "Read it, and write the next version.";
    VaultChunkUnknown = 431, "A chunk is not in the vault.", "Store it first, or do without it.";
    DirectoryEntryUnknown = 450, "No entry of the directory has this key, or it is not shown.", "Search again.";

    RateLimited = 500, "Too many requests.", "Wait retry_after_ms.";
    TooManyConnections = 501, "The hub (or this address) has its most connections.", "Wait retry_after_ms, connect again.";
    TooLarge = 502, "A field is longer than the hub takes; the message names it.", "Send less, or as an attachment.";
    TooMany = 503, "More items than the hub takes in one request, or holds for one owner.", "Ask for fewer.";
    ReadTooSlow = 504, "The device did not read what was sent to it.", "Connect again; reading goes on from the cursor.";

    PushAddressRefused = 550, "The hub cannot wake a device at this address; the message says why.", "Register another address, or ask the operator.";
    AlertUnknown = 560, "No such alert, or the user is none of its recipients.", "Forget it, or open it first.";
    AlertOver = 561, "The alert is closed or has expired.", "Open a new one.";
    AlertSecondPerson = 562, "Another publisher than the one who opened the alert must confirm it.", "Ask another publisher.";

    Unavailable = 600, "Certainly not stored.", "Try again with the same message id.";
    OutcomeUnknown = 601, "Perhaps stored.", "Try again with the same message id, never a new one.";
    ShuttingDown = 602, "The hub is restarting.", "Connect again.";
    Internal = 603, "A fault of the hub; its log has the cause.", "Try again with the same message id; tell the operator.";
}

impl ErrorCode {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }
}

/// The table of `docs/error-codes.md`.
#[must_use]
pub fn markdown() -> String {
    let row = |code: &ErrorCode| {
        format!("| {} | {code:?} | {} | {} |\n", code.number(), code.meaning(), code.action())
    };
    let rows: String = ErrorCode::ALL.iter().map(row).collect();
    format!("| number | name | meaning | what a client does |\n|---|---|---|---|\n{rows}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_found_again() {
        for (index, code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(ErrorCode::from_number(code.number()), Some(*code));
            assert!(ErrorCode::ALL[..index].iter().all(|other| other.number() < code.number()));
        }
    }

    #[test]
    fn the_documented_table_is_this_table() {
        let documented = include_str!("../../docs/error-codes.md");
        assert!(documented.ends_with(&markdown()), "docs/error-codes.md must end with:\n{}", markdown());
    }
}
