//! Requests with everything that goes with them: documents, acting situations, an ordonnance.

use std::collections::BTreeMap;

use super::{
    super::{FhirError, Resources},
    *,
};
use crate::message::{DocumentType, Language};

const CLAIRE: (&str, &str) = ("claire.martin", "Dr Claire MARTIN");
const NADIA: (&str, &str) = ("nadia.rossi", "Dr Nadia ROSSI");

fn paper(number: u8, document_type: DocumentType) -> Document {
    Document {
        blob: BlobId::new([number; 16]),
        key: [0xa0 + number; 32],
        size: 5,
        sha256: [0xb0 + number; 32],
        name: format!("document-{number}.pdf"),
        media_type: "application/pdf".to_owned(),
        document_type,
        title: String::new(),
        confidentiality: Vec::new(),
        thumbnail: Vec::new(),
    }
}

fn acting(profession: &str, structure: &str) -> Situation {
    Situation { profession: profession.to_owned(), structure: structure.to_owned() }
}

fn step(course: &mut Course, (user, name): (&str, &str), situation: Situation, action: Action) {
    let seq = 2 + course.history.len() as u64;
    course.history.push(Step {
        message: MessageId::new([0xd0 + u8::try_from(seq).unwrap(); 16]),
        seq,
        at_ms: 1_795_250_000_000 + seq,
        by: UserId::new(user, "cpts.example").unwrap(),
        name: name.to_owned(),
        device: DeviceId::new([2; 16]),
        situation,
        action,
        state: State::Claimed,
    });
}

/// An opinion with a document at each of its steps that take one; Nadia works in a hospital, then in her practice.
fn opinion() -> Course {
    let question = Purpose::TeleExpertise { question: "Biopsie ?".to_owned(), speciality: String::new() };
    let mut course = course(question);
    course.request.situation = acting("10", "1750000123");
    course.request.documents = vec![paper(1, DocumentType::Photo)];
    let (hospital, practice) = (acting("10", "750000456"), acting("10", "3552100554"));
    let text = |text: &str| text.to_owned();
    let claim = Action::Claim { receipt: None, owner_name: String::new() };
    step(&mut course, NADIA, hospital.clone(), claim);
    step(&mut course, NADIA, hospital, Action::AskInfo { text: text("De plus près ?") });
    let closer = vec![paper(2, DocumentType::Photo)];
    let given = Action::GiveInfo { text: text("Voici."), documents: closer };
    step(&mut course, CLAIRE, Situation::default(), given);
    let answer = vec![paper(3, DocumentType::Report)];
    let answered = Action::Answer { text: text("Pas de biopsie."), documents: answer };
    step(&mut course, NADIA, practice.clone(), answered);
    let letter = vec![paper(4, DocumentType::DischargeLetter)];
    step(&mut course, NADIA, practice, Action::Complete { report: String::new(), documents: letter });
    let owner = UserId::new(NADIA.0, "cpts.example").unwrap();
    course.standing.owner = Some(Owner { user: owner, name: NADIA.1.to_owned(), elsewhere: false });
    course.standing.state = State::Completed;
    course
}

/// The resource of a bundle at a URL.
fn at<'a>(bundle: &'a Value, reference: &Value) -> &'a Value {
    let entries = bundle["entry"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["fullUrl"] == reference["reference"]);
    &entry.unwrap_or_else(|| panic!("{reference} leads nowhere"))["resource"]
}

/// Every text below an element of this name.
fn texts<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                found.extend(value.as_str().filter(|_| field == name));
                texts(value, name, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| texts(value, name, found)),
        _ => {}
    }
}

