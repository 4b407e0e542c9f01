//! The alerts of a group: which hold, which were replaced or ended, and what recipients answered. A device
//! that comes late sees only how things stand.

use std::collections::{BTreeMap, VecDeque};

use cercle_proto::id::{MessageId, Seq, TimestampMs, UserId};

use crate::{
    event::Message,
    limits,
    message::{AlertAnswer, Body, CrisisAlert, cap::MsgType, crisis_alert::AlertId},
};

/// The alerts of one group, in the order of its log.
#[derive(Debug, Default)]
pub struct Alerts {
    known: VecDeque<AlertState>,
}

/// One alert and what became of it. `Debug` shows no content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertState {
    /// Its message.
    pub message: MessageId,
    /// Place of the message in the log.
    pub seq: Seq,
    /// Who sent it.
    pub sender: UserId,
    /// When the hub accepted it.
    pub at_ms: TimestampMs,
    /// What it says.
    pub alert: CrisisAlert,
    /// A later message replaced or ended it.
    pub superseded: bool,
    /// The last answer of each user.
    pub answers: BTreeMap<UserId, AlertAnswer>,
}

impl AlertState {
    /// Whether it holds at a time: neither replaced nor ended nor over.
    #[must_use]
    pub fn holds(&self, now: TimestampMs) -> bool {
        let over = self.alert.expires_at_ms().is_some_and(|end| end <= now);
        !self.superseded && !self.alert.is_end() && !over
    }

    /// Whether a user may update or end it.
    #[must_use]
    pub fn may_change(&self, user: &UserId) -> bool {
        self.sender == *user || self.alert.deputies.iter().any(|deputy| deputy == user.as_str())
    }
}

impl Alerts {
    /// Every alert that is kept, also those that were replaced.
    pub fn all(&self) -> impl Iterator<Item = &AlertState> {
        self.known.iter()
    }

    /// How things stand: what was neither replaced nor taken back by a later message, ends included.
    pub fn current(&self) -> impl Iterator<Item = &AlertState> {
        self.known.iter().filter(|state| !state.superseded)
    }

    /// One alert, also one that was replaced.
    #[must_use]
    pub fn get(&self, alert: AlertId) -> Option<&AlertState> {
        self.known.iter().find(|state| state.alert.alert == alert)
    }

    /// Takes the next message of the log.
    pub(super) fn apply(&mut self, message: &Message) {
        match &message.body {
            Body::CrisisAlert(alert) => self.told(message, alert),
            Body::AlertAnswer(answer) => {
                let answered = self.known.iter_mut().find(|state| state.alert.alert == answer.alert);
                if let Some(state) = answered {
                    state.answers.insert(message.sender.clone(), answer.clone());
                }
            }
            _ => {}
        }
    }

    fn told(&mut self, message: &Message, alert: &CrisisAlert) {
        if self.get(alert.alert).is_some() {
            return;
        }
        if alert.cap.msg_type != MsgType::Alert {
            for (sender, identifier, sent) in alert.cap.referred() {
                let earlier = self.known.iter_mut().filter(|state| {
                    let cap = &state.alert.cap;
                    (cap.sender.as_str(), cap.identifier.as_str(), cap.sent.as_str())
                        == (sender, identifier, sent)
                });
                for state in earlier.filter(|state| state.may_change(&message.sender)) {
                    state.superseded = true;
                }
            }
        }
        if self.known.len() == limits::ALERTS_PER_THREAD_MAX {
            self.known.pop_front();
        }
        self.known.push_back(AlertState {
            message: message.id,
            seq: message.seq,
            sender: message.sender.clone(),
            at_ms: message.at_ms,
            alert: alert.clone(),
            superseded: false,
            answers: BTreeMap::new(),
        });
    }
}
