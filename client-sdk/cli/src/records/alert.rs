//! Records of alerts.

use cercle_proto::v1;
use cercle_sdk::{
    core::GroupAlert,
    message::{AlertAnswer, CrisisAlert, Language},
};
use serde::Serialize;

/// An alert as this device knows it.
#[derive(Debug, Serialize)]
pub(crate) struct AlertRecord<'a> {
    alert: String,
    groups: Vec<String>,
    sender: &'a str,
    at_ms: u64,
    /// Neither replaced nor ended nor over.
    holds: bool,
    text: String,
    content: &'a CrisisAlert,
    answers: Vec<AnswerRecord<'a>>,
}

/// What one recipient answered.
#[derive(Debug, Serialize)]
struct AnswerRecord<'a> {
    user: &'a str,
    #[serde(flatten)]
    answer: &'a AlertAnswer,
}

/// How far an alert is.
#[derive(Debug, Serialize)]
pub(crate) struct AlertStatusRecord<'a> {
    alert: String,
    phase: &'static str,
    mode: &'static str,
    ringing_since_ms: u64,
    expires_at_ms: u64,
    recipients: u32,
    sent: u32,
    delivered: u32,
    seen: u32,
    acknowledged: u32,
    opened_by: &'a str,
    confirmed_by: &'a str,
}

/// What is known of one recipient; times are 0 if it has not happened.
#[derive(Debug, Serialize)]
pub(crate) struct AlertRecipientRecord<'a> {
    user: &'a str,
    display_name: &'a str,
    profession: &'a str,
    sent_at_ms: u64,
    delivered_at_ms: u64,
    seen_at_ms: u64,
    acknowledged_at_ms: u64,
    pushes: u32,
    fallback_at_ms: u64,
    in_line: u32,
    communes: &'a [String],
}

/// How many recipients are how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct AlertCount {
    pub(crate) recipients: u32,
    pub(crate) sent: u32,
    pub(crate) delivered: u32,
    pub(crate) seen: u32,
    pub(crate) acknowledged: u32,
}

impl AlertCount {
    /// Counts one more.
    pub(crate) fn add(&mut self, recipient: &v1::AlertRecipient) {
        self.recipients += 1;
        for (at, count) in [
            (recipient.sent_at_ms, &mut self.sent),
            (recipient.delivered_at_ms, &mut self.delivered),
            (recipient.seen_at_ms, &mut self.seen),
            (recipient.acknowledged_at_ms, &mut self.acknowledged),
        ] {
            *count += u32::from(at > 0);
        }
    }
}

/// How far an alert is with those who have a value in common.
#[derive(Debug, Serialize)]
pub(crate) struct AlertCountRecord<'a> {
    pub(crate) by: &'static str,
    pub(crate) value: &'a str,
    #[serde(flatten)]
    pub(crate) count: AlertCount,
}

/// How one user could be reached.
#[derive(Debug, Serialize)]
pub(crate) struct ReachableRecord<'a> {
    user: &'a str,
    display_name: &'a str,
    profession: &'a str,
    devices: u32,
    devices_with_push: u32,
    connected: bool,
    last_seen_at_ms: u64,
}

impl<'a> AlertRecord<'a> {
    pub(crate) fn new(known: &'a GroupAlert, now_ms: u64, text: String) -> Self {
        let state = &known.state;
        let answer = |(user, answer): (&'a cercle_proto::id::UserId, &'a AlertAnswer)| AnswerRecord {
            user: user.as_str(),
            answer,
        };
        Self {
            alert: state.alert.alert.to_hex(),
            groups: known.groups.iter().map(|group| group.to_hex()).collect(),
            sender: state.sender.as_str(),
            at_ms: state.at_ms,
            holds: state.holds(now_ms),
            text,
            content: &state.alert,
            answers: state.answers.iter().map(answer).collect(),
        }
    }
}

impl<'a> AlertStatusRecord<'a> {
    pub(crate) fn new(status: &'a v1::AlertStatus) -> Self {
        Self {
            alert: cercle_proto::id::to_hex(&status.alert),
            phase: phase(status, Language::English),
            mode: mode_name(status),
            ringing_since_ms: status.ringing_since_ms,
            expires_at_ms: status.expires_at_ms,
            recipients: status.recipients,
            sent: status.sent,
            delivered: status.delivered,
            seen: status.seen,
            acknowledged: status.acknowledged,
            opened_by: &status.opened_by,
            confirmed_by: &status.confirmed_by,
        }
    }
}

impl<'a> AlertRecipientRecord<'a> {
    pub(crate) fn new(recipient: &'a v1::AlertRecipient) -> Self {
        Self {
            user: &recipient.user,
            display_name: &recipient.display_name,
            profession: &recipient.profession,
            sent_at_ms: recipient.sent_at_ms,
            delivered_at_ms: recipient.delivered_at_ms,
            seen_at_ms: recipient.seen_at_ms,
            acknowledged_at_ms: recipient.acknowledged_at_ms,
            pushes: recipient.pushes,
            fallback_at_ms: recipient.fallback_at_ms,
            in_line: recipient.in_line,
            communes: &recipient.communes,
        }
    }
}

impl<'a> ReachableRecord<'a> {
    pub(crate) fn new(user: &'a v1::ReachableUser) -> Self {
        Self {
            user: &user.user,
            display_name: &user.display_name,
            profession: &user.profession,
            devices: user.devices,
            devices_with_push: user.devices_with_push,
            connected: user.connected,
            last_seen_at_ms: user.last_seen_at_ms,
        }
    }
}

/// Where an alert is, in words; in English also as the name in JSON.
pub(crate) fn phase(status: &v1::AlertStatus, language: Language) -> &'static str {
    match status.phase() {
        v1::AlertPhase::Awaiting => language.pick("à confirmer", "awaiting"),
        v1::AlertPhase::Ringing => language.pick("en cours", "ringing"),
        v1::AlertPhase::Closed => language.pick("levée", "closed"),
        v1::AlertPhase::Expired => language.pick("passée", "expired"),
        v1::AlertPhase::Unspecified => language.pick("inconnue", "unknown"),
    }
}

fn mode_name(status: &v1::AlertStatus) -> &'static str {
    match status.mode() {
        v1::AlertMode::Actual => "actual",
        v1::AlertMode::Exercise => "exercise",
        v1::AlertMode::Test => "test",
        v1::AlertMode::Unspecified => "unknown",
    }
}
