//! What a refusal by the hub means for the request that it answers.

use cercle_proto::{
    ErrorCode as Code,
    id::{GroupId, MessageId, TimestampMs},
    v1,
};

use super::{
    Cx, Step,
    session::{Pending, Phase},
};
use crate::{
    core::DisconnectReason,
    error::Error,
    event::{Event, GapReason, RefusedReason},
    limits,
};

/// What to do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The same request again, after this time.
    Later(TimestampMs),
    /// The epoch moved on: read, then make it again.
    ReadOn,
    /// The device's state of the group is not the hub's: join again.
    Rejoin,
    /// The device is not in the group.
    NotMember,
    /// Never.
    Never,
}

/// Reads a refusal.
pub(crate) fn verdict(error: &v1::Error) -> Verdict {
    let later = Verdict::Later(u64::from(error.retry_after_ms).max(limits::RETRY_DELAY_MS));
    match Code::from_number(error.code) {
        Some(code) if passes(code) => later,
        Some(Code::EpochConflict | Code::EpochStale | Code::ProposalsPending) => Verdict::ReadOn,
        Some(Code::ResyncRequired | Code::MlsInvalid | Code::GroupInfoMismatch) => Verdict::Rejoin,
        Some(Code::NotMember | Code::GroupUnknown | Code::ExternalJoinDenied) => Verdict::NotMember,
        _ => Verdict::Never,
    }
}

/// Whether the same request may succeed later.
pub(crate) fn passes(code: Code) -> bool {
    matches!(
        code,
        Code::RateLimited
            | Code::TooManyConnections
            | Code::ReadTooSlow
            | Code::Unavailable
            | Code::OutcomeUnknown
            | Code::ShuttingDown
            | Code::Internal
            | Code::NotAuthenticated
            | Code::CertificateExpired
    )
}

/// What the app is told about a refusal for good.
pub(crate) fn refusal(error: &v1::Error) -> Error {
    let code = Code::from_number(error.code).unwrap_or(Code::Internal);
    Error::Refused { code, message: error.message.clone() }
}

impl Cx<'_, '_> {
    /// A request was refused.
    pub(crate) fn refused(&mut self, pending: Pending, error: &v1::Error) -> Step {
        match pending {
            Pending::Authenticate if self.offers_certificate(error) => {
                self.authenticate();
                Ok(())
            }
            Pending::Hello | Pending::Enrol | Pending::Authenticate => {
                match Code::from_number(error.code) {
                    // Another code may be tried; this one never helps.
                    Some(Code::RecoveryRefused) => self.tx.delete_note(super::vault::RETURN, &[])?,
                    // Somebody who types codes is told to wait; trying again by itself would use up attempts.
                    Some(code @ Code::RateLimited) if self.stands_at_the_door()? => {
                        self.tx.delete_note(super::vault::RETURN, &[])?;
                        let retry_after_ms = error.retry_after_ms;
                        let reason = DisconnectReason::Refused { code: Some(code), retry_after_ms };
                        self.disconnect(reason, false);
                        return Ok(());
                    }
                    _ => {}
                }
                self.refused_at_the_door(error);
                Ok(())
            }
            Pending::ListGroups | Pending::Subscribe { .. } => {
                let code = Code::from_number(error.code);
                let retry_after_ms = error.retry_after_ms;
                self.disconnect(DisconnectReason::Refused { code, retry_after_ms }, true);
                Ok(())
            }
            Pending::Message { group, message, position } => {
                self.message_refused(group, message, position, error)
            }
            Pending::Change { group, intent, message } => self.change_refused(group, intent, message, error),
            Pending::Claim { group, intent } => self.claim_refused(group, intent, error),
            Pending::ClaimOnce { request } => self.claim_once_refused(request, error),
            Pending::GroupInfo { group } => self.rejoin_refused(group, None, error),
            Pending::Rejoin { group, message } => self.rejoin_refused(group, Some(message), error),
            Pending::Publish => self.publish_refused(error),
            Pending::Owed { id } => match verdict(error) {
                Verdict::Later(delay) => {
                    self.retry_after(delay);
                    Ok(())
                }
                _ if error.code == Code::AlertUnknown.number() && self.alert_awaited(id) => Ok(()),
                _ => self.tx.delete_owed(id),
            },
            // It is asked again with the next connection, and told when it changes.
            Pending::GroupRules => Ok(()),
            // An older hub does not know the question.
            Pending::SiblingGroups => Ok(()),
            Pending::Renew { command } => self.renewal_refused(command, error),
            Pending::Command { id } => {
                self.finish(id, Err(refusal(error)));
                Ok(())
            }
        }
    }

    fn refused_at_the_door(&mut self, error: &v1::Error) {
        let code = Code::from_number(error.code);
        let retry = matches!(verdict(error), Verdict::Later(_)) || code == Some(Code::AuthenticationTimeout);
        let retry_after_ms = error.retry_after_ms;
        self.disconnect(DisconnectReason::Refused { code, retry_after_ms }, retry);
    }

    fn message_refused(
        &mut self,
        group: GroupId,
        message: MessageId,
        position: u64,
        error: &v1::Error,
    ) -> Step {
        let now = self.now;
        let Some(lane) = self.lane(group) else { return Ok(()) };
        let epoch = lane.in_flight.remove(&message);
        lane.flushed = lane.flushed.min(position.saturating_sub(1));
        match verdict(error) {
            Verdict::Later(delay) => {
                lane.careful = true;
                lane.hold_until = now + delay;
                self.wake_at(group, now + delay);
                Ok(())
            }
            Verdict::ReadOn => {
                lane.stale = lane.stale.max(epoch);
                // The commit that came before may have been read already.
                self.touch(group);
                self.tx.write_ciphertext(message, None)
            }
            Verdict::Rejoin => self.begin_recovery(group, GapReason::InvalidCommit, false),
            // The removal is in the log and will be read.
            Verdict::NotMember => Ok(()),
            Verdict::Never if self.documents_forgotten(group, message, error)? => Ok(()),
            Verdict::Never => {
                let reason = match Code::from_number(error.code) {
                    Some(Code::PolicyDenied) => RefusedReason::Denied,
                    Some(code) => RefusedReason::Refused(code),
                    None => RefusedReason::Refused(Code::Internal),
                };
                self.tx.delete_outbox(message)?;
                self.emit(Event::MessageRefused { group, message, reason });
                self.touch(group);
                Ok(())
            }
        }
    }

    /// A message that is said again refers to documents that a restored hub has forgotten: it is sent without
    /// them, so that what it says is not lost too.
    fn documents_forgotten(&mut self, group: GroupId, message: MessageId, error: &v1::Error) -> Step<bool> {
        let blobs = matches!(Code::from_number(error.code), Some(Code::BlobUnknown | Code::BlobIncomplete));
        if !blobs || !self.tx.has_message(group, message)? {
            return Ok(false);
        }
        if let Some(lane) = self.lane(group) {
            lane.aftermath.without_blobs.insert(message);
        }
        self.touch(group);
        Ok(true)
    }

    fn renewal_refused(&mut self, command: Option<u64>, error: &v1::Error) -> Step {
        self.m.session.renewing = false;
        self.m.standing.renew_not_before = self.now + limits::RENEWAL_RETRY_MS;
        self.tx.write_standing(&self.m.standing)?;
        if let Some(command) = command {
            self.finish(command, Err(refusal(error)));
        }
        if self.m.session.phase == Phase::Renewing {
            self.refused_at_the_door(error);
        }
        Ok(())
    }
}
