//! Records of the directory.

use cercle_sdk::directory::{Card, Coded, Entry, Facet, Kind};
use serde::Serialize;

/// An entry, as `cercle directory` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct EntryRecord<'a> {
    key: &'a str,
    kind: &'static str,
    title: &'a str,
    family: &'a str,
    given: &'a str,
    professions: Vec<CodedRecord<'a>>,
    skills: Vec<CodedRecord<'a>>,
    activities: Vec<ActivityRecord<'a>>,
    mailboxes: &'a [String],
    users: &'a [String],
    accepting: bool,
    on_duty: bool,
    distance_km: Option<u32>,
    card: Option<CardRecord<'a>>,
}

/// A code and its label.
#[derive(Debug, Serialize)]
pub(crate) struct CodedRecord<'a> {
    code: &'a str,
    label: &'a str,
}

#[derive(Debug, Serialize)]
struct ActivityRecord<'a> {
    structure: &'a str,
    name: &'a str,
    mode: &'a str,
    sector: Option<CodedRecord<'a>>,
    street: &'a str,
    postal_code: &'a str,
    commune: Option<CodedRecord<'a>>,
    phone: &'a str,
}

#[derive(Debug, Serialize)]
struct CardRecord<'a> {
    note: &'a str,
    hide_phone: bool,
    hide_street: bool,
    hide_mailboxes: bool,
    unlisted: bool,
    accepting_until_ms: u64,
    quiet_hours: Vec<QuietRecord>,
    delegate: &'a str,
    on_duty: Vec<PeriodRecord>,
}

#[derive(Debug, Serialize)]
struct QuietRecord {
    weekdays: u32,
    from_minute: u32,
    to_minute: u32,
}

#[derive(Debug, Serialize)]
struct PeriodRecord {
    from_ms: u64,
    to_ms: u64,
}

/// How many found entries have a value.
#[derive(Debug, Serialize)]
pub(crate) struct FacetRecord<'a> {
    code: &'a str,
    label: &'a str,
    count: u32,
}

impl<'a> EntryRecord<'a> {
    pub(crate) fn new(entry: &'a Entry) -> Self {
        Self {
            key: &entry.key,
            kind: match entry.kind() {
                Kind::Structure => "structure",
                Kind::Inbox => "inbox",
                Kind::Professional | Kind::Unspecified => "professional",
            },
            title: &entry.title,
            family: &entry.family,
            given: &entry.given,
            professions: entry.professions.iter().map(coded).collect(),
            skills: entry.skills.iter().map(coded).collect(),
            activities: entry.activities.iter().map(activity).collect(),
            mailboxes: &entry.mailboxes,
            users: &entry.users,
            accepting: entry.accepting,
            on_duty: entry.on_duty,
            distance_km: entry.distance_km,
            card: entry.card.as_ref().map(card),
        }
    }
}

impl<'a> FacetRecord<'a> {
    pub(crate) fn all(facets: &'a [Facet]) -> Vec<Self> {
        let record = |facet: &'a Facet| Self { code: &facet.code, label: &facet.label, count: facet.count };
        facets.iter().map(record).collect()
    }
}

fn coded(coded: &Coded) -> CodedRecord<'_> {
    CodedRecord { code: &coded.code, label: &coded.label }
}

fn activity(activity: &cercle_sdk::directory::Activity) -> ActivityRecord<'_> {
    ActivityRecord {
        structure: &activity.structure,
        name: &activity.name,
        mode: &activity.mode,
        sector: activity.sector.as_ref().map(coded),
        street: &activity.street,
        postal_code: &activity.postal_code,
        commune: activity.commune.as_ref().map(coded),
        phone: &activity.phone,
    }
}

fn card(card: &Card) -> CardRecord<'_> {
    let quiet = card.quiet_hours.iter().map(|hours| QuietRecord {
        weekdays: hours.weekdays,
        from_minute: hours.from_minute,
        to_minute: hours.to_minute,
    });
    let periods =
        card.on_duty.iter().map(|period| PeriodRecord { from_ms: period.from_ms, to_ms: period.to_ms });
    CardRecord {
        note: &card.note,
        hide_phone: card.hide_phone,
        hide_street: card.hide_street,
        hide_mailboxes: card.hide_mailboxes,
        unlisted: card.unlisted,
        accepting_until_ms: card.accepting_until_ms,
        quiet_hours: quiet.collect(),
        delegate: &card.delegate,
        on_duty: periods.collect(),
    }
}
