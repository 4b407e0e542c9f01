//! The fields that scripts rely on, as docs/cli.md lists them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::world::{Finished, Hub, Person};

/// The fields of each type, as documented.
const FIELDS: &[(&str, &[&str])] = &[
    (
        "identity",
        &[
            "user",
            "device",
            "display_name",
            "profession",
            "class",
            "hub",
            "root_fingerprint",
            "certificate_expires_at_ms",
        ],
    ),
    (
        "group",
        &[
            "group",
            "title",
            "state",
            "epoch",
            "epoch_authenticator",
            "cursor",
            "users",
            "devices",
            "administrators",
        ],
    ),
    (
        "member",
        &[
            "group",
            "user",
            "device",
            "display_name",
            "profession",
            "class",
            "administrator",
            "own",
            "certificate_expires_at_ms",
        ],
    ),
    ("invited", &["group", "devices", "missing"]),
    ("removed", &["group", "users"]),
    ("left", &["group"]),
    ("keys_updated", &["group"]),
    ("accepted", &["group", "id", "seq", "at_ms"]),
    ("kept", &["group", "id", "waiting"]),
    (
        "message",
        &[
            "group",
            "title",
            "seq",
            "id",
            "sender",
            "device",
            "display_name",
            "own",
            "expired_certificate",
            "at_ms",
            "sent_at_ms",
            "in_reply_to",
            "exported_by",
            "kind",
            "text",
            "content",
        ],
    ),
    ("attached", &["group", "transfer"]),
    ("progress", &["transfer", "done", "total"]),
    ("fetched", &["transfer", "path", "name", "media_type", "size"]),
    ("transfer", &["transfer", "group", "name", "size", "begun_at_ms"]),
    ("cancelled", &["transfer"]),
    ("status", &["user", "device", "hub", "online", "groups", "waiting", "certificate_expires_at_ms"]),
    ("delivery", &["group", "user", "device", "acked", "waiting"]),
    ("device", &["user", "device", "enrolled_at_ms", "expires_at_ms", "last_seen_at_ms", "revoked", "own"]),
    ("invitation", &["user", "link", "expires_at_ms"]),
    (
        "request",
        &[
            "request",
            "kind",
            "title",
            "priority",
            "state",
            "progress",
            "overdue",
            "requester",
            "requester_name",
            "situation",
            "owner",
            "owner_name",
            "assignee",
            "patient",
            "claiming",
            "asked_at_ms",
            "changed_at_ms",
            "due_ms",
            "expires_ms",
            "groups",
        ],
    ),
    ("step", &["request", "group", "seq", "at_ms", "by", "name", "situation", "action", "text", "state"]),
    (
        "thread",
        &[
            "group",
            "title",
            "topic",
            "kind",
            "communes",
            "professions",
            "structure",
            "read_receipts",
            "history",
            "unread",
            "mentions",
            "read_up_to",
            "pinned",
            "read",
        ],
    ),
    ("thread_message", THREAD_MESSAGE),
    ("read", &["group", "up_to", "messages", "mentions"]),
    ("read_place", &["group", "user", "up_to", "at_ms"]),
    ("hit", HIT),
    ("kind", &["kind"]),
    ("template", &["kind", "content"]),
    ("state", &["group", "kind", "state"]),
    ("draft", &["kind", "content", "documents", "problems"]),
    ("calendar", &["group", "content"]),
    ("fhir", &["resource"]),
    (
        "circle",
        &[
            "group",
            "title",
            "patient",
            "traits",
            "warnings",
            "audience",
            "standing",
            "history",
            "consents",
            "objection",
            "summary",
        ],
    ),
    (
        "circle_member",
        &[
            "group",
            "user",
            "display_name",
            "class",
            "role",
            "basis",
            "starts_at_ms",
            "ends_at_ms",
            "note",
            "current",
            "present",
        ],
    ),
    (
        "timeline",
        &[
            "group",
            "seq",
            "message",
            "at_ms",
            "kind",
            "line",
            "author",
            "display_name",
            "device",
            "exported_by",
        ],
    ),
    ("refusal", &["group", "user", "reason", "at_ms"]),
    ("exported", &["group", "messages", "documents", "missing", "manifest_sha256"]),
    (
        "export_verified",
        &[
            "exporter",
            "device",
            "display_name",
            "root_fingerprint",
            "root_expected",
            "exported_at_ms",
            "messages",
            "files",
        ],
    ),
    ("export_fault", &["fault", "path"]),
    ("directory_entry", DIRECTORY_ENTRY),
    ("rule", &["group", "professions", "communes", "structures", "skills", "tags", "add", "remove"]),
    ("directory_page", &["total", "professions", "communes", "imported_at_ms"]),
    ("error", &["code", "name", "message", "mend"]),
];

/// Those of an entry of the directory.
const DIRECTORY_ENTRY: &[&str] = &[
    "key",
    "kind",
    "title",
    "family",
    "given",
    "professions",
    "skills",
    "activities",
    "mailboxes",
    "users",
    "accepting",
    "on_duty",
    "distance_km",
    "card",
];

/// Those of a message, and what became of it.
const THREAD_MESSAGE: &[&str] = &[
    "group",
    "title",
    "seq",
    "id",
    "sender",
    "device",
    "display_name",
    "own",
    "expired_certificate",
    "at_ms",
    "sent_at_ms",
    "in_reply_to",
    "exported_by",
    "kind",
    "text",
    "content",
    "edited_at_ms",
    "retracted",
    "reactions",
    "replies",
    "pinned",
];

