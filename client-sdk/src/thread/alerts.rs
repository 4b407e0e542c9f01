//! Alerts about a patient, and who has acknowledged them.

use std::collections::BTreeMap;

use cercle_proto::id::{MessageId, TimestampMs, UserId};
use serde::Serialize;

use super::state::{self, Projected};
use crate::{
    event::Message,
    message::{Body, EventAlert, Kind as _, Language},
};

/// The alerts of a thread, oldest first.
#[derive(Debug, Default)]
pub struct Alerts {
    alerts: Vec<AlertState>,
}

/// An alert, and who has acknowledged it.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct AlertState {
    /// Message id.
    #[serde(serialize_with = "state::id")]
    pub id: MessageId,
    /// Who sent it.
    #[serde(serialize_with = "state::user")]
    pub sender: UserId,
    /// When the hub accepted it.
    pub at_ms: TimestampMs,
    /// What it says.
    pub alert: EventAlert,
    /// First acknowledgement of each user; that of the sender does not count.
    #[serde(serialize_with = "state::by_user")]
    pub acknowledgements: BTreeMap<UserId, Acknowledgement>,
    /// First in the log who takes care of it.
    #[serde(serialize_with = "state::users")]
    pub taken_over_by: Vec<UserId>,
}

crate::message::kind::hidden!(AlertState);

/// When somebody acknowledged an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Acknowledgement {
    /// When the hub accepted it.
    pub at_ms: TimestampMs,
}

impl Alerts {
    pub(super) fn apply(&mut self, message: &Message) {
        match &message.body {
            Body::EventAlert(alert) => self.alerts.push(AlertState {
                id: message.id,
                sender: message.sender.clone(),
                at_ms: message.at_ms,
                alert: alert.clone(),
                acknowledgements: BTreeMap::new(),
                taken_over_by: Vec::new(),
            }),
            Body::EventAlertAck(ack) => {
                let alert = self.alerts.iter_mut().rev().find(|alert| Some(alert.id) == ack.alert);
                let Some(alert) = alert.filter(|alert| alert.sender != message.sender) else { return };
                let first = Acknowledgement { at_ms: message.at_ms };
                alert.acknowledgements.entry(message.sender.clone()).or_insert(first);
                if ack.taking_over && !alert.taken_over_by.contains(&message.sender) {
                    alert.taken_over_by.push(message.sender.clone());
                }
            }
            _ => {}
        }
    }

    /// All of them, oldest first.
    #[must_use]
    pub fn all(&self) -> &[AlertState] {
        &self.alerts
    }
}

impl AlertState {
    /// Recipients who are users of a hub and have not acknowledged; names of others cannot answer.
    #[must_use]
    pub fn waiting_for(&self) -> Vec<&str> {
        let silent = |recipient: &&String| {
            recipient.contains('@')
                && !self.acknowledgements.keys().any(|user| user.as_str() == recipient.as_str())
        };
        self.alert.recipients.iter().filter(silent).map(String::as_str).collect()
    }
}

impl Projected for AlertState {
    fn render(&self, language: Language) -> String {
        let mut text = self.alert.render(language);
        let users = |users: Vec<&str>| if users.is_empty() { "-".to_owned() } else { users.join(", ") };
        let read = users(self.acknowledgements.keys().map(UserId::as_str).collect());
        let taken = users(self.taken_over_by.iter().map(UserId::as_str).collect());
        let waiting = users(self.waiting_for());
        text.push_str(&match language {
            Language::French => {
                format!("\nLue par : {read}\nPrise en charge par : {taken}\nSans réponse : {waiting}")
            }
            Language::English => {
                format!("\nAcknowledged by: {read}\nTaken over by: {taken}\nNo answer: {waiting}")
            }
        });
        text
    }
}
