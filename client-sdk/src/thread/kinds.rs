//! The states of the other typed messages of a thread, by name.

use cercle_proto::id::{MessageId, TimestampMs};

use super::{
    agenda::Agenda,
    alerts::Alerts,
    availability::Availabilities,
    declarations::Declarations,
    forms::Forms,
    library::Library,
    plans::Plans,
    state::{Projected, State},
};
use crate::{event::Message, message::Language};

/// What the other typed messages of a thread add up to.
#[derive(Debug, Default)]
pub struct Kinds {
    /// Alerts about a patient.
    pub alerts: Alerts,
    /// Protocols and documents.
    pub library: Library,
    /// Who is available.
    pub availability: Availabilities,
    /// Events and who comes.
    pub agenda: Agenda,
    /// Forms and results.
    pub forms: Forms,
    /// Care plans.
    pub plans: Plans,
    /// Declarations of adverse events.
    pub declarations: Declarations,
}

impl Kinds {
    /// Kinds of messages that add up to a state.
    pub const NAMES: &'static [&'static str] =
        &["event_alert", "library_entry", "availability", "event", "form", "care_plan", "adverse_event"];

    pub(super) fn apply(&mut self, message: &Message) {
        self.alerts.apply(message);
        self.library.apply(message);
        self.availability.apply(message);
        self.agenda.apply(message);
        self.forms.apply(message);
        self.plans.apply(message);
        self.declarations.apply(message);
    }

    /// A message was withdrawn by somebody who may: an event does not take place, a form is not answered any
    /// more, somebody is not available after all. What others have acted on stays as it was said: alerts,
    /// plans and declarations; and a version of a library entry is followed by the next.
    pub(super) fn withdraw(&mut self, message: MessageId) {
        self.agenda.withdraw(message);
        self.forms.withdraw(message);
        self.availability.withdraw(message);
    }

    /// The states of a kind at a time; `None` for a kind that has none.
    #[must_use]
    pub fn states(&self, kind: &str, now_ms: TimestampMs, language: Language) -> Option<Vec<State>> {
        Some(match kind {
            "event_alert" => all(self.alerts.all(), language),
            "library_entry" => all(self.library.current(), language),
            "availability" => all(&self.availability.at(now_ms), language),
            "event" => all(self.agenda.all(), language),
            "form" => all(&self.forms.results(), language),
            "care_plan" => all(self.plans.current(), language),
            "adverse_event" => all(self.declarations.all(), language),
            _ => return None,
        })
    }
}

fn all<'a, T: Projected + 'a>(states: impl IntoIterator<Item = &'a T>, language: Language) -> Vec<State> {
    states.into_iter().map(|state| State::of(state, language)).collect()
}

#[cfg(test)]
mod tests;