/// Those of a message, and where it fits.
const HIT: &[&str] = &[
    "group",
    "title",
    "seq",
    "id",
    "sender",
    "device",
    "display_name",
    "own",
    "expired_certificate",
    "at_ms",
    "sent_at_ms",
    "in_reply_to",
    "exported_by",
    "kind",
    "text",
    "content",
    "snippet",
    "marks",
];

fn check(line: &Value, seen: &mut BTreeSet<String>) {
    let kind = line["type"].as_str().unwrap_or_else(|| panic!("no type in {line}"));
    seen.insert(kind.to_owned());
    let Some((_, fields)) = FIELDS.iter().find(|(name, _)| *name == kind) else { return };
    let expected: BTreeSet<&str> = fields.iter().copied().chain(["type"]).collect();
    let found: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(found, expected, "fields of {kind}");
}

/// A typed message from its example to FHIR and back.
fn typed_messages(bob: &Person, mut run: impl FnMut(&[&str]) -> Finished) {
    run(&["template"]);
    let template = run(&["template", "directory_card"]);
    let folder = tempfile::tempdir().unwrap();
    let card = folder.path().join("card.json");
    let content = template.of_type("template").next().unwrap()["content"].to_string();
    std::fs::write(&card, content).unwrap();
    let accepted = bob.run(&["post", "champs", card.to_str().unwrap()]);
    let id = accepted.of_type("accepted").next().unwrap()["id"].as_str().unwrap().to_owned();
    run(&["availability", "champs", "on-duty", "2099-12-31"]);
    run(&["state", "champs"]);
    run(&["calendar", "champs"]);
    let exported = run(&["export", "champs", &id, "--fhir"]);
    std::fs::write(&card, exported.of_type("fhir").next().unwrap()["resource"].to_string()).unwrap();
    run(&["import", card.to_str().unwrap(), "--fhir"]);
}

#[test]
fn every_command_prints_the_documented_fields() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    let mut seen = BTreeSet::new();
    let mut run = |person: &Person, arguments: &[&str]| {
        let finished = person.run(arguments);
        assert!(!finished.lines.is_empty(), "{finished:#?}");
        finished.lines.iter().for_each(|line| check(line, &mut seen));
        finished
    };
    run(&alice, &["whoami"]);
    run(&alice, &["new", "Champs"]);
    run(&alice, &["invite", "champs", "bob"]);
    run(&alice, &["send", "champs", "bonjour"]);
    run(&bob, &["recv"]);
    run(&alice, &["thread", "champs"]);
    run(&alice, &["read", "champs"]);
    run(&alice, &["search", "bonj"]);
    run(&alice, &["direct", "bob"]);
    run(&alice, &["send", "alice", "bonjour Bob"]);
    run(&bob, &["recv"]);
    run(&bob, &["read", "alice"]);
    run(&alice, &["status", "alice"]);
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("a.txt"), "Normal.").unwrap();
    run(&alice, &["attach", "champs", &path("a.txt"), "--confidential", "masque-ps"]);
    let received = run(&bob, &["recv"]);
    let document = received.of_type("message").find(|line| line["kind"] == "document").unwrap();
    let place = format!("champs/{}", document["seq"]);
    run(&bob, &["get", &place, "-o", &path("b.txt")]);
    run(&alice, &["--offline", "attach", "champs", &path("a.txt")]);
    run(&alice, &["--offline", "transfers"]);
    run(&alice, &["--offline", "transfers", "--cancel", ""]);
    run(&alice, &["groups"]);
    run(&alice, &["members", "champs"]);
    run(&alice, &["status"]);
    run(&alice, &["status", "champs"]);
    run(&alice, &["update-keys", "champs"]);
    run(&alice, &["devices"]);
    run(&alice, &["invitation"]);
    let asked = alice.run(&["ask", "task", "--to", "champs", "--title", "Ranger"]);
    let request = asked.expect_exit(0).lines[0]["request"].as_str().unwrap().to_owned();
    run(&bob, &["claim", &request]);
    run(&bob, &["show", &request]);
    run(&alice, &["board"]);
    run(&alice, &["--offline", "send", "champs", "plus tard"]);
    run(&alice, &["send", "inconnu", "x"]);
    typed_messages(&bob, |arguments| run(&bob, arguments));
    run(&alice, &crate::circle::NEW);
    run(&alice, &["circle", "add", "cercle", "bob", "--role", "infirmier"]);
    run(&alice, &["circle", "refusals"]);
    run(&alice, &["circle", "timeline", "cercle"]);
    let export = path("export");
    run(&alice, &["circle", "export", "cercle", &export]);
    run(&bob, &["verify-export", &export]);
    std::fs::write(home.path().join("export/more"), "x").unwrap();
    run(&bob, &["verify-export", &export]);
    run(&alice, &["directory", "search", "bob", "--facets"]);
    run(&alice, &["rule", "show", "champs"]);
    run(&alice, &["remove", "champs", "bob"]);
    run(&alice, &["leave", "champs"]);
    let documented: BTreeSet<String> = FIELDS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert!(documented.is_subset(&seen), "never seen: {:?}", documented.difference(&seen));
}

#[test]
fn the_documentation_names_every_type_and_field() {
    let documentation = include_str!("../../../../docs/cli.md");
    for (kind, fields) in FIELDS {
        let row = documentation.lines().find(|line| line.starts_with(&format!("| `{kind}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/cli.md has no row for {kind}"));
        for field in *fields {
            assert!(row.contains(&format!("`{field}`")), "{field} of {kind}");
        }
    }
}
