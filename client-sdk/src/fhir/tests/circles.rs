//! What a patient said to a circle, as Consent.

use super::*;
use crate::message::{CircleConsent, ConsentDecision, ConsentMode};

fn said(decision: ConsentDecision, mode: ConsentMode, person: &str) -> CircleConsent {
    CircleConsent {
        decision,
        date_ms: 1_795_250_000_123,
        collector: "Dr Claire MARTIN".to_owned(),
        mode,
        scope: "partage avec l'équipe".to_owned(),
        person: person.to_owned(),
    }
}

/// A circle whose patient agrees, objects to one person, takes the agreement back.
fn circle_with_consents() -> Circle {
    Circle {
        patient: patient(),
        audience: CircleAudience::default(),
        standing: CircleStanding::Open,
        members: BTreeMap::new(),
        consents: vec![
            said(ConsentDecision::Consent, ConsentMode::Written, ""),
            said(ConsentDecision::Objection, ConsentMode::Oral, "ines.durand@cpts.example"),
            said(ConsentDecision::Withdrawal, ConsentMode::Electronic, ""),
        ],
        summary: false,
    }
}

fn consents(bundle: &Value) -> Vec<&Value> {
    let resources = bundle["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
    resources.filter(|resource| resource["resourceType"] == "Consent").collect()
}

#[test]
fn the_consents_of_a_circle_come_back_and_only_the_newest_of_each_counts() {
    let mut circle = circle_with_consents();
    let id = GroupId::new([9; 16]);
    let exported = circle::export(id, "Cercle de M. Thobois", &circle);
    requests::assert_whole(&exported);
    let all = consents(&exported);
    let status: Vec<&str> = all.iter().map(|consent| consent["status"].as_str().unwrap()).collect();
    assert_eq!(status, ["inactive", "rejected", "inactive"]);
    let provisions: Vec<&Value> = all.iter().map(|consent| &consent["provision"]["type"]).collect();
    assert_eq!(provisions, [&json!("permit"), &json!("deny"), &Value::Null]);
    let actor = &all[1]["provision"]["actor"][0]["reference"]["identifier"]["value"];
    assert_eq!(actor, "ines.durand@cpts.example");
    assert_eq!(all[0]["dateTime"], "2026-11-21T08:33:20.123Z");

    let Body::CircleOpened(read) = back(&exported) else { panic!("a circle") };
    assert!(read.consents == circle.consents);
    circle.consents.pop();
    let agreed = circle::export(id, "Cercle de M. Thobois", &circle);
    assert_eq!(consents(&agreed)[0]["status"], "active");
}

#[test]
fn a_consent_of_another_tool_is_read_as_far_as_it_goes_and_one_of_another_patient_not_at_all() {
    let mut exported = circle::export(GroupId::new([9; 16]), "Cercle", &circle_with_consents());
    let entries = exported["entry"].as_array_mut().unwrap();
    let at = entries.iter().position(|entry| entry["resource"]["resourceType"] == "Consent").unwrap();
    let mut foreign = entries[at]["resource"].clone();
    entries.truncate(at);
    foreign["category"] = json!([{ "text": "Accord" }]);
    foreign["status"] = "active".into();
    foreign.as_object_mut().unwrap().remove("extension");
    entries.push(json!({ "resource": foreign }));
    foreign["patient"] = json!({ "reference": "Patient/somebody-else" });
    entries.push(json!({ "resource": foreign }));
    let draft = import(&exported.to_string()).unwrap().remove(0);
    let consents = draft.content["consents"].as_array().unwrap();
    assert_eq!(consents.len(), 1);
    assert_eq!((&consents[0]["decision"], &consents[0]["mode"]), (&json!("consent"), &json!("unspecified")));
    let problems: Vec<String> =
        draft.problems.iter().map(|one| format!("{} {}", one.element, one.problem)).collect();
    for element in ["(Consent).category does not say how", "(Consent).extension does not say who"] {
        assert!(problems.iter().any(|problem| problem.contains(element)), "{element}: {problems:?}");
    }
}
