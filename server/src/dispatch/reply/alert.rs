//! Answers about alerts, written.

use cercle_proto::v1;

use super::narrow;
use crate::alert::{
    Reachable, Recipient, Report, Status,
    record::{Mode, Phase},
};

pub(super) fn status(status: &Status) -> v1::AlertStatus {
    let phase = match status.phase {
        Phase::Awaiting => v1::AlertPhase::Awaiting,
        Phase::Ringing => v1::AlertPhase::Ringing,
        Phase::Closed => v1::AlertPhase::Closed,
        Phase::Expired => v1::AlertPhase::Expired,
    };
    let mode = match status.mode {
        Mode::Actual => v1::AlertMode::Actual,
        Mode::Exercise => v1::AlertMode::Exercise,
        Mode::Test => v1::AlertMode::Test,
    };
    v1::AlertStatus {
        alert: bytes::Bytes::copy_from_slice(&status.alert.0),
        phase: phase.into(),
        mode: mode.into(),
        ringing_since_ms: status.ringing_since.unwrap_or(0),
        expires_at_ms: status.expires_at,
        recipients: narrow(status.tally.recipients),
        sent: narrow(status.tally.sent),
        delivered: narrow(status.tally.delivered),
        seen: narrow(status.tally.seen),
        acknowledged: narrow(status.tally.acknowledged),
        opened_by: status.opened_by.clone(),
        confirmed_by: status.confirmed_by.clone().unwrap_or_default(),
    }
}

pub(super) fn report(report: Report) -> v1::AlertReport {
    v1::AlertReport {
        status: Some(status(&report.status)),
        recipients: report.recipients.into_iter().map(recipient).collect(),
        more: report.more,
    }
}

pub(super) fn reachability(users: Vec<Reachable>, more: bool) -> v1::Reachability {
    v1::Reachability { users: users.into_iter().map(reachable).collect(), more }
}

fn recipient(Recipient { user, known, communes }: Recipient) -> v1::AlertRecipient {
    v1::AlertRecipient {
        user: user.user.as_str().to_owned(),
        display_name: user.display_name,
        profession: user.profession,
        sent_at_ms: known.sent_at.unwrap_or(0),
        delivered_at_ms: known.delivered_at.unwrap_or(0),
        seen_at_ms: known.seen_at.unwrap_or(0),
        acknowledged_at_ms: known.acknowledged_at.unwrap_or(0),
        pushes: known.pushes,
        fallback_at_ms: known.fallback_at.unwrap_or(0),
        in_line: known.in_line,
        communes,
    }
}

fn reachable(found: Reachable) -> v1::ReachableUser {
    v1::ReachableUser {
        user: found.user.user.as_str().to_owned(),
        display_name: found.user.display_name,
        profession: found.user.profession,
        devices: narrow(found.devices),
        devices_with_push: narrow(found.devices_with_push),
        connected: found.connected,
        last_seen_at_ms: found.last_seen_at,
    }
}
