//! Events, and who comes.

use std::collections::BTreeMap;

use cercle_proto::id::{MessageId, TimestampMs, UserId};
use serde::Serialize;

use super::state::{self, Projected};
use crate::{
    event::Message,
    message::{AgendaEvent, Body, Kind as _, Language, RsvpAnswer, moment},
};

/// The events of a thread, oldest first.
#[derive(Debug, Default)]
pub struct Agenda {
    events: Vec<EventState>,
}

/// An event, and who comes.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct EventState {
    /// Message id.
    #[serde(serialize_with = "state::id")]
    pub id: MessageId,
    /// Who announced it.
    #[serde(serialize_with = "state::user")]
    pub sender: UserId,
    /// What it is.
    pub event: AgendaEvent,
    /// Newest answer of each user.
    #[serde(serialize_with = "state::by_user")]
    pub answers: BTreeMap<UserId, RsvpAnswer>,
    /// Who has a place, in the order of the log.
    #[serde(serialize_with = "state::users")]
    pub coming: Vec<UserId>,
    /// Who waits for a place, in the order of the log.
    #[serde(serialize_with = "state::users")]
    pub waiting: Vec<UserId>,
}

crate::message::kind::hidden!(EventState);

impl Agenda {
    pub(super) fn apply(&mut self, message: &Message) {
        match &message.body {
            Body::AgendaEvent(event) => self.events.push(EventState {
                id: message.id,
                sender: message.sender.clone(),
                event: event.clone(),
                answers: BTreeMap::new(),
                coming: Vec::new(),
                waiting: Vec::new(),
            }),
            Body::Rsvp(rsvp) => {
                let event = self.events.iter_mut().rev().find(|event| Some(event.id) == rsvp.event);
                if let Some(event) = event {
                    event.answer(&message.sender, rsvp.answer, message.at_ms);
                }
            }
            _ => {}
        }
    }

    pub(super) fn withdraw(&mut self, message: MessageId) {
        self.events.retain(|event| event.id != message);
    }

    /// All of them, in the order of the log.
    #[must_use]
    pub fn all(&self) -> &[EventState] {
        &self.events
    }
}

impl EventState {
    /// Takes an answer that the hub accepted in time. Whoever gives up a place gives it to the first who waits.
    fn answer(&mut self, user: &UserId, answer: RsvpAnswer, at_ms: TimestampMs) {
        if moment::at_ms(&self.event.answer_by).is_some_and(|end_ms| at_ms > end_ms) {
            return;
        }
        self.answers.insert(user.clone(), answer);
        if answer == RsvpAnswer::Yes {
            if !self.coming.contains(user) && !self.waiting.contains(user) {
                self.waiting.push(user.clone());
            }
        } else {
            self.coming.retain(|other| other != user);
            self.waiting.retain(|other| other != user);
        }
        let places = if self.event.places_max == 0 { usize::MAX } else { self.event.places_max as usize };
        while self.coming.len() < places && !self.waiting.is_empty() {
            self.coming.push(self.waiting.remove(0));
        }
    }

    /// How many gave this answer.
    #[must_use]
    pub fn count(&self, answer: RsvpAnswer) -> usize {
        self.answers.values().filter(|given| **given == answer).count()
    }
}

impl Projected for EventState {
    fn render(&self, language: Language) -> String {
        let count = |answer: RsvpAnswer| format!("{} {}", self.count(answer), answer.label(language));
        let counts = [RsvpAnswer::Yes, RsvpAnswer::No, RsvpAnswer::Maybe].map(count).join(", ");
        let waiting = match (self.waiting.len(), language) {
            (0, _) => String::new(),
            (waiting, Language::French) => format!(" ({waiting} en liste d'attente)"),
            (waiting, Language::English) => format!(" ({waiting} waiting for a place)"),
        };
        format!("{}\n{counts}{waiting}", self.event.render(language))
    }
}
