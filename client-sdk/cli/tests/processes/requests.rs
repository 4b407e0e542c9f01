//! Somebody asks, somebody has it, it is handled: with a real hub and real commands.

use serde_json::Value;

use crate::world::{Hub, Person, group};

/// A hub that notes what it says, with Anne in two groups: north with Bruno, south with Claire.
fn two_sectors() -> (Hub, Person, Person, Person) {
    let hub = Hub::start_unsealed();
    let (anne, bruno, claire) = (hub.enrol("anne"), hub.enrol("bruno"), hub.enrol("claire"));
    group(&[&anne, &bruno], "Nord");
    group(&[&anne, &claire], "Sud");
    for person in [&bruno, &claire] {
        person.run(&["recv"]).expect_exit(0);
    }
    (hub, anne, bruno, claire)
}

/// Nobody: the OID is that of tests.
const INS: &str = "241026544012314";

/// Asks for a visit in both groups and returns the request's id.
fn ask_for_a_visit(anne: &Person) -> String {
    let patient = serde_json::json!({
        "birth_name": "Pirineoz",
        "birth_given_names": ["Zénobie"],
        "birth_date": "1941-02-03",
        "gender": "female",
        "reliability": "validated",
        "ins": INS,
        "ins_oid": "1.2.250.1.213.1.4.10",
    });
    let file = anne.profile().join("patient.json");
    std::fs::write(&file, patient.to_string()).unwrap();
    let arguments = [
        "ask",
        "unscheduled-care",
        "--to",
        "nord",
        "sud",
        "--title",
        "Visite infirmière",
        "--profession",
        "60",
        "--act",
        "Pansement complexe",
        "--commune",
        "65440",
        "--delay",
        "24",
        "--due",
        "2h",
        "--patient-file",
        file.to_str().unwrap(),
    ];
    // Outside of tests such an identity is refused, as the whole request is.
    anne.run(&arguments).expect_exit(2);
    let asked = anne.run_with_test_identities(&arguments);
    let line = asked.expect_exit(0).of_type("request").next().unwrap().clone();
    assert_eq!((line["state"].as_str(), line["groups"].as_array().unwrap().len()), (Some("open"), 2));
    line["request"].as_str().unwrap().to_owned()
}

/// The one request that a command shows.
pub(crate) fn only(person: &Person, arguments: &[&str]) -> Value {
    let finished = person.run(arguments);
    let mut rows = finished.expect_exit(0).of_type("request");
    let row = rows.next().unwrap_or_else(|| panic!("{finished:#?}")).clone();
    assert!(rows.next().is_none(), "{finished:#?}");
    row
}

/// The first row that fits. What the asking device owes to others it does while it is connected, and no command
/// waits for that: so it and the person connect until it is done.
pub(crate) fn row_in_the_end(
    asking: &Person,
    person: &Person,
    arguments: &[&str],
    fits: fn(&Value) -> bool,
) -> Value {
    for _ in 0..20 {
        asking.run(&["recv"]);
        person.run(&["recv"]);
        let seen = person.run(arguments);
        if let Some(row) = seen.of_type("request").find(|row| fits(row)) {
            return row.clone();
        }
    }
    panic!("no row of {arguments:?} fits");
}

