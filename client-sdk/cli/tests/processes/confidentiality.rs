//! What a hub, its operator and the network learn of a day's work: that people write to each other, and nothing of
//! what they say. Everything is searched for every word of the day, plain and as other programs write bytes.

use std::{collections::BTreeSet, fs};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde_json::{Value, json};

use crate::{
    tap::Tap,
    world::{Finished, Hub, Person, group, until},
};

/// Nobody: the OID is that of tests.
const INS: &str = "241026544012314";
/// Identity traits of the day's patient.
const IDENTITY: [&str; 5] = ["Zwetkoff", "Yseult", "1937-04-09", INS, "241026544012"];
/// What is said of her and of others, as it is typed below.
const SAID: [&str; 18] = [
    "Secteur Quixote",
    "Escarre du talon",
    "Pansement complexe",
    "Naevus suspect",
    "dermoscopie",
    "Clinique Zambèze",
    "Perfusion nocturne",
    "Officine Quetzal",
    "Dr Xavier Prescripteur",
    "Renouvellement antalgique",
    "Rappeler la famille",
    "Bénin, sans critère",
    "cicatrisation achevée",
    "domicile-quai-9",
    "VT-2026-0042",
    "voisinage méfiant",
    "plaie-talon",
    "contenu du document",
];

/// Names of kinds, as a careless hub would note them.
const KINDS: [&str; 9] = [
    "unscheduled_care",
    "tele_expertise",
    "patient_without_gp",
    "prescription",
    "event_alert",
    "care_plan",
    "circle_opened",
    "ordonnance",
    "patient_circle",
];

struct Day {
    hub: Hub,
    tap: Tap,
    anne: Person,
    bruno: Person,
    claire: Person,
}

fn day() -> Day {
    // What the hub knows must not hide behind its seal.
    let hub = Hub::start_unsealed();
    let tap = Tap::before(hub.address(), &hub.data());
    let [anne, bruno, claire] = ["anne", "bruno", "claire"].map(|name| hub.enrol_at(name, &tap.address));
    group(&[&anne, &bruno, &claire], "Secteur Quixote Nord");
    group(&[&anne, &claire], "Secteur Quixote Sud");
    for person in [&bruno, &claire] {
        person.run(&["recv"]).expect_exit(0);
    }
    Day { hub, tap, anne, bruno, claire }
}

/// The patient's traits in a file.
fn traits(person: &Person) -> String {
    let patient = json!({
        "birth_name": "Zwetkoff",
        "birth_given_names": ["Yseult"],
        "birth_date": "1937-04-09",
        "gender": "female",
        "reliability": "validated",
        "ins": INS,
        "ins_oid": "1.2.250.1.213.1.4.10",
    });
    file(person, "patient.json", &patient.to_string())
}