/// Each reference of a bundle leads to one of its entries or into the resource that holds it, and what a resource
/// contains is referred to.
pub(super) fn assert_whole(bundle: &Value) {
    let entries = bundle["entry"].as_array().unwrap();
    let urls: Vec<&str> = entries.iter().map(|entry| entry["fullUrl"].as_str().unwrap()).collect();
    assert_eq!(urls.iter().collect::<std::collections::BTreeSet<_>>().len(), urls.len(), "{urls:?}");
    for entry in entries {
        let resource = &entry["resource"];
        let mut contained: Vec<String> = Vec::new();
        for inner in resource["contained"].as_array().into_iter().flatten() {
            contained.push(format!("#{}", inner["id"].as_str().unwrap()));
        }
        let mut references = Vec::new();
        texts(resource, "reference", &mut references);
        for reference in &references {
            let known = contained.iter().any(|id| id == reference) || urls.contains(reference);
            assert!(known, "{reference} of {resource} leads nowhere");
        }
        assert!(contained.iter().all(|id| references.contains(&id.as_str())), "{resource}");
    }
}

#[test]
fn the_documents_of_a_request_and_of_its_steps_are_resources_that_it_points_at() {
    let course = opinion();
    let contents: Contents = BTreeMap::from([
        (BlobId::new([1; 16]), b"photo".to_vec()),
        (BlobId::new([3; 16]), b"avis.".to_vec()),
    ]);
    let bundle = request::export(&course, Some(&patient()), &contents, 0);
    assert_whole(&bundle);
    let [service, task] = [0, 1].map(|at| &bundle["entry"][at]["resource"]);

    let informing = service["supportingInfo"].as_array().unwrap();
    let names = |references: &[Value]| -> Vec<String> {
        let name = |reference: &Value| at(&bundle, reference)["content"][0]["attachment"]["title"].clone();
        references.iter().map(|one| name(one).as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(informing), ["document-1.pdf", "document-2.pdf"]);
    let output = task["output"].as_array().unwrap();
    let kinds: Vec<&str> =
        output.iter().map(|one| one["type"]["coding"][0]["code"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["answer", "answer", "report"]);
    assert_eq!(output[0]["valueString"], "Pas de biopsie.");
    let came: Vec<Value> = output[1..].iter().map(|one| one["valueReference"].clone()).collect();
    assert_eq!(names(&came), ["document-3.pdf", "document-4.pdf"]);

    let [photo, letter] = [&informing[0], &came[1]].map(|reference| at(&bundle, reference));
    let data = |document: &Value| {
        let url = json!({ "reference": document["content"][0]["attachment"]["url"] });
        at(&bundle, &url)["data"].clone()
    };
    assert_eq!(data(photo), "cGhvdG8=");
    assert!(letter["content"][0]["attachment"].get("url").is_none(), "its bytes are not at hand");
    assert_eq!(at(&bundle, &letter["subject"])["resourceType"], "Patient");
    assert_eq!(letter["type"]["coding"][0]["code"], "11490-0");
    assert_eq!(letter["author"][0]["identifier"]["value"], "nadia.rossi@cpts.example");
    let text = bundle.to_string();
    for number in 1..=4_u8 {
        for secret in [number, 0xa0 + number, 0xb0 + number] {
            assert!(!text.contains(&format!("{secret:02x}").repeat(8)), "neither blob, key nor hash");
        }
    }
}

#[test]
fn documents_of_a_request_that_is_read_are_for_a_person_to_attach() {
    let bundle = request::export(&opinion(), Some(&patient()), &Contents::new(), 0);
    let draft = import(&bundle.to_string()).unwrap().remove(0);
    let service = "entry[0].resource(ServiceRequest)";
    let named: Vec<&str> = draft.problems.iter().map(|problem| problem.element.as_str()).collect();
    assert_eq!(named, [0, 1].map(|at| format!("{service}.supportingInfo[{at}]")));
}

/// What the documents of an opinion hold that its request brings.
fn photos() -> Contents {
    BTreeMap::from([1, 2].map(|number| (BlobId::new([number; 16]), vec![number; 7])))
}

/// The first `DocumentReference` of a bundle.
fn first_document(bundle: &mut Value) -> &mut Value {
    let mut entries = bundle["entry"].as_array_mut().unwrap().iter_mut();
    let entry = entries.find(|entry| entry["resource"]["resourceType"] == "DocumentReference");
    &mut entry.unwrap()["resource"]
}

#[test]
fn documents_that_a_file_holds_come_with_its_draft() {
    let course = opinion();
    let mut bundle = request::export(&course, Some(&patient()), &photos(), 0);
    let draft = import(&bundle.to_string()).unwrap().remove(0);
    assert_eq!(draft.problems, []);
    assert_eq!(draft.content["documents"], json!([]), "until they are uploaded");
    let names: Vec<&str> = draft.documents.iter().map(|document| document.name.as_str()).collect();
    assert_eq!(names, ["document-1.pdf", "document-2.pdf"]);
    let second = &draft.documents[1];
    assert_eq!((second.document_type, &second.content), (Some(DocumentType::Photo), &vec![2; 7]));
    assert!(!format!("{draft:?}{second:?}").contains("document-2"), "no word of it in logs");

    // As other tools write it: the bytes in lines, in the reference itself, a code of ours from before, a label.
    let document = first_document(&mut bundle);
    document["content"][0]["attachment"] = json!({ "contentType": "application/pdf", "data": "AQ\nID" });
    document["type"] = json!({ "coding": [{ "system": "http://loinc.org", "code": "34105-7" }] });
    let normal = json!({ "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N" });
    let hidden = json!({ "system": "urn:cercle:code", "code": "MASQUE_PS" });
    document["securityLabel"] = json!([{ "coding": [normal] }, { "coding": [hidden] }]);
    document.as_object_mut().unwrap().remove("subject");
    let draft = import(&bundle.to_string()).unwrap().remove(0);
    assert_eq!(draft.problems, []);
    let first = &draft.documents[0];
    assert_eq!((first.name.as_str(), first.document_type), ("document", Some(DocumentType::DischargeLetter)));
    assert_eq!(
        (&first.content, first.confidentiality.as_slice()),
        (&vec![1, 2, 3], ["MASQUE_PS".to_owned()].as_slice())
    );
}

#[test]
fn a_document_of_another_patient_or_with_a_label_that_is_not_known_is_for_a_person_to_attach() {
    let whole = request::export(&opinion(), Some(&patient()), &photos(), 0);
    let problem = |change: &dyn Fn(&mut Value)| {
        let mut bundle = whole.clone();
        change(first_document(&mut bundle));
        let draft = import(&bundle.to_string()).unwrap().remove(0);
        assert_eq!((draft.documents.len(), draft.problems.len()), (1, 1));
        assert!(draft.problems[0].element.ends_with("supportingInfo[0]"));
        draft.problems[0].problem.clone()
    };
    let other = Patient { birth_date: "1984-10-03".to_owned(), ..patient() };
    let others = problem(&|document| {
        document["subject"] = json!({ "reference": "#patient" });
        document["contained"] = json!([super::super::patient::contained(&other)]);
    });
    assert!(others.contains("not about the patient"), "{others}");
    let unknown = problem(&|document| document["subject"] = json!({ "reference": "Patient/7" }));
    assert!(unknown.contains("not about the patient"), "{unknown}");
    let secret = problem(&|document| {
        document["securityLabel"] =
            json!([{ "coding": [{ "system": "urn:cercle:code", "code": "NOUVEAU" }] }]);
    });
    assert!(secret.contains("confidential"), "{secret}");
    let two = problem(&|document| {
        let content = document["content"][0].clone();
        document["content"].as_array_mut().unwrap().push(content);
    });
    assert!(two.contains("exactly one"), "{two}");
    let nothing = problem(&|document| document["content"][0]["attachment"]["url"] = "urn:uuid:7".into());
    assert!(nothing.contains("no content"), "{nothing}");

    let mut broken = whole.clone();
    first_document(&mut broken)["content"][0]["attachment"]["data"] = "AQ#D".into();
    let error = import(&broken.to_string()).unwrap_err();
    assert!(error.element.ends_with("content[0].attachment.data"), "{error}");
    // Nobody knows of whom the request is: then a document that names somebody does not go with it.
    let mut unnamed = whole.clone();
    unnamed["entry"][0]["resource"].as_object_mut().unwrap().remove("subject");
    let draft = import(&unnamed.to_string()).unwrap().remove(0);
    assert_eq!((draft.documents.len(), draft.problems.len()), (0, 2));
}

#[test]
fn a_file_that_names_a_document_a_thousand_times_is_read_into_memory_a_few_times_only() {
    let mut bundle = request::export(&opinion(), Some(&patient()), &photos(), 0);
    let reference = bundle["entry"][0]["resource"]["supportingInfo"][0].clone();
    bundle["entry"][0]["resource"]["supportingInfo"] = vec![reference; 1_000].into();
    let draft = import(&bundle.to_string()).unwrap().remove(0);
    assert_eq!(draft.documents.len() + draft.problems.len(), 1_000);
    assert!(draft.documents.len() <= crate::limits::DOCUMENTS_PER_MESSAGE_MAX);
}

#[test]
fn an_ordonnance_comes_back_and_without_its_bytes_that_is_said() {
    let mut course = course(Purpose::Prescription {
        structure: "Officine du Port".to_owned(),
        prescriber: "Dr Claire MARTIN".to_owned(),
        date: "2026-11-24".to_owned(),
    });
    course.request.documents = vec![paper(1, DocumentType::Prescription)];
    let bundle = request::export(&course, Some(&patient()), &Contents::new(), 0);
    let draft = import(&bundle.to_string()).unwrap().remove(0);
    let wanted: Vec<&str> = draft.problems.iter().map(|problem| problem.problem.as_str()).collect();
    assert!(wanted[0].contains("attach the document") && wanted[1].contains("documents"), "{wanted:?}");
    assert_eq!(wanted.len(), 2);
    let whole = request::export(
        &course,
        Some(&patient()),
        &BTreeMap::from([(BlobId::new([1; 16]), b"%PDF-".to_vec())]),
        0,
    );
    let complete = import(&whole.to_string()).unwrap().remove(0);
    assert_eq!(
        (complete.problems.len(), complete.documents.len()),
        (0, 1),
        "with its bytes nothing is missing"
    );
    let asked = Request { documents: Vec::new(), patient: Some(patient()), ..course.request };
    for draft in [draft, complete] {
        let Body::Request(read) = serde_json::from_value(draft.content).unwrap() else { panic!("a request") };
        assert!(*read == asked);
    }
}

#[test]
fn who_acts_is_a_role_with_his_profession_and_the_structure_that_he_acts_in() {
    let bundle = request::export(&opinion(), None, &Contents::new(), 0);
    let [service, task] = [0, 1].map(|at| &bundle["entry"][at]["resource"]);
    let role = |resource: &Value, reference: &Value| -> Value {
        let roles = resource["contained"].as_array().unwrap();
        let is = |role: &&Value| json!(format!("#{}", role["id"].as_str().unwrap())) == *reference;
        roles.iter().find(is).unwrap_or_else(|| panic!("{reference}")).clone()
    };
    let requester = role(service, &service["requester"]["reference"]);
    assert_eq!(requester["resourceType"], "PractitionerRole");
    assert_eq!(requester["code"][0]["coding"][0]["code"], "10");
    let structure = &requester["organization"]["identifier"];
    assert_eq!(structure["system"], "urn:oid:1.2.250.1.71.4.2.2");
    assert_eq!(structure["value"], "1750000123");
    assert_eq!(service["requester"]["display"], "Dr Claire MARTIN");

    let notes = task["note"].as_array().unwrap();
    let of = |place: usize| role(task, &notes[place]["extension"][0]["valueReference"]["reference"]);
    assert_eq!(of(0)["organization"]["identifier"]["system"], "https://finess.esante.gouv.fr");
    assert_eq!(of(0), of(1), "one role for all steps in it");
    assert_eq!(of(3)["organization"]["identifier"]["value"], "3552100554");
    let unsaid = of(2);
    assert!(unsaid.get("code").is_none() && unsaid.get("organization").is_none(), "{unsaid}");
    assert_eq!(unsaid["practitioner"]["identifier"]["value"], "claire.martin@cpts.example");
    assert_eq!(role(task, &task["owner"]["reference"]), of(3), "as the owner acted last");
    assert_eq!(task["contained"].as_array().unwrap().len(), 4);
}

fn situation_of(service: &Value, more: &[Value]) -> Result<Situation, FhirError> {
    let entry = |resource: &Value| json!({ "resource": resource });
    let entries: Vec<Value> = std::iter::once(service).chain(more).map(entry).collect();
    let bundle = json!({ "resourceType": "Bundle", "entry": entries });
    let draft = import(&bundle.to_string())?.remove(0);
    Ok(serde_json::from_value(draft.content["situation"].clone()).unwrap())
}

#[test]
fn a_requester_is_read_from_a_role_of_the_national_directory_or_left_out() {
    let mut service = json!({
        "resourceType": "ServiceRequest",
        "requester": { "reference": "PractitionerRole/1738459DP" },
        "code": { "text": "Avis" },
    });
    let national: Value = serde_json::from_str(ROLE).unwrap();
    let resources: Vec<Value> =
        national["entry"].as_array().unwrap().iter().map(|entry| entry["resource"].clone()).collect();
    // The role has no profession itself: its practitioner has.
    assert_eq!(situation_of(&service, &resources).unwrap(), acting("10", "410005531586003"));
    // Whoever is not in the file, or is only named, has none; that is no problem of the request.
    assert_eq!(situation_of(&service, &[]).unwrap(), Situation::default());
    service["requester"] = json!({ "display": "Dr Claire MARTIN" });
    assert_eq!(situation_of(&service, &resources).unwrap(), Situation::default());
    service["requester"] = json!({ "reference": "#who" });
    service["contained"] = json!([{
        "resourceType": "PractitionerRole", "id": "who",
        "organization": { "reference": "#where" },
        "code": [{ "coding": [{ "system": 7 }] }],
    }]);
    let error = situation_of(&service, &resources).unwrap_err();
    assert!(error.element.ends_with("code[0].coding[0].system"), "{error}");
    service["contained"][0]["code"] = Value::Null;
    let finess = json!([{ "system": "https://finess.esante.gouv.fr", "value": "750000456" }]);
    let beside = json!({ "resourceType": "Organization", "id": "where", "identifier": finess });
    service["contained"].as_array_mut().unwrap().push(beside);
    assert_eq!(situation_of(&service, &[]).unwrap(), acting("", "750000456"));
}

#[test]
fn a_situation_is_said_in_a_few_words_without_what_a_terminal_would_obey() {
    assert_eq!(Situation::default().render(), "");
    assert_eq!(acting("60", "").render(), "profession 60");
    assert_eq!(acting("60", "1750\u{1b}[2J").render(), "profession 60, structure 1750[2J");
}

#[test]
fn a_document_of_a_circle_names_its_patient_and_has_the_code_of_its_kind() {
    for kind in [
        DocumentType::Prescription,
        DocumentType::Report,
        DocumentType::DischargeLetter,
        DocumentType::Laboratory,
        DocumentType::Photo,
        DocumentType::Other,
    ] {
        let said = message(Body::Document(paper(1, kind)));
        let exported = export(&said, Some(&patient())).unwrap();
        let coding = &exported["type"]["coding"][0];
        let code = coding["code"].as_str().map(|code| (code, coding["display"].as_str().unwrap()));
        assert_eq!(code, kind.code(), "{}", kind.label(Language::English));
        assert_eq!(exported["subject"]["reference"], "#patient");
        let bundle = document::export(&said, &paper(1, kind), Some(&patient()), Some(b"%PDF-"));
        assert_whole(&bundle);
        let mut problems = Vec::new();
        let resources = Resources::of(&exported).unwrap();
        let holder = &resources.nodes[0];
        let named = resources.resolve(holder, &holder.get("subject").unwrap().unwrap()).unwrap().unwrap();
        assert!(super::super::patient::import(&named, &mut problems).unwrap() == patient());
        assert_eq!(problems, []);
    }
    let elsewhere = export(&message(Body::Document(paper(1, DocumentType::Photo))), None).unwrap();
    assert!(elsewhere.get("subject").is_none() && elsewhere.get("contained").is_none());
}
