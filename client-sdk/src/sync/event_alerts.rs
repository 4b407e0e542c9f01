//! Alerts about a patient whose author asks for acknowledgement on the hub: opened there when the message stands in
//! the log, acknowledged there when an acknowledgement does. Both are owed to the hub from the transaction that
//! stores the message, so each is done once, wherever the device stops.
//!
//! The hub learns a number, the group, how much it matters and who has acknowledged; nothing of what happened.

use cercle_proto::{
    id::{GroupId, Seq, TimestampMs},
    v1::{self, client_frame::Body as Request},
};

use super::{Cx, Step, outbox::queued_body};
use crate::{
    limits,
    message::{AlertId, Body, EventAlert, event_alert::EventAlertPriority},
};

impl Cx<'_, '_> {
    /// A message of this device is in the log.
    pub(crate) fn own_message_stored(
        &mut self,
        group: GroupId,
        seq: Seq,
        at_ms: TimestampMs,
        body: &Body,
    ) -> Step {
        match body {
            Body::EventAlert(EventAlert { hub_alert: Some(alert), priority, .. }) => {
                self.owe(Request::OpenAlert(opening(*alert, *priority, group, seq, at_ms)))
            }
            Body::EventAlertAck(ack) => {
                let Some(row) = ack.alert.map(|alert| self.tx.message(group, alert)).transpose()?.flatten()
                else {
                    return Ok(());
                };
                // Its author acknowledges nothing.
                let alert = match queued_body(&row.record.envelope) {
                    Body::EventAlert(alert) if !row.record.own => alert.hub_alert,
                    _ => None,
                };
                let Some(alert) = alert else { return Ok(()) };
                self.owe(Request::AlertAck(v1::AlertAck {
                    alert: alert.0.to_vec().into(),
                    acknowledged: true,
                }))
            }
            _ => Ok(()),
        }
    }

    /// The hub does not know the alert that an owed request is about: its author's device opens it as soon as it
    /// can. True: offered again a few times with this connection.
    pub(crate) fn alert_awaited(&mut self, owed: u64) -> bool {
        let tries = self.m.session.alerts_awaited.entry(owed).or_default();
        *tries += 1;
        let tries = *tries;
        if tries > limits::ALERT_AWAITED_TRIES_MAX {
            return false;
        }
        self.retry_after(limits::RETRY_DELAY_MS << tries);
        true
    }
}

/// How the hub rings: the more it matters, the more often. Always for a day.
fn opening(
    alert: AlertId,
    priority: EventAlertPriority,
    group: GroupId,
    seq: Seq,
    at_ms: TimestampMs,
) -> v1::OpenAlert {
    const MINUTE_MS: u64 = 60_000;
    let (urgency, within, every, rounds) = match priority {
        EventAlertPriority::Stat => (v1::AlertPriority::High, 5, 2, 15),
        EventAlertPriority::Asap => (v1::AlertPriority::High, 30, 10, 12),
        EventAlertPriority::Urgent => (v1::AlertPriority::Normal, 8 * 60, 60, 8),
        EventAlertPriority::Routine | EventAlertPriority::Unspecified => {
            (v1::AlertPriority::Normal, 24 * 60, 0, 0)
        }
    };
    v1::OpenAlert {
        alert: alert.0.to_vec().into(),
        groups: vec![v1::Cursor { group: group.to_bytes(), seq }],
        mode: v1::AlertMode::Actual.into(),
        priority: urgency.into(),
        expires_at_ms: at_ms + limits::EVENT_ALERT_RINGS_MS,
        policy: Some(v1::AlertPolicy {
            ack_within_ms: within * MINUTE_MS,
            repeat_every_ms: every * MINUTE_MS,
            repeat_max: rounds,
            ..v1::AlertPolicy::default()
        }),
        ..v1::OpenAlert::default()
    }
}