fn file(person: &Person, name: &str, content: &str) -> String {
    let path = person.profile().join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

fn id(finished: &Finished) -> String {
    let line = finished.expect_exit(0).of_type("request").next().unwrap();
    line["request"].as_str().unwrap().to_owned()
}

impl Day {
    /// One request of each kind, about her; the first goes to both groups. Returns their ids.
    fn ask_everything(&self) -> Vec<String> {
        let patient = traits(&self.anne);
        let paper = file(&self.anne, "plaie-talon.pdf", "%PDF-1.4 contenu du document de Zwetkoff");
        let (north, both) =
            (["Secteur Quixote Nord"].as_slice(), ["Secteur Quixote Nord", "Secteur Quixote Sud"]);
        let asked: [(&str, &[&str], &[&str]); 7] = [
            (
                "snp",
                &both,
                &["--profession", "60", "--act", "Pansement complexe", "--commune", "65440", "--delay", "24"],
            ),
            (
                "adressage",
                north,
                &["--speciality", "SM15", "--reference", "VT-2026-0042", "--consent", "oral"],
            ),
            (
                "téléexpertise",
                north,
                &["--question", "Naevus suspect à la dermoscopie ?", "--attach", &paper],
            ),
            ("sans-mt", north, &["--commune", "65440", "--need", "Renouvellement antalgique"]),
            (
                "retour-domicile",
                north,
                &[
                    "--facility",
                    "Clinique Zambèze",
                    "--date",
                    "2026-11-30",
                    "--need",
                    "60:Perfusion nocturne",
                ],
            ),
            (
                "ordonnance",
                north,
                &[
                    "--structure",
                    "Officine Quetzal",
                    "--prescriber",
                    "Dr Xavier Prescripteur",
                    "--date",
                    "2026-11-24",
                    "--attach",
                    &paper,
                ],
            ),
            ("tâche", north, &["--reason", "Rappeler la famille"]),
        ];
        let ask = |(kind, groups, more): (&str, &[&str], &[&str])| {
            let base = ["ask", kind, "--title", "Escarre du talon", "--patient-file", &patient, "--to"];
            id(&self.anne.run_with_test_identities(&[&base, groups, more].concat()))
        };
        asked.into_iter().map(ask).collect()
    }

    /// Bruno has the request to both groups, hears whom it is about, and handles it; then he answers another.
    fn handle(&self, requests: &[String]) {
        self.bruno.run(&["claim", &requests[0]]).expect_exit(0);
        self.until_told(&requests[0]);
        let schedule = ["schedule", &requests[0], "--from", "2h", "--place", "domicile-quai-9"];
        self.bruno.run(&schedule).expect_exit(0);
        self.bruno.run(&["complete", &requests[0], "--report", "cicatrisation achevée"]).expect_exit(0);
        self.bruno.run(&["claim", &requests[2]]).expect_exit(0);
        self.bruno.run(&["answer", &requests[2], "Bénin, sans critère d'alerte"]).expect_exit(0);
    }

    /// What Anne's device owes to the owner it does while it is connected.
    fn until_told(&self, request: &str) {
        until(|| {
            self.anne.run(&["recv"]);
            self.bruno.run(&["recv"]);
            let seen = self.bruno.run(&["board", "--todo"]);
            let knows = |row: &Value| row["request"] == request && row["patient"]["birth_name"] == "Zwetkoff";
            seen.of_type("request").any(knows)
        });
    }

    /// Every other kind that a person writes, between Anne and Bruno, and a circle with a document and an export.
    /// Returns the words of the examples.
    fn write_everything_else(&self) -> BTreeSet<String> {
        let direct = self.anne.run(&["direct", "bruno"]);
        let direct =
            direct.expect_exit(0).of_type("group").next().unwrap()["group"].as_str().unwrap().to_owned();
        let kinds = self.anne.run(&["template"]);
        let mut words = BTreeSet::new();
        for kind in kinds.expect_exit(0).of_type("kind").map(|line| line["kind"].as_str().unwrap().to_owned())
        {
            let template = self.anne.run(&["template", &kind]);
            let content = &template.expect_exit(0).of_type("template").next().unwrap()["content"];
            words_of(content, &mut words);
            self.anne.run_with_input(&["post", &direct, "-"], &content.to_string()).expect_exit(0);
        }
        self.bruno.run(&["recv"]).expect_exit(0);
        let patient = ["--birth-name", "Zwetkoff", "--given", "Yseult", "--birth-date", "1937-04-09"];
        let more = ["--gender", "female", "--role", "médecin traitant"];
        self.anne.run(&[&["circle", "new", "Cercle Zwetkoff"], &patient[..], &more].concat()).expect_exit(0);
        let add = ["circle", "add", "Cercle Zwetkoff", "bruno", "--role", "infirmier", "--basis", "team"];
        self.anne.run(&add).expect_exit(0);
        self.anne.run(&["send", "Cercle Zwetkoff", "voisinage méfiant"]).expect_exit(0);
        let paper = file(&self.anne, "plaie-talon.txt", "contenu du document de Zwetkoff");
        self.anne.run(&["attach", "Cercle Zwetkoff", &paper, "--title", "plaie-talon"]).expect_exit(0);
        let got = self.bruno.profile();
        let came = self.bruno.run(&["recv", "Cercle Zwetkoff"]);
        let document = came.of_type("message").find(|line| line["kind"] == "document").unwrap()["id"].clone();
        self.bruno.run(&["get", document.as_str().unwrap(), "-o", got.to_str().unwrap()]).expect_exit(0);
        words
    }
}

/// Texts of an example that are long enough to mean something by themselves. Codes are left out: `protocol` is said
/// of other things too.
fn words_of(value: &Value, words: &mut BTreeSet<String>) {
    let is_code = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    match value {
        Value::String(text) if text.len() >= 8 && !is_code(text) => drop(words.insert(text.clone())),
        Value::Array(list) => list.iter().for_each(|value| words_of(value, words)),
        Value::Object(fields) => fields.values().for_each(|value| words_of(value, words)),
        _ => {}
    }
}

/// What is to be found: a word, its bytes as they are, as hexadecimal digits, and inside base64 at each offset.
pub(crate) struct Words(Vec<(String, Vec<u8>)>);

impl Words {
    pub(crate) fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms = Vec::new();
        for word in words {
            forms.push((word.to_owned(), word.as_bytes().to_vec()));
            let hex: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
            forms.push((format!("{word}, as digits"), hex.into_bytes()));
            for before in 0..3 {
                let shifted = STANDARD_NO_PAD.encode([&vec![b' '; before][..], word.as_bytes()].concat());
                // The first and last digits depend on what is around the word.
                let (from, to) = (before * 4 / 3 + usize::from(before > 0), shifted.len() - 2);
                forms.push((format!("{word}, as base64"), shifted.as_bytes()[from..to].to_vec()));
            }
        }
        Self(forms)
    }

    /// Those that are in the bytes.
    pub(crate) fn found_in(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let mut begins = vec![false; 1 << 16];
        let pair = |bytes: &[u8]| usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
        self.0.iter().for_each(|(_, form)| begins[pair(form)] = true);
        let mut found = BTreeSet::new();
        for at in 0..bytes.len().saturating_sub(1) {
            if begins[pair(&bytes[at..])] {
                let here = self.0.iter().filter(|(_, form)| bytes[at..].starts_with(form));
                found.extend(here.map(|(word, _)| word.as_str()));
            }
        }
        found
    }
}

