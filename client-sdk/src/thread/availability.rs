//! Who is available at a time, by what he said last.

use std::collections::BTreeMap;

use cercle_proto::id::{MessageId, TimestampMs, UserId};
use serde::Serialize;

use super::state::{self, Projected};
use crate::{
    event::Message,
    message::{Availability, Body, Kind as _, Language, availability::AvailabilityType, moment},
};

/// What members said of their time.
#[derive(Debug, Default)]
pub struct Availabilities {
    newest: BTreeMap<(UserId, AvailabilityType), (MessageId, AvailabilityState)>,
}

/// What somebody said last, of one type.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct AvailabilityState {
    /// Who.
    #[serde(serialize_with = "state::user")]
    pub user: UserId,
    /// Name to show.
    pub display_name: String,
    /// When the hub accepted it.
    pub at_ms: TimestampMs,
    /// What he said; slots that are over are left out.
    pub availability: Availability,
}

crate::message::kind::hidden!(AvailabilityState);

impl Availabilities {
    pub(super) fn apply(&mut self, message: &Message) {
        let Body::Availability(availability) = &message.body else { return };
        let key = (message.sender.clone(), availability.availability_type);
        if availability.withdrawn {
            self.newest.remove(&key);
            return;
        }
        let state = AvailabilityState {
            user: message.sender.clone(),
            display_name: message.display_name.clone(),
            at_ms: message.at_ms,
            availability: availability.clone(),
        };
        self.newest.insert(key, (message.id, state));
    }

    pub(super) fn withdraw(&mut self, message: MessageId) {
        self.newest.retain(|_, (id, _)| *id != message);
    }

    /// What counts at a time or will later: nothing that has ended.
    #[must_use]
    pub fn at(&self, now_ms: TimestampMs) -> Vec<AvailabilityState> {
        let ends_later = |end: &str| moment::at_ms(end).is_some_and(|end_ms| end_ms > now_ms);
        let mut states: Vec<AvailabilityState> =
            self.newest.values().map(|(_, state)| state.clone()).collect();
        states.retain_mut(|state| {
            let availability = &mut state.availability;
            availability.slots.retain(|slot| ends_later(&slot.end));
            let empty =
                availability.availability_type == AvailabilityType::Slots && availability.slots.is_empty();
            ends_later(&availability.until) && !empty
        });
        states
    }
}

impl Projected for AvailabilityState {
    fn render(&self, language: Language) -> String {
        format!("{} ({}) {}", self.display_name, self.user.as_str(), self.availability.render(language))
    }
}
