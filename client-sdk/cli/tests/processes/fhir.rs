//! What a practice software is given and gives: FHIR files of requests, documents and circles, with real processes.

use serde_json::Value;

use crate::world::{Finished, Hub, Person, group};

/// Nobody: the OID is that of tests.
const INS: &str = "241026544012314";

/// Enrols somebody with a profession in his certificate.
fn enrol(hub: &Hub, user: &str, profession: &str) -> Person {
    let person = Person::new(user);
    let link = hub.invitation(user, &["--profession", profession]);
    person.run(&["enrol", "--no-recovery", &link]).expect_exit(0);
    person
}

/// The only resource that a command prints.
fn fhir(person: &Person, arguments: &[&str]) -> Value {
    let finished = person.run(&[arguments, &["--fhir"]].concat());
    finished.expect_exit(0).of_type("fhir").next().unwrap()["resource"].clone()
}

/// The resources of a type in a bundle.
fn all<'a>(bundle: &'a Value, kind: &str) -> Vec<&'a Value> {
    let entries = bundle["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
    entries.filter(|resource| resource["resourceType"] == kind).collect()
}

/// What a resource contains at a place of its own.
fn contained<'a>(resource: &'a Value, reference: &Value) -> &'a Value {
    let place = reference["reference"].as_str().unwrap().strip_prefix('#').unwrap();
    let inner = resource["contained"].as_array().unwrap().iter().find(|inner| inner["id"] == place);
    inner.unwrap_or_else(|| panic!("{place} is not in {resource}"))
}

fn request(finished: &Finished) -> String {
    finished.expect_exit(0).of_type("request").next().unwrap()["request"].as_str().unwrap().to_owned()
}

