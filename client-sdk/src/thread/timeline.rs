//! The timeline of a circle (ligne de vie): one line for each event of the care, computed from the messages.
//!
//! Every kind of message has a line, because every kind can be rendered; talk (see [`is_event`]) is left out
//! unless it is asked for by name. The order is that of the log, the same on every device.

use cercle_proto::id::{DeviceId, MessageId, Seq, TimestampMs, UserId};

use crate::{
    event::Message,
    message::{Body, Language, kind::hidden},
};

/// Kinds that are talk about the care, or upkeep of the group, and no events of it.
const NO_EVENTS: [&str; 13] = [
    "text",
    "group_profile",
    "history_handed_over",
    "own_state",
    "reaction",
    "edit",
    "retract",
    "receipt",
    "typing",
    "pin",
    "directory_card",
    // Its form has the results, perhaps without names.
    "form_answer",
    // Nobody knows whether it is one.
    "unknown",
];

/// One line of a timeline.
#[derive(Clone, PartialEq, Eq, serde::Serialize)]
pub struct TimelineEntry {
    /// Place of its message in the group's log.
    pub seq: Seq,
    /// Its message.
    #[serde(serialize_with = "hex_message")]
    pub message: MessageId,
    /// When the hub accepted it.
    pub at_ms: TimestampMs,
    /// Name of the kind, as in JSON.
    pub kind: &'static str,
    /// What happened, in one line.
    pub line: String,
    /// Who said it.
    #[serde(serialize_with = "user_text")]
    pub author: UserId,
    /// Name of the author.
    pub display_name: String,
    /// With which device.
    #[serde(serialize_with = "hex_device")]
    pub device: DeviceId,
    /// It was handed over by this member: that it was said so is his word.
    #[serde(serialize_with = "maybe_user")]
    pub exported_by: Option<UserId>,
}

hidden!(TimelineEntry);

/// Which lines of a timeline are wanted; the default: every event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimelineFilter {
    /// Kinds by name, also those that are no events; empty: every event.
    pub kinds: Vec<String>,
    /// Who said it; `None`: anybody.
    pub author: Option<UserId>,
    /// Not before this time.
    pub from_ms: Option<TimestampMs>,
    /// Before this time.
    pub until_ms: Option<TimestampMs>,
}

/// Whether a message is an event of the care.
#[must_use]
pub fn is_event(body: &Body) -> bool {
    let summary = matches!(body, Body::CircleOpened(opened) if opened.summary);
    !summary && !NO_EVENTS.contains(&body.name())
}

impl TimelineFilter {
    /// Whether a message has a line.
    #[must_use]
    pub fn wants(&self, message: &Message) -> bool {
        let kind = if self.kinds.is_empty() {
            is_event(&message.body)
        } else {
            self.kinds.iter().any(|kind| kind == message.body.name())
        };
        kind && self.author.as_ref().is_none_or(|author| *author == message.sender)
            && self.from_ms.is_none_or(|from| message.at_ms >= from)
            && self.until_ms.is_none_or(|until| message.at_ms < until)
    }
}

impl TimelineEntry {
    /// The line of a message.
    #[must_use]
    pub fn of(message: &Message, language: Language) -> Self {
        let text = message.body.render(language);
        Self {
            seq: message.seq,
            message: message.id,
            at_ms: message.at_ms,
            kind: message.body.name(),
            line: text.split_whitespace().collect::<Vec<_>>().join(" "),
            author: message.sender.clone(),
            display_name: message.display_name.clone(),
            device: message.device,
            exported_by: message.exported_by.clone(),
        }
    }

    /// The line of a step in the life of a request, which begins with the title of that request.
    #[must_use]
    pub fn of_step(message: &Message, title: &str, language: Language) -> Self {
        let entry = Self::of(message, language);
        let colon = language.pick(" : ", ": ");
        Self { line: format!("{title}{colon}{}", entry.line), ..entry }
    }
}

fn hex_message<S: serde::Serializer>(id: &MessageId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&id.to_hex())
}

fn hex_device<S: serde::Serializer>(id: &DeviceId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&id.to_hex())
}

fn user_text<S: serde::Serializer>(user: &UserId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(user.as_str())
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn maybe_user<S: serde::Serializer>(user: &Option<UserId>, serializer: S) -> Result<S::Ok, S::Error> {
    match user {
        Some(user) => serializer.serialize_some(user.as_str()),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Kinds that have a line.
    const EVENTS: [&str; 26] = [
        "document",
        "event_alert",
        "event_alert_ack",
        "crisis_alert",
        "alert_answer",
        "bulletin",
        "library_entry",
        "availability",
        "event",
        "rsvp",
        "form",
        "assessment",
        "care_plan",
        "care_plan_validation",
        "education_step",
        "adverse_event",
        "adverse_event_reference",
        "meeting_link",
        "request",
        "transition",
        "handover",
        "circle_opened",
        "circle_member",
        "circle_consent",
        "circle_identity",
        "circle_status",
    ];

    #[test]
    fn of_every_kind_it_is_said_whether_it_is_an_event() {
        let said: BTreeSet<&str> = EVENTS.into_iter().chain(NO_EVENTS).collect();
        assert_eq!(said.len(), EVENTS.len() + NO_EVENTS.len(), "a kind is said to be both");
        let kinds: BTreeSet<&str> = Body::NAMES.iter().copied().chain(["unknown"]).collect();
        assert_eq!(said, kinds, "left: what is said here; right: the kinds that there are");
    }
}