#[test]
fn a_visit_asked_in_two_groups_is_handled_by_one_though_the_hub_is_killed_in_between() {
    let (mut hub, anne, bruno, claire) = two_sectors();
    let id = ask_for_a_visit(&anne);
    let row = only(&bruno, &["board"]);
    assert_eq!(
        (row["request"].as_str(), row["kind"].as_str()),
        (Some(id.as_str()), Some("unscheduled_care"))
    );
    assert_eq!(row["patient"], Value::Null);
    let claimed = only(&bruno, &["claim", &id[..8]]);
    assert_eq!(
        (claimed["state"].as_str(), claimed["owner"].as_str()),
        (Some("claimed"), Some("bruno@cpts.example"))
    );

    // Anne's device has told nobody yet, and the hub dies.
    hub.kill();
    anne.run(&["--timeout", "1", "recv"]).expect_exit(4);
    hub.spawn();
    let lost = claire.run(&["claim", &id[..8]]);
    let error = lost.expect_exit(10).of_type("error").next().unwrap().clone();
    assert_eq!(error["name"], "taken");
    assert!(error["message"].as_str().unwrap().contains("bruno"), "{error}");

    let told = row_in_the_end(&anne, &claire, &["board", "--person", "bruno"], |_| true);
    assert_eq!((told["owner_name"].as_str(), &told["patient"]), (Some("bruno (test)"), &Value::Null));
    let todo = row_in_the_end(&anne, &bruno, &["board", "--todo", "--patient", "piri"], |_| true);
    assert_eq!(
        (&todo["patient"]["birth_given_names"][0], &todo["patient"]["ins"]),
        (&"Zénobie".into(), &INS.into())
    );
    only(&bruno, &["schedule", &id[..8], "--from", "1h", "--place", "Domicile"]);
    only(&bruno, &["complete", &id[..8], "--report", "Pansement refait"]);
    let done = only(&anne, &["board", "--mine", "--closed"]);
    assert_eq!(done["state"], "completed");
    let steps: Vec<Value> = anne.run(&["show", &id]).of_type("step").cloned().collect();
    let actions: Vec<&str> = steps.iter().map(|step| step["action"]["type"].as_str().unwrap()).collect();
    assert_eq!(actions, ["claim", "schedule", "complete"]);
    row_in_the_end(&anne, &claire, &["board", "--closed"], |row| row["state"] == "completed");
    assert!(anne.run(&["board"]).expect_exit(0).lines.is_empty());

    let observed = hub.everything();
    let holds = |word: &str| observed.windows(word.len()).any(|window| window == word.as_bytes());
    assert!(holds("bruno@cpts.example") && holds("cercle_"), "the search finds what is there");
    let identity = ["Pirineoz", "Zénobie", "1941-02-03", INS, &INS[..13]];
    let care = ["Pansement", "infirmi", "65440", "Domicile", "unscheduled", "Nord"];
    for word in identity.iter().chain(&care) {
        assert!(!holds(word), "the hub knows {word}");
    }
}

