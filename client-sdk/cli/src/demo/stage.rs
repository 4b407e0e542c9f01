//! What the audience sees of the demonstration.

use std::{path::Path, time::Duration};

use cercle_sdk::{client::now_ms, core::Message, message::Body};

use super::{
    cast::{GROUPS, PEOPLE},
    hub::DemoHub,
    people::People,
};
use crate::{
    output::Output,
    records::{DemoRecord, MessageRecord, Record},
};

/// The pause between two lines of the script, for a reader's eyes.
const PAUSE: Duration = Duration::from_millis(350);

/// Shows what happens; with `--once --json` nothing but the final object.
pub(super) struct Stage<'a> {
    output: &'a Output,
    started_ms: u64,
}

impl<'a> Stage<'a> {
    pub(super) fn new(output: &'a Output, started_ms: u64) -> Self {
        Self { output, started_ms }
    }

    pub(super) fn open(&self) {
        self.output.say(&text!(
            "Cercle — démonstration sur cette machine. Toutes les personnes sont fictives.\n";
            "Cercle — demonstration on this machine. All people are invented.\n"
        ));
    }

    pub(super) fn hub_ready(&self, hub: &DemoHub) {
        let (address, ready_ms) = (hub.address(), hub.ready_ms);
        self.output.say(&text!(
            "Hub prêt sur {address} en {ready_ms} ms (TLS 1.3, stockage durable).";
            "Hub ready on {address} in {ready_ms} ms (TLS 1.3, durable store)."
        ));
    }

    pub(super) fn enrolled(&self, people: &People) {
        let (count, after_ms) = (people.count(), now_ms().saturating_sub(self.started_ms));
        self.output.say(&text!(
            "{count} professionnels inscrits, chacun avec sa clé et son certificat ({after_ms} ms) :";
            "{count} professionals enrolled, each with a key and a certificate of their own ({after_ms} ms):"
        ));
        for person in PEOPLE {
            let (name, (fr, en)) = (person.name, person.words);
            self.output.say(&text!("  • {name}, {fr}"; "  • {name}, {en}"));
        }
    }

    pub(super) fn group_made(&self, group: usize) {
        let (title, count) = (GROUPS[group].title, GROUPS[group].members.len());
        self.output.say(&text!(
            "Groupe MLS « {title} » : {count} membres.";
            "MLS group \"{title}\": {count} members."
        ));
    }

    pub(super) fn dialogue(&self) {
        self.output.say(&text!(
            "\nMessages, chiffrés par l'expéditeur et déchiffrés par chaque destinataire :\n";
            "\nMessages, encrypted by the sender and decrypted by each recipient:\n"
        ));
    }

    /// Gives a reader time; a program needs none.
    pub(super) async fn pause(&self) {
        if !self.output.is_json() {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A line of the script, heard by all its readers after this time.
    pub(super) fn heard(&self, group: usize, message: &Message, readers: usize, took_ms: u64) {
        let title = GROUPS[group].title;
        let (name, text) = (&message.display_name, text_of(message));
        self.output.say(&text!(
            "  [{title}] {name} : {text}\n      ✓ déchiffré par {readers} appareil(s), {took_ms} ms";
            "  [{title}] {name}: {text}\n      ✓ decrypted by {readers} device(s), {took_ms} ms"
        ));
    }

    /// A message of or to the visitor.
    pub(super) fn live(&self, title: &str, message: &Message) {
        let (name, text) = (&message.display_name, text_of(message));
        self.output.result(
            &Record::Message(MessageRecord::new(title, message, self.output.language())),
            &text!("  [{title}] {name} : {text}"; "  [{title}] {name}: {text}"),
        );
    }

    /// When the program was started, ms since the Unix epoch.
    pub(super) fn started_ms(&self) -> u64 {
        self.started_ms
    }

    pub(super) fn summary(&self, record: DemoRecord) {
        let DemoRecord { first_message_ms, messages, received, gaps, total_ms, .. } = record;
        let sentence = text!(
            "\n{messages} messages, {received} déchiffrements, {gaps} manquant. Premier message lu {first_message_ms} ms après le lancement ; total {total_ms} ms.";
            "\n{messages} messages, {received} decryptions, {gaps} missing. First message read {first_message_ms} ms after the start; {total_ms} ms in all."
        );
        self.output.result(&Record::Demo(record), &sentence);
    }

    /// The visitor's turn: what to type in the second terminal.
    pub(super) fn your_turn(&self, link: &str, address: &str, home: &Path) {
        let program = std::env::args().next().unwrap_or_else(|| "cercle".to_owned());
        let title = GROUPS[0].title;
        let (program, home) = (quoted(&program), quoted(&home.display().to_string()));
        let enrol = format!("{program} --home {home} enrol {}", quoted(link));
        let chat = format!("{program} --home {home} chat accueil");
        self.output.result(
            &Record::DemoReady { invitation: link, address },
            &text!(
                "\nÀ vous ! Dans un second terminal :\n\n  {enrol}\n  {chat}\n\nVous serez ajouté(e) à « {title} » dès votre inscription. Ctrl-C ici pour tout arrêter.\n";
                "\nYour turn! In a second terminal:\n\n  {enrol}\n  {chat}\n\nYou will be added to \"{title}\" as soon as you are enrolled. Ctrl-C here ends everything.\n"
            ),
        );
    }

    pub(super) fn visitor_joined(&self) {
        let title = GROUPS[0].title;
        self.output.say(&text!(
            "  — Vous êtes dans « {title} ».";
            "  — You are in \"{title}\"."
        ));
    }

    pub(super) fn kept(&self, folder: &Path) {
        let place = folder.display();
        self.output.say(&text!("Données gardées dans {place}"; "Data kept in {place}"));
    }
}

fn text_of(message: &Message) -> &str {
    match &message.body {
        Body::Text(text) => &text.text,
        Body::Unknown { fallback } => fallback,
        _ => "",
    }
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"/._-".contains(&c);
    if word.bytes().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}
