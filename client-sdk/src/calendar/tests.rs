//! What an agenda reads of it, and what nobody can slip into it.

use cercle_proto::id::{DeviceId, GroupId, MessageId};
use serde_json::json;

use super::*;
use crate::{
    event::Message,
    message::{Body, template},
    thread::Thread,
};

fn user(name: &str) -> UserId {
    UserId::new(name, "cpts.example").unwrap()
}

/// A thread with these messages, each an example with changes.
fn kinds(messages: &[(&str, &str, serde_json::Value)]) -> Thread {
    let mut thread = Thread::default();
    for ((kind, sender, changes), seq) in messages.iter().zip(1_u8..) {
        let mut content: serde_json::Value = serde_json::from_str(template::of(kind).unwrap()).unwrap();
        content.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let body: Body = serde_json::from_value(content).unwrap();
        thread.apply(&Message {
            group: GroupId::new([1; 16]),
            seq: seq.into(),
            id: MessageId::new([seq; 16]),
            sender: user(sender),
            device: DeviceId::new([seq; 16]),
            display_name: format!("{sender} (test)"),
            own: false,
            expired_certificate: false,
            by_administrator: false,
            at_ms: 1_795_219_200_000,
            sent_at_ms: 0,
            in_reply_to: None,
            exported_by: None,
            body,
        });
    }
    thread
}

fn written(thread: &Thread, reader: &str, now_ms: TimestampMs) -> String {
    let reader = Reader { user: &user(reader), now_ms, language: Language::French };
    export("Équipe ; nord", thread.kinds(), &reader)
}

/// Lines as they were before they were folded.
fn unfolded(calendar: &str) -> Vec<String> {
    assert!(calendar.ends_with("\r\n"));
    assert!(
        calendar.split("\r\n").all(|line| line.len() <= crate::limits::ICALENDAR_LINE_BYTES_MAX && !line.contains(['\r', '\n'])),
        "{calendar}"
    );
    calendar.replace("\r\n ", "").split("\r\n").map(str::to_owned).collect()
}

/// Of each entry the values of these properties.
fn entries(calendar: &str, names: &[&str]) -> Vec<Vec<String>> {
    let lines = unfolded(calendar);
    let entries = lines.split(|line| line == "BEGIN:VEVENT").skip(1);
    let value = |entry: &[String], name: &str| {
        let found = entry.iter().find_map(|line| line.strip_prefix(&format!("{name}:")));
        found.unwrap_or_default().to_owned()
    };
    entries.map(|entry| names.iter().map(|name| value(entry, name)).collect()).collect()
}

/// 2026-11-22, before the examples end.
const NOW: TimestampMs = 1_795_305_600_000;

#[test]
fn events_and_availabilities_are_entries_that_block_only_what_is_ones_own() {
    let event = MessageId::new([1; 16]).to_hex();
    let duty = json!({
        "availability_type": "on_duty",
        "until": "2026-11-29T08:00:00+01:00",
        "from": "2026-11-28T20:00:00+01:00",
        "slots": [],
    });
    let thread = kinds(&[
        ("event", "anne", json!({ "text": "Avec un spiromètre." })),
        ("rsvp", "bruno", json!({ "event": event })),
        ("availability", "anne", json!({})),
        ("availability", "bruno", duty),
        ("availability", "claire", json!({ "until": "2026-11-21T18:00:00+01:00" })),
    ]);
    let calendar = written(&thread, "bruno", NOW);
    assert!(
        calendar.starts_with("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n")
            && calendar.contains("NAME:Équipe \\; nord")
    );
    let names = ["SUMMARY", "DTSTART", "DTEND", "LOCATION", "DESCRIPTION", "URL", "TRANSP"];
    let expected = [
        [
            "Soirée d'information : dépistage de la BPCO",
            "20261203T183000Z",
            "20261203T200000Z",
            "Salle des fêtes\\, Goulven",
            "Organisé par CPTS des Abers\\nAvec un spiromètre.",
            "",
            "OPAQUE",
        ],
        [
            "anne (test) : créneau (soins non programmés)",
            "20261123T154000Z",
            "20261123T160000Z",
            "Cabinet des Tilleuls",
            "",
            "https://rdv.example/dr-martin",
            "TRANSPARENT",
        ],
        [
            "bruno (test) : de garde",
            "20261128T190000Z",
            "20261129T070000Z",
            "Cabinet des Tilleuls",
            "",
            "",
            "OPAQUE",
        ],
    ];
    assert_eq!(entries(&calendar, &names), expected, "what has ended is left out");
    let of_anne = entries(&written(&thread, "anne", NOW), &["TRANSP"]);
    assert_eq!(of_anne, [["TRANSPARENT"]; 3], "she only told of it");
}

#[test]
fn a_later_file_has_the_same_entries_under_the_same_ids() {
    let thread = kinds(&[("event", "anne", json!({})), ("availability", "anne", json!({}))]);
    let [first, second] = [0, 1_000].map(|later| written(&thread, "anne", NOW + later));
    assert_ne!(first, second, "each says when it was written");
    let ids = entries(&first, &["UID"]);
    assert_eq!(ids, entries(&second, &["UID"]));
    assert!(ids[0] != ids[1] && !ids[0][0].is_empty());
}

#[test]
fn no_text_breaks_out_of_its_line() {
    let hostile = "é".repeat(60) + ";,\\\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nSUMMARY:faux\u{7}";
    let thread = kinds(&[("event", "anne", json!({ "title": hostile, "text": "a\nb" }))]);
    let calendar = written(&thread, "anne", NOW);
    let summary = "é".repeat(60) + "\\;\\,\\\\\\nEND:VEVENT\\nBEGIN:VEVENT\\nSUMMARY:faux";
    let description = "Organisé par CPTS des Abers\\na\\nb".to_owned();
    assert_eq!(entries(&calendar, &["SUMMARY", "DESCRIPTION"]), [[summary, description]]);
}