#[test]
fn a_request_to_one_group_goes_from_hand_to_hand_in_french_and_english() {
    let (_hub, anne, bruno, _) = two_sectors();
    let asked =
        anne.run(&["ask", "tâche", "--to", "nord", "--title", "Rappeler le laboratoire", "--due", "3d"]);
    let id = asked.expect_exit(0).of_type("request").next().unwrap()["request"].as_str().unwrap().to_owned();
    only(&bruno, &["claim", &id[..6]]);
    only(&bruno, &["ask-info", &id[..6], "Lequel ?"]);
    assert_eq!(only(&anne, &["give-info", &id[..6], "Le laboratoire fictif."])["state"], "claimed");
    assert_eq!(only(&bruno, &["release", &id[..6], "--reason", "Absent"])["state"], "open");
    bruno.run(&["cancel", &id[..6]]).expect_exit(5);
    bruno.run(&["claim", "ffff0000"]).expect_exit(7);
    anne.run(&["ask", "referral", "--to", "nord", "--title", "Avis", "--recourse", "7"]).expect_exit(2);
    let said = |arguments: &[&str]| {
        let output = anne.human_command(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let french = said(&["board"]);
    assert!(french.contains("[tâche] Rappeler le laboratoire : ouverte, de anne (test)"), "{french}");
    let english = said(&["--lang", "en", "board"]);
    assert!(english.contains("[task] Rappeler le laboratoire : open, from anne (test)"), "{english}");
    let csv = said(&["board", "--csv", "--mine"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert!(
        lines[0].starts_with("request,kind,title,") && lines[1].starts_with(&format!("{id},task,")),
        "{csv}"
    );
    assert_eq!(only(&anne, &["cancel", &id[..6]])["state"], "cancelled");
}

#[test]
fn a_prescription_goes_with_its_document_to_the_pharmacy_until_it_is_dispensed() {
    let (_hub, anne, bruno, _) = two_sectors();
    let file = anne.profile().join("ordonnance.pdf");
    std::fs::write(&file, b"%PDF-1.4 fictif").unwrap();
    let ask = ["ask", "ordonnance", "--to", "nord", "--title", "Renouvellement"];
    let attach = ["--attach", file.to_str().unwrap()];
    let paper = ["--structure", "Officine", "--prescriber", "Dr Anne", "--date", "2026-11-24"];
    let patient =
        ["--patient-name", "Pirineoz", "--patient-given", "Zénobie", "--patient-born", "1941-02-03"];
    // Each thing that is missing is named, and before the document goes anywhere.
    for (given, missing) in [
        ([attach.as_slice(), &patient].concat(), "structure"),
        ([attach.as_slice(), &patient, &paper[..2]].concat(), "prescriber"),
        ([attach.as_slice(), &patient, &paper[..4]].concat(), "date"),
        ([attach.as_slice(), &paper].concat(), "patient"),
        ([patient.as_slice(), &paper].concat(), "documents"),
    ] {
        let refused = anne.run(&[ask.as_slice(), &given].concat());
        let error = refused.expect_exit(2).of_type("error").next().unwrap()["message"].to_string();
        assert!(error.contains(missing), "{missing}: {error}");
        assert_eq!(refused.of_type("progress").count(), 0);
    }
    let asked = anne.run(&[ask.as_slice(), &attach, &paper, &patient].concat());
    let id = asked.expect_exit(0).of_type("request").next().unwrap()["request"].as_str().unwrap().to_owned();
    only(&bruno, &["claim", &id[..8]]);
    only(&bruno, &["progress", &id[..8], "received"]);
    only(&bruno, &["progress", &id[..8], "prepared"]);
    bruno.run(&["progress", &id[..8], "received"]).expect_exit(5);
    let done = only(&bruno, &["progress", &id[..8], "dispensed"]);
    assert_eq!((done["state"].as_str(), done["progress"].as_str()), (Some("completed"), Some("dispensed")));
}

#[test]
fn an_opinion_is_given_with_its_report_and_both_documents_are_fetched() {
    let (_hub, anne, bruno, _) = two_sectors();
    let [photo, report] =
        [("lesion.txt", "photo fictive"), ("avis.txt", "compte rendu fictif")].map(|(name, text)| {
            let path = anne.profile().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        });
    let ask = ["ask", "téléexpertise", "--to", "nord", "--title", "Lésion", "--question", "Biopsie ?"];
    let consent = ["--consent", "oral", "--consent-date", "2026-11-20", "--attach", &photo];
    anne.run(&[&ask[..], &["--consent", "oral", "--consent-date", "hier"]].concat()).expect_exit(2);
    let asked = anne.run(&[&ask[..], &consent].concat());
    let id = asked.expect_exit(0).of_type("request").next().unwrap()["request"].as_str().unwrap().to_owned();
    only(&bruno, &["claim", &id[..8]]);
    let answered = only(&bruno, &["answer", &id[..8], "Pas de biopsie.", "--attach", &report]);
    assert_eq!(answered["state"], "answered");
    anne.run(&["recv"]).expect_exit(0);
    for (reader, kind, name) in [(&bruno, "request", "lesion.txt"), (&anne, "transition", "avis.txt")] {
        let all = reader.run(&["recv", "--all", "nord"]);
        let carries = |line: &&Value| line["kind"] == kind && line["content"].to_string().contains(name);
        let message = all.of_type("message").find(carries).unwrap_or_else(|| panic!("{all:#?}"));
        let place = format!("nord:{}", message["seq"]);
        let folder = reader.profile();
        let got = reader.run(&["get", &place, "-o", folder.to_str().unwrap(), "--force"]);
        let path = got.expect_exit(0).of_type("fetched").next().unwrap()["path"].as_str().unwrap().to_owned();
        assert!(std::fs::read_to_string(path).unwrap().ends_with("fictif") || kind == "request");
    }
    // Both are in the trace for the practice software.
    let exported = anne.run(&["export", "nord", &id[..8], "--fhir"]);
    let bundle = &exported.expect_exit(0).of_type("fhir").next().unwrap()["resource"];
    let task = &bundle["entry"][1]["resource"];
    assert_eq!(task["output"][0]["valueString"], "Pas de biopsie.");
    assert_eq!(task["note"].as_array().unwrap().len(), 2);
    assert_eq!(bundle["entry"][2]["resource"]["dateTime"], "2026-11-20");
}

#[test]
fn a_claim_without_connection_is_kept_and_made_by_the_next_command() {
    let (_hub, anne, bruno, _) = two_sectors();
    let id = ask_for_a_visit(&anne);
    only(&bruno, &["board"]);
    bruno.run(&["--offline", "claim", &id[..8]]).expect_exit(6);
    assert_eq!(only(&bruno, &["--offline", "board"])["claiming"], true);
    // A command that reads does not wait for the hub's verdict on it.
    row_in_the_end(&anne, &bruno, &["board", "--todo"], |row| row["owner"] == "bruno@cpts.example");
}
