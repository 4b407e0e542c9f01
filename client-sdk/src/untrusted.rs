//! What this crate reads from other people behind doors of its own, opened for fuzzing (client-sdk/fuzz) and for
//! the test that runs the same targets in the gate. Not compiled otherwise.

use cercle_proto::{
    id::{DeviceId, GroupId, MessageId, UserId},
    link::LinkCode,
};

use crate::{
    event::Message,
    fhir, history, linking,
    message::{Content, compose},
    thread::Thread,
};

/// Reads the plaintext of another member's application message and does with it what every device does: adds
/// it to the thread, shows it, gives it to a practice software. What can be written again says the same.
///
/// # Panics
/// When it does not say the same: that is what fuzzing looks for.
pub fn content(plaintext: &[u8]) {
    let Some(content) = Content::decode(plaintext) else { return };
    let user = UserId::new("anne", "cpts.example").expect("a good name");
    let mut thread = Thread::default();
    for (seq, by_administrator) in [(1, false), (2, true)] {
        let message = Message {
            group: GroupId::new([1; 16]),
            seq,
            id: MessageId::new([u8::try_from(seq).unwrap_or(9); 16]),
            sender: user.clone(),
            device: DeviceId::new([2; 16]),
            display_name: "Anne".to_owned(),
            own: false,
            expired_certificate: false,
            by_administrator,
            at_ms: 1_700_000_000_000,
            sent_at_ms: content.sent_at_ms,
            in_reply_to: content.in_reply_to,
            exported_by: None,
            body: content.body.clone(),
        };
        thread.apply(&message);
        let _ = fhir::export(&message, thread.circle().map(|circle| &circle.patient));
        for course in thread.requests.iter() {
            let _ = fhir::request::export(course, None, &fhir::request::Contents::new(), message.at_ms);
        }
        if let Some(circle) = thread.circle() {
            let _ = fhir::circle::export(message.group, "Cercle", circle);
        }
    }
    if let Ok(again) = compose(&content.body.clone().into(), 1) {
        let read = Content::decode(&again).expect("what this program writes it reads");
        assert_eq!(read.body, content.body, "a message changed on its way through");
    }
}

/// Reads a linking code that somebody pasted, and what lies in a slot of a lane, sealed and behind its seal.
///
/// # Panics
/// When a code or message that was read is written differently.
pub fn linking(data: &[u8]) {
    if let Some(code) = std::str::from_utf8(data).ok().and_then(|text| LinkCode::parse(text).ok()) {
        assert!(LinkCode::parse(&code.to_text()).is_ok_and(|again| again == code), "a code changed");
    }
    linking::read_slot(data);
}

/// Reads the inside of a handed-over history, behind its signature.
pub fn history(archive: &[u8]) {
    if let Ok(rows) = history::unpack(archive, GroupId::new([1; 16]), 1_000) {
        for row in rows {
            content(&row.record.envelope);
        }
    }
}