/// A file of this person with this text.
fn file(person: &Person, name: &str, text: &str) -> String {
    let path = person.profile().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Connects the two until the second sees it. What the device that asked owes to others it does while it is
/// connected, and no command waits for that.
fn in_the_end<T>(asking: &Person, person: &Person, see: impl Fn() -> Option<T>) -> T {
    for _ in 0..50 {
        asking.run(&["recv"]);
        person.run(&["recv"]);
        if let Some(seen) = see() {
            return seen;
        }
    }
    panic!("{} never sees it", person.name);
}

#[test]
fn who_took_a_wide_request_on_exports_its_patient_and_nobody_else_in_the_group_can() {
    let hub = Hub::start();
    let anne = enrol(&hub, "anne", "10");
    let (bruno, claire) = (enrol(&hub, "bruno", "60"), hub.enrol("claire"));
    group(&[&anne, &bruno, &claire], "Nord");
    group(&[&anne, &claire], "Sud");
    group(&[&anne, &claire], "Est");
    bruno.run(&["recv"]).expect_exit(0);
    claire.run(&["recv"]).expect_exit(0);
    let traits = serde_json::json!({
        "birth_name": "Pirineoz",
        "birth_given_names": ["Zénobie"],
        "birth_date": "1941-02-03",
        "gender": "female",
        "reliability": "validated",
        "ins": INS,
        "ins_oid": "1.2.250.1.213.1.4.10",
    });
    let patient = file(&anne, "patient.json", &traits.to_string());
    let visit = ["ask", "snp", "--to", "nord", "sud", "--title", "Visite", "--profession", "60"];
    let what = ["--act", "Pansement", "--commune", "65440", "--delay", "24", "--patient-file", &patient];
    let where_from = ["--acting-structure", "1650000123"];
    let asked = anne.run_with_test_identities(&[&visit[..], &what, &where_from].concat());
    let id = request(&asked);
    anne.run(&["widen", &id[..8], "--to", "est", "--acting-structure", "650000789"]).expect_exit(0);

    bruno.run(&["recv"]).expect_exit(0);
    let before = fhir(&bruno, &["export", "nord", &id[..8]]);
    assert!(all(&before, "Patient").is_empty() && !before.to_string().contains(INS));
    bruno.run(&["claim", &id[..8], "--acting-structure", "650000456"]).expect_exit(0);
    let named = in_the_end(&anne, &bruno, || {
        let bundle = fhir(&bruno, &["export", "nord", &id[..8]]);
        (!all(&bundle, "Patient").is_empty()).then_some(bundle)
    });
    let patient = all(&named, "Patient")[0];
    assert_eq!(
        (&patient["identifier"][0]["value"], &patient["name"][0]["family"]),
        (&INS.into(), &"Pirineoz".into())
    );
    let (service, task) = (all(&named, "ServiceRequest")[0], all(&named, "Task")[0]);
    let subject = named["entry"].as_array().unwrap().iter().find(|entry| entry["resource"] == *patient);
    assert_eq!(service["subject"]["reference"], subject.unwrap()["fullUrl"]);
    assert_eq!(task["status"], "accepted");
    let owner = contained(task, &task["owner"]);
    assert_eq!(owner["code"][0]["coding"][0]["code"], "60");
    assert_eq!(owner["organization"]["identifier"]["value"], "650000456");
    assert_eq!(all(&fhir(&anne, &["export", "nord", &id[..8]]), "Patient").len(), 1, "the requester knows");

    // Claire reads the same group: she knows who has it, and not whom it is about. What Anne's device says to the
    // other group by itself, it says in the situation in which Anne asked.
    claire.run(&["recv"]).expect_exit(0);
    for place in ["nord", "sud"] {
        let others = fhir(&claire, &["export", place, &id[..8]]);
        assert!(all(&others, "Patient").is_empty(), "{place}");
        assert!(!others.to_string().contains(INS) && !others.to_string().contains("Pirineoz"), "{place}");
    }
    let told = in_the_end(&anne, &claire, || {
        let bundle = fhir(&claire, &["export", "sud", &id[..8]]);
        let task = all(&bundle, "Task")[0].clone();
        task.get("owner").is_some().then_some(task)
    });
    let notes = told["note"].as_array().unwrap();
    for (note, structure) in notes.iter().zip(["650000789", "1650000123"]) {
        assert_eq!(note["authorReference"]["identifier"]["value"], "anne@cpts.example");
        let role = contained(&told, &note["extension"][0]["valueReference"]);
        assert_eq!(role["organization"]["identifier"]["value"], structure);
    }
    assert_eq!(notes.len(), 2);
}

/// Bruno posts the opinion of a file again, and Anne fetches its documents.
fn assert_posted_with_its_documents(anne: &Person, bruno: &Person, thread: &str, whole: &Value) {
    let post = ["import", "-", "--fhir", "--post", thread];
    let posted = bruno.run_with_input(&post, &whole.to_string());
    let draft = posted.expect_exit(0).of_type("draft").next().unwrap();
    let brought = draft["documents"].as_array().unwrap().iter().map(|one| (&one["name"], &one["size"]));
    assert_eq!(
        brought.collect::<Vec<_>>(),
        [(&"lesion.txt".into(), &13.into()), (&"pres.txt".into(), &14.into())]
    );
    let again = posted.of_type("imported").next().unwrap()["request"].clone();
    let received = anne.run(&["recv"]);
    let is = |line: &&Value| line["kind"] == "request" && line["content"]["id"] == again;
    let message = received.of_type("message").find(is).unwrap_or_else(|| panic!("{received:#?}"));
    let folder = anne.profile();
    let place = format!("{thread}:{}", message["seq"]);
    let got = anne.run(&["get", &place, "-o", folder.to_str().unwrap(), "--force"]);
    let fetched = got.expect_exit(0).of_type("fetched").map(|line| line["path"].as_str().unwrap());
    let texts: Vec<String> = fetched.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert_eq!(texts, ["photo fictive", "photo de près"]);
}

#[test]
fn an_opinion_goes_out_with_every_document_and_with_their_bytes_if_that_is_wanted() {
    let hub = Hub::start();
    let (anne, bruno) = (hub.enrol("anne"), hub.enrol("bruno"));
    let opened = anne.run(&["direct", "bruno"]);
    let thread = opened.expect_exit(0).of_type("group").next().unwrap()["group"].as_str().unwrap().to_owned();
    bruno.run(&["recv"]).expect_exit(0);
    let ask = ["ask", "téléexpertise", "--to", &thread, "--title", "Lésion", "--question", "Biopsie ?"];
    let patient =
        ["--patient-name", "Imaginaire", "--patient-given", "Odette", "--patient-born", "1941-03-17"];
    let photo = file(&anne, "lesion.txt", "photo fictive");
    let asked = anne.run(&[&ask[..], &patient, &["--attach", &photo]].concat());
    let id = request(&asked);
    bruno.run(&["claim", &id[..8]]).expect_exit(0);
    bruno.run(&["ask-info", &id[..8], "De plus près ?"]).expect_exit(0);
    let closer = file(&anne, "pres.txt", "photo de près");
    anne.run(&["give-info", &id[..8], "Voici.", "--attach", &closer]).expect_exit(0);
    let (report, letter) =
        (file(&bruno, "avis.txt", "avis fictif"), file(&bruno, "lettre.txt", "lettre fictive"));
    bruno.run(&["answer", &id[..8], "Pas de biopsie.", "--attach", &report]).expect_exit(0);
    bruno.run(&["complete", &id[..8], "--attach", &letter]).expect_exit(0);
    anne.run(&["recv"]).expect_exit(0);

    let bundle = fhir(&anne, &["export", &thread, &id, "--content"]);
    let at = |reference: &Value| {
        let mut entries = bundle["entry"].as_array().unwrap().iter();
        entries.find(|entry| entry["fullUrl"] == *reference).unwrap()["resource"].clone()
    };
    let name = |reference: &Value| at(&reference["reference"])["content"][0]["attachment"]["title"].clone();
    let (service, task) = (all(&bundle, "ServiceRequest")[0], all(&bundle, "Task")[0]);
    let informing: Vec<Value> = service["supportingInfo"].as_array().unwrap().iter().map(name).collect();
    assert_eq!(informing, ["lesion.txt", "pres.txt"]);
    let output = task["output"].as_array().unwrap();
    assert_eq!(output[0]["valueString"], "Pas de biopsie.");
    let came: Vec<Value> = output[1..].iter().map(|one| name(&one["valueReference"])).collect();
    assert_eq!(came, ["avis.txt", "lettre.txt"]);
    let patient = bundle["entry"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["resource"]["resourceType"] == "Patient");
    let data = |document: &&Value| {
        assert_eq!(document["subject"]["reference"], patient.unwrap()["fullUrl"]);
        at(&document["content"][0]["attachment"]["url"])["data"].as_str().unwrap().to_owned()
    };
    let bytes: Vec<String> = all(&bundle, "DocumentReference").iter().map(data).collect();
    assert_eq!(
        bytes,
        ["cGhvdG8gZmljdGl2ZQ==", "cGhvdG8gZGUgcHLDqHM=", "YXZpcyBmaWN0aWY=", "bGV0dHJlIGZpY3RpdmU="]
    );

    let light = fhir(&anne, &["export", &thread, &id]);
    assert_eq!((all(&light, "DocumentReference").len(), all(&light, "Binary").len()), (4, 0));
    // What is read again asks for the documents by their places.
    let draft = bruno.run_with_input(&["import", "-", "--fhir"], &light.to_string());
    let draft = draft.expect_exit(0).of_type("draft").next().unwrap();
    let problems = draft["problems"].as_array().unwrap();
    let places: Vec<&str> = problems.iter().map(|problem| problem["element"].as_str().unwrap()).collect();
    assert!(places.len() == 2 && places.iter().all(|place| place.contains("supportingInfo")), "{places:?}");
    // With their bytes they go along: nothing is typed or attached again.
    assert_posted_with_its_documents(
        &anne,
        &bruno,
        &thread,
        &fhir(&anne, &["export", &thread, &id, "--content"]),
    );
    // A request without documents has no content to add.
    let bare = request(&anne.run(&["ask", "tâche", "--to", &thread, "--title", "Rappeler"]));
    anne.run(&["export", &thread, &bare, "--fhir", "--content"]).expect_exit(7);
}

#[test]
fn a_circle_goes_out_with_its_consents_and_its_documents_name_its_patient() {
    let hub = Hub::start();
    let (anne, _bruno) = (hub.enrol("anne"), hub.enrol("bruno"));
    anne.run(&crate::circle::NEW).expect_exit(0);
    let consent = ["circle", "consent", "cercle", "consent", "--scope", "partage"];
    anne.run(&consent).expect_exit(0);
    anne.run(&["circle", "add", "cercle", "bruno", "--role", "infirmier", "--basis", "consent"])
        .expect_exit(0);
    anne.run(&["circle", "consent", "cercle", "objection", "--person", "bruno"]).expect_exit(0);
    let letter = file(&anne, "lettre.txt", "Lettre fictive");
    let sent = anne.run(&["attach", "cercle", &letter, "--type", "lettre-de-liaison"]);
    let message = sent.expect_exit(0).of_type("accepted").next().unwrap()["id"].as_str().unwrap().to_owned();

    let document = fhir(&anne, &["export", "cercle", &message]);
    let patient = contained(&document, &document["subject"]);
    assert_eq!(
        (&patient["resourceType"], &patient["name"][0]["family"]),
        (&"Patient".into(), &"Imaginaire".into())
    );
    assert_eq!(document["type"]["coding"][0]["code"], "11490-0");
    // A request of the circle is about its patient too.
    let task = request(&anne.run(&["ask", "tâche", "--to", "cercle", "--title", "Rappeler le laboratoire"]));
    let bundle = fhir(&anne, &["export", "cercle", &task]);
    assert_eq!(all(&bundle, "Patient")[0]["name"][0]["family"], "Imaginaire");

    let team = fhir(&anne, &["export", "cercle"]);
    let consents = all(&team, "Consent");
    let status: Vec<&str> = consents.iter().map(|consent| consent["status"].as_str().unwrap()).collect();
    assert_eq!(status, ["active", "rejected"]);
    assert_eq!(consents[0]["provision"]["code"][0]["text"], "partage");
    let concerned = &consents[1]["provision"]["actor"][0]["reference"]["identifier"]["value"];
    assert_eq!(concerned, "bruno@cpts.example");
    let draft = anne.run_with_input(&["import", "-", "--fhir"], &team.to_string());
    let content = &draft.expect_exit(0).of_type("draft").next().unwrap()["content"];
    let decisions: Vec<&Value> =
        content["consents"].as_array().unwrap().iter().map(|consent| &consent["decision"]).collect();
    assert_eq!(decisions, ["consent", "objection"]);
}

#[test]
fn the_structure_somebody_acts_in_is_said_shown_exported_and_read_back() {
    let hub = Hub::start();
    let (anne, bruno) = (enrol(&hub, "anne", "10"), enrol(&hub, "bruno", "60"));
    group(&[&anne, &bruno], "Équipe");
    bruno.run(&["recv"]).expect_exit(0);
    let ask = ["ask", "adressage", "--to", "équipe", "--title", "Avis", "--speciality", "SM15"];
    let asked = anne.run(&[&ask[..], &["--acting-structure", "1650000123"]].concat());
    let row = asked.expect_exit(0).of_type("request").next().unwrap();
    assert_eq!(row["situation"], serde_json::json!({ "profession": "10", "structure": "1650000123" }));
    let id = request(&asked);

    // By the environment, for every step of a device that stands in one place; the option says otherwise.
    let mut claim = bruno.command(&["claim", &id[..8]]);
    assert!(claim.env("CERCLE_ACTING_STRUCTURE", "650000456").output().unwrap().status.success());
    let mut answer = bruno.command(&["answer", &id[..8], "Vu.", "--acting-structure", "650000789"]);
    assert!(answer.env("CERCLE_ACTING_STRUCTURE", "650000456").output().unwrap().status.success());
    bruno.run(&["complete", &id[..8]]).expect_exit(0);
    let long = "1".repeat(1_000);
    let refused = anne.run(&[&ask[..], &["--acting-structure", &long]].concat());
    let error = refused.expect_exit(2).of_type("error").next().unwrap();
    assert!(error["mend"].as_str().unwrap().contains("--acting-structure"), "{error}");

    let shown = anne.run(&["show", &id]);
    let structures: Vec<&Value> =
        shown.expect_exit(0).of_type("step").map(|step| &step["situation"]["structure"]).collect();
    assert_eq!(structures, ["650000456", "650000789", ""]);
    assert!(shown.of_type("step").all(|step| step["situation"]["profession"] == "60"));
    let said = |language: &str| {
        let output = anne.human_command(&["--lang", language, "show", &id]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let french = said("fr");
    for line in [
        "anne (test) : profession 10, structure 1650000123",
        "bruno (test) (profession 60, structure 650000789) : ",
        "bruno (test) (profession 60) : ",
    ] {
        assert!(french.contains(line), "{line}: {french}");
    }
    assert!(said("en").contains("anne (test): profession 10, structure 1650000123"));

    // The practice software sends it on: for whom it was asked stays, what somebody is, his certificate says.
    let mut bundle = fhir(&anne, &["export", "équipe", &id]);
    let draft = bruno.run_with_input(&["import", "-", "--fhir"], &bundle.to_string());
    let content = draft.expect_exit(0).of_type("draft").next().unwrap()["content"].clone();
    assert_eq!(content["situation"], row["situation"]);
    bundle["entry"][0]["resource"].as_object_mut().unwrap().remove("subject");
    let post = ["import", "-", "--fhir", "--post", "équipe", "--acting-structure", "650000456"];
    let again = |bundle: &Value| {
        let posted = bruno.run_with_input(&post, &bundle.to_string());
        let imported = posted.expect_exit(0).of_type("imported").next().unwrap()["request"].clone();
        let shown = bruno.run(&["show", imported.as_str().unwrap()]);
        shown.expect_exit(0).of_type("request").next().unwrap()["situation"].clone()
    };
    assert_eq!(again(&bundle), serde_json::json!({ "profession": "60", "structure": "1650000123" }));
    bundle["entry"][0]["resource"].as_object_mut().unwrap().remove("requester");
    assert_eq!(again(&bundle), serde_json::json!({ "profession": "60", "structure": "650000456" }));
}
