//! Encrypting application messages, and reading every kind of entry (RFC 9420 sections 6 and 15).

use cercle_proto::{
    certificate::DeviceIdentity,
    id::{Epoch, TimestampMs},
};
use openmls::prelude::{MlsGroup, MlsMessageIn, ProcessedMessageContent, QueuedProposal, StagedCommit};
use openmls_traits::OpenMlsProvider as _;
use tls_codec::Deserialize as _;

use super::{
    MlsError,
    check::{self, CommitView},
    group,
    identity::{DeviceKeys, Myself},
    provider::Provider,
    refused,
};

/// What an entry of the log turned out to be.
#[derive(Debug)]
pub(crate) enum Processed {
    /// An application message.
    Application {
        /// Who sent it.
        sender: Box<DeviceIdentity>,
        /// The epoch it was encrypted in.
        epoch: Epoch,
        /// Its plaintext.
        plaintext: Vec<u8>,
    },
    /// A commit that was judged and may be merged.
    Commit(Box<StagedCommit>, Box<CommitView>),
    /// A proposal that was judged, to keep until a commit covers it.
    Proposal(Box<QueuedProposal>),
}

/// Encrypts an application message; the used key is gone from the store with the transaction.
///
/// # Errors
/// When this device is not (or no longer) a member, or proposals wait for a commit.
pub(crate) fn encrypt(
    provider: &Provider<'_>,
    group: &mut MlsGroup,
    keys: &DeviceKeys,
    plaintext: &[u8],
) -> Result<Vec<u8>, MlsError> {
    let message = group.create_message(provider, keys.signer(), plaintext).map_err(refused("encrypt"))?;
    group::to_bytes(&message)
}

/// Reads one entry of another sender.
///
/// # Errors
/// When it does not decrypt or verify, or a commit breaks a rule. The caller rolls the transaction back to
/// its mark and drops `group`.
pub(crate) fn process(
    provider: &Provider<'_>,
    group: &mut MlsGroup,
    me: &Myself,
    message: &[u8],
    now: TimestampMs,
) -> Result<Processed, MlsError> {
    let message = MlsMessageIn::tls_deserialize_exact(message).map_err(refused("decode"))?;
    let message = message.try_into_protocol_message().map_err(refused("decode"))?;
    let processed = group.process_message(provider, message).map_err(refused("process"))?;
    let sender = processed.sender().clone();
    let epoch = processed.epoch().as_u64();
    let credential = processed.credential().clone();
    match processed.into_content() {
        ProcessedMessageContent::ApplicationMessage(message) => Ok(Processed::Application {
            sender: Box::new(me.verifier.identify(&credential)?),
            epoch,
            plaintext: message.into_bytes(),
        }),
        ProcessedMessageContent::StagedCommitMessage(staged) => {
            let view = check::judge(group, &staged, &sender, me, now)?;
            Ok(Processed::Commit(staged, Box::new(view)))
        }
        ProcessedMessageContent::ProposalMessage(proposal) => {
            check::judge_proposal(group, &proposal, me)?;
            Ok(Processed::Proposal(proposal))
        }
        ProcessedMessageContent::ExternalJoinProposalMessage(_)
        | ProcessedMessageContent::OwnPendingCommit
        | ProcessedMessageContent::OwnPrivateMessage => {
            Err(MlsError::Refused("process", "not a message of another member".into()))
        }
    }
}

/// Reads and judges a commit of another sender, and merges it.
///
/// # Errors
/// As [`process`], and when it is no commit.
pub(crate) fn merge(
    provider: &Provider<'_>,
    group: &mut MlsGroup,
    me: &Myself,
    message: &[u8],
    now: TimestampMs,
) -> Result<CommitView, MlsError> {
    // Merging writes the secrets of the next epoch, so those that the key of this message is used up in need not be.
    let processed = provider.storage().without_secrets(|| process(provider, group, me, message, now))?;
    let Processed::Commit(staged, view) = processed else {
        return Err(MlsError::Refused("commit", "it is another kind of message".into()));
    };
    group.merge_staged_commit(provider, *staged).map_err(refused("merge"))?;
    if group.is_active() {
        group::fit_past_epochs(provider, group)?;
    }
    Ok(*view)
}

/// Merges the own pending commit: its entry was read in the log.
///
/// # Errors
/// When there is none, or the store fails.
pub(crate) fn merge_own(provider: &Provider<'_>, group: &mut MlsGroup) -> Result<(), MlsError> {
    group.merge_pending_commit(provider).map_err(refused("merge"))?;
    group::fit_past_epochs(provider, group)
}

/// Keeps a proposal until a commit covers it.
///
/// # Errors
/// When the store fails.
pub(crate) fn keep_proposal(
    provider: &Provider<'_>,
    group: &mut MlsGroup,
    proposal: QueuedProposal,
) -> Result<(), MlsError> {
    group.store_pending_proposal(provider.storage(), proposal).map_err(refused("proposal"))
}

/// Drops the own pending commit: it has lost.
///
/// # Errors
/// When the store fails.
pub(crate) fn drop_own(provider: &Provider<'_>, group: &mut MlsGroup) -> Result<(), MlsError> {
    group.clear_pending_commit(provider.storage()).map_err(refused("clear pending commit"))
}
