//! Events and availabilities of a thread as a file for the agenda that a professional has already: iCalendar
//! (RFC 5545), written only.
//!
//! Times are UTC, so that no time zone needs to be described. Every entry has the same UID in each file, so that an
//! agenda that reads a later file changes what it has instead of doubling it. An entry blocks time only where it is
//! this user's own: an event to which he comes, his duty, his absence.

use cercle_proto::id::{TimestampMs, UserId};

use crate::{
    message::{
        Availability, Language,
        availability::{AvailabilityType, Slot},
        moment,
    },
    thread::{agenda::EventState, availability::AvailabilityState, kinds::Kinds},
};

mod text;

use text::Lines;

/// For whom, when and in which language a calendar is written.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    /// Whose time it is.
    pub user: &'a UserId,
    /// Availabilities that have ended by then are left out.
    pub now_ms: TimestampMs,
    /// Of the words that are not the author's.
    pub language: Language,
}

/// The events of a thread, and what its members say of their time.
#[must_use]
pub fn export(title: &str, kinds: &Kinds, reader: &Reader<'_>) -> String {
    let mut lines = Lines::default();
    lines.add("BEGIN", "VCALENDAR");
    lines.add("VERSION", "2.0");
    lines.add("PRODID", "-//Cercle//Cercle//FR");
    lines.add("METHOD", "PUBLISH");
    lines.add_text("NAME", title);
    // What most agendas read for it.
    lines.add_text("X-WR-CALNAME", title);
    for event in kinds.agenda.all() {
        Entry::of_event(event, reader).write(&mut lines, reader);
    }
    for state in kinds.availability.at(reader.now_ms) {
        for entry in Entry::of_availability(&state, reader) {
            entry.write(&mut lines, reader);
        }
    }
    lines.add("END", "VCALENDAR");
    lines.finish()
}

/// One entry of an agenda.
struct Entry {
    uid: String,
    start_ms: TimestampMs,
    end_ms: TimestampMs,
    summary: String,
    place: String,
    description: String,
    url: String,
    blocks: bool,
}

impl Entry {
    fn of_event(state: &EventState, reader: &Reader<'_>) -> Self {
        let event = &state.event;
        let organised = reader.language.pick("Organisé par", "Organised by");
        Self {
            uid: state.id.to_hex(),
            start_ms: moment::at_ms(&event.start).unwrap_or(0),
            end_ms: moment::at_ms(&event.end).unwrap_or(0),
            summary: event.title.clone(),
            place: event.place.clone(),
            description: joined(&[&format!("{organised} {}", event.organiser), &event.text]),
            url: String::new(),
            blocks: state.coming.contains(reader.user),
        }
    }

    /// One for each slot, else one for the whole time.
    fn of_availability(state: &AvailabilityState, reader: &Reader<'_>) -> Vec<Self> {
        let said = &state.availability;
        if said.availability_type == AvailabilityType::Slots {
            return said.slots.iter().map(|slot| Self::of_slot(state, said, slot, reader)).collect();
        }
        let label = said.availability_type.label(reader.language);
        let (name, away) = match said.availability_type {
            AvailabilityType::Unavailable => ("unavailable", true),
            AvailabilityType::OnDuty => ("on-duty", true),
            AvailabilityType::AcceptsNewPatients => ("new-patients", false),
            AvailabilityType::Slots | AvailabilityType::Unspecified => ("available", false),
        };
        vec![Self {
            uid: format!("{}-{name}", state.user.as_str()),
            start_ms: moment::at_ms(&said.from).unwrap_or(state.at_ms),
            end_ms: moment::at_ms(&said.until).unwrap_or(0),
            summary: format!("{} : {label}", state.display_name),
            place: said.place.clone(),
            description: said.text.clone(),
            url: String::new(),
            blocks: away && state.user == *reader.user,
        }]
    }

    fn of_slot(state: &AvailabilityState, said: &Availability, slot: &Slot, reader: &Reader<'_>) -> Self {
        let start_ms = moment::at_ms(&slot.start).unwrap_or(0);
        let word = reader.language.pick("créneau", "slot");
        let audience = slot.audience.label(reader.language);
        Self {
            uid: format!("{}-slot-{start_ms}", state.user.as_str()),
            start_ms,
            end_ms: moment::at_ms(&slot.end).unwrap_or(0),
            summary: format!("{} : {word} ({audience})", state.display_name),
            place: said.place.clone(),
            description: said.text.clone(),
            url: slot.url.clone(),
            blocks: false,
        }
    }

    fn write(&self, lines: &mut Lines, reader: &Reader<'_>) {
        lines.add("BEGIN", "VEVENT");
        lines.add_text("UID", &self.uid);
        lines.add("DTSTAMP", &utc(reader.now_ms));
        lines.add("DTSTART", &utc(self.start_ms));
        lines.add("DTEND", &utc(self.end_ms));
        lines.add_text("SUMMARY", &self.summary);
        for (name, value) in [("LOCATION", &self.place), ("DESCRIPTION", &self.description)] {
            if !value.is_empty() {
                lines.add_text(name, value);
            }
        }
        if !self.url.is_empty() {
            lines.add("URL", &self.url);
        }
        lines.add("TRANSP", if self.blocks { "OPAQUE" } else { "TRANSPARENT" });
        lines.add("END", "VEVENT");
    }
}

/// What is not empty, each on a line.
fn joined(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

/// A time as iCalendar has it in UTC (section 3.3.5).
fn utc(at_ms: TimestampMs) -> String {
    moment::civil(at_ms).strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests;
