//! What the audience sees of the demonstration.

use std::{path::Path, time::Duration};

use cercle_sdk::{
    client::now_ms,
    core::{BoardRow, Message},
};

use super::{
    cast::{GROUPS, PEOPLE, WELCOME},
    hub::DemoHub,
    people::People,
};
use crate::{
    language::{Language, Text},
    output::Output,
    records::{MessageRecord, Record, RequestRecord, demo::DemoRecord},
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

    /// A scene begins.
    pub(super) fn scene(&self, title: &Text) {
        self.output.say(&text!(""; ""));
        self.output.say(title);
        self.output.say(&text!(""; ""));
    }

    /// Somebody says or does something, in these groups or with this request.
    pub(super) fn says(&self, place: &str, name: &str, words: &Text) {
        let Text { fr, en } = words;
        self.output.say(&text!("  [{place}] {name} : {fr}"; "  [{place}] {name}: {en}"));
    }

    /// What came of it.
    pub(super) fn note(&self, words: &Text) {
        let Text { fr, en } = words;
        self.output.say(&text!("      ✓ {fr}"; "      ✓ {en}"));
    }

    /// A message was decrypted by all its readers after this time.
    pub(super) fn decrypted(&self, readers: usize, took_ms: u64) {
        self.note(&text!(
            "déchiffré par {readers} appareil(s), {took_ms} ms";
            "decrypted by {readers} device(s), {took_ms} ms"
        ));
    }

    /// A line of a list.
    pub(super) fn line(&self, words: &Text) {
        let Text { fr, en } = words;
        self.output.say(&text!("  {fr}"; "  {en}"));
    }

    /// A message of or to the visitor.
    pub(super) fn live(&self, title: &str, message: &Message) {
        let (name, body) = (&message.display_name, &message.body);
        let (fr, en) = (body.render(Language::French), body.render(Language::English));
        self.output.result(
            &Record::Message(MessageRecord::new(title, message, self.output.language())),
            &text!("  [{title}] {name} : {fr}"; "  [{title}] {name}: {en}"),
        );
    }

    /// When the program was started, ms since the Unix epoch.
    pub(super) fn started_ms(&self) -> u64 {
        self.started_ms
    }

    pub(super) fn summary(&self, record: Box<DemoRecord>) {
        let DemoRecord { first_message_ms, messages, received, gaps, total_ms, .. } = *record;
        let sentence = text!(
            "\n{messages} messages, {received} déchiffrements, {gaps} manquant. Premier message lu {first_message_ms} ms après le lancement ; total {total_ms} ms.";
            "\n{messages} messages, {received} decryptions, {gaps} missing. First message read {first_message_ms} ms after the start; {total_ms} ms in all."
        );
        self.output.result(&Record::Demo(record), &sentence);
    }

    /// The visitor's turn: what to type in the second terminal.
    pub(super) fn your_turn(&self, link: &str, address: &str, home: &Path) {
        let title = GROUPS[WELCOME].title;
        let cercle = command(home);
        let (enrol, chat) = (format!("{cercle} enrol {}", quoted(link)), format!("{cercle} chat accueil"));
        self.output.result(
            &Record::DemoReady { invitation: link, address },
            &text!(
                "\nÀ vous ! Dans un second terminal :\n\n  {enrol}\n  {chat}\n\nVous serez ajouté(e) à « {title} » dès votre inscription. Ctrl-C ici pour tout arrêter.\n";
                "\nYour turn! In a second terminal:\n\n  {enrol}\n  {chat}\n\nYou will be added to \"{title}\" as soon as you are enrolled. Ctrl-C here ends everything.\n"
            ),
        );
    }

    pub(super) fn visitor_joined(&self) {
        let title = GROUPS[WELCOME].title;
        self.output.say(&text!(
            "  — Vous êtes dans « {title} ».";
            "  — You are in \"{title}\"."
        ));
    }

    /// Something that the visitor may take on, and how.
    pub(super) fn visitor_asked(&self, row: &BoardRow, home: &Path) {
        let (cercle, digits, title) = (command(home), &row.request.to_hex()[..8], &row.title);
        self.output.result(
            &Record::Request(RequestRecord::new(row)),
            &text!(
                "  — Une demande est ouverte : {title}. Après votre discussion (Ctrl-D) :\n\n  {cercle} board\n  {cercle} claim {digits}\n  {cercle} complete {digits} --report 'Fait'\n";
                "  — A request is open: {title}. When you have left the chat (Ctrl-D):\n\n  {cercle} board\n  {cercle} claim {digits}\n  {cercle} complete {digits} --report 'Fait'\n"
            ),
        );
    }

    pub(super) fn kept(&self, folder: &Path) {
        let place = folder.display();
        self.output.say(&text!("Données gardées dans {place}"; "Data kept in {place}"));
    }
}

/// This program with the visitor's profile, as a shell reads it.
fn command(home: &Path) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "cercle".to_owned());
    format!("{} --home {}", quoted(&program), quoted(&home.display().to_string()))
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"/._-".contains(&c);
    if word.bytes().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}