#[test]
fn neither_hub_nor_network_nor_who_has_no_part_in_it_learns_a_word_of_the_day() {
    let day = day();
    let requests = day.ask_everything();
    for person in [&day.bruno, &day.claire] {
        person.run(&["recv"]).expect_exit(0);
    }
    day.handle(&requests);
    let examples = day.write_everything_else();

    // Claire is in the groups and has no part in any of it: what her device decrypted names nobody.
    let claire = &day.claire;
    claire.run(&["recv"]).expect_exit(0);
    let mut decrypted = Vec::new();
    for arguments in [["recv", "--all"].as_slice(), &["board", "--closed"], &["show", &requests[0]]] {
        let finished = claire.run(arguments);
        finished.expect_exit(0).lines.iter().for_each(|line| decrypted.extend(line.to_string().bytes()));
    }
    let identity = Words::new(IDENTITY);
    assert_eq!(identity.found_in(&decrypted), BTreeSet::new(), "who did not claim knows nobody");
    let said = Words::new(["Escarre du talon", "Pansement complexe", "unscheduled_care"]);
    assert_eq!(said.found_in(&decrypted).len(), 3, "she reads what is asked");

    let examples: Vec<&str> = examples.iter().map(String::as_str).collect();
    let all = Words::new(IDENTITY.into_iter().chain(SAID).chain(KINDS).chain(examples));
    let control = Words::new(["bruno@cpts.example"]);
    let (kept, wire, inside) = (day.hub.everything(), day.tap.on_the_wire(), day.tap.inside_tls());
    assert!(!control.found_in(&kept).is_empty(), "the search of what the hub keeps finds what is there");
    assert!(!control.found_in(&inside).is_empty(), "the tap hears what the hub is told");
    assert_eq!(control.found_in(&wire), BTreeSet::new(), "and the network not even that");
    for (place, bytes) in
        [("files, logs and metrics", kept), ("what the hub is told", inside), ("the wire", wire)]
    {
        assert_eq!(all.found_in(&bytes), BTreeSet::new(), "{place}");
    }
}

#[test]
fn a_word_is_found_in_each_of_its_forms() {
    let words = Words::new(["Zwetkoff"]);
    let hidden = |around: &str| STANDARD_NO_PAD.encode(format!("{around}Zwetkoff et suite"));
    for text in [
        "x Zwetkoff".to_owned(),
        "7a 5a7765746b6f6666".to_owned(),
        hidden(""),
        hidden("a"),
        hidden("ab"),
        hidden("abc"),
    ] {
        assert_eq!(words.found_in(text.as_bytes()).len(), 1, "{text}");
    }
    assert!(words.found_in(b"Zwetkof").is_empty());
}
