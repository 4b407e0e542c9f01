//! A patient circle as a `CareTeam` (cercle de soins). One participant for each period: coming back is another.

use serde_json::{Value, json};

use super::{
    Draft, FhirError, Problem, Resources, bundle, consent, directory, instant, node::Node, part_url, patient,
    system, tidy,
};
use crate::{
    message::{
        Body, CircleBasis, CircleClass, CircleConsent, CircleMember, CircleOpened, CircleStanding, moment,
    },
    thread::Circle,
};
use cercle_proto::id::GroupId;

/// A circle: a bundle of `CareTeam`, Patient, a resource for each member, and what the patient said about sharing.
#[must_use]
pub fn export(group: GroupId, title: &str, circle: &Circle) -> Value {
    let id = group.as_bytes();
    let (team_url, patient_url) = (part_url(id, "team"), part_url(id, "patient"));
    let entries: Vec<&CircleMember> = circle.members.values().flatten().collect();
    let start = entries.iter().map(|entry| entry.starts_at_ms).min();
    let participant = |entry: &&CircleMember| {
        json!({
            "role": [{ "text": entry.role }],
            "member": { "reference": part_url(id, &entry.user), "display": entry.display_name },
            "period": { "start": instant(entry.starts_at_ms), "end": entry.ends_at_ms.map(instant) },
        })
    };
    let team = tidy(json!({
        "resourceType": "CareTeam",
        "identifier": [{ "system": system::MESSAGE, "value": group.to_hex() }],
        "status": match circle.standing {
            CircleStanding::Open => "active",
            CircleStanding::Closed | CircleStanding::Archived => "inactive",
        },
        "name": title,
        "subject": { "reference": patient_url },
        "period": { "start": start.map(instant) },
        "participant": entries.iter().map(participant).collect::<Vec<_>>(),
    }));
    let mut resources = vec![(team_url, team), (patient_url.clone(), patient::export(&circle.patient))];
    for member in circle.members.values().filter_map(|entries| entries.last()) {
        resources.push((part_url(id, &member.user), tidy(person(member, &patient_url))));
    }
    for (number, said) in circle.consents.iter().enumerate() {
        let counts = circle.consents[number + 1..].iter().all(|newer| newer.person != said.person);
        let url = part_url(id, &format!("consent-{number}"));
        resources.push((url, consent::export_said(said, counts, &patient_url)));
    }
    bundle(resources)
}

fn person(member: &CircleMember, patient_url: &str) -> Value {
    let identifier = json!([{ "system": system::USER, "value": member.user }]);
    if member.class == CircleClass::Relative {
        return json!({
            "resourceType": "RelatedPerson",
            "identifier": identifier,
            "patient": { "reference": patient_url },
            "relationship": [{ "text": member.role }],
            "name": [{ "text": member.display_name }],
        });
    }
    let class = if member.class == CircleClass::Professional { "professional" } else { "verified-other" };
    json!({
        "resourceType": "PractitionerRole",
        "identifier": identifier,
        "practitioner": { "display": member.display_name },
        "code": [{ "coding": [{ "system": system::LOCAL, "code": class }], "text": member.role }],
    })
}

/// A `CareTeam` as the first message of a circle. Users of the hub and the basis of each member are for a person
/// to say, where the file does not come from Cercle.
pub(crate) fn import(node: &Node<'_>, resources: &Resources<'_>) -> Result<Draft, FhirError> {
    let mut problems = Vec::new();
    let mut opened = CircleOpened::default();
    let subject = node.required("subject")?;
    match resources.resolve(node, &subject)? {
        Some(person) => {
            opened.patient = patient::import(&person, &mut problems)?;
            opened.consents = consents(&person, resources, &mut problems)?;
        }
        None => problems.push(Problem::new(subject.path(), "is not in this file: name the patient yourself")),
    }
    if !matches!(node.required("status")?.text()?, "proposed" | "active" | "suspended" | "inactive") {
        problems.push(Problem::new(format!("{}.status", node.path()), "says that it is no circle in use"));
    }
    for participant in node.list("participant")? {
        if let Some(member) = member(&participant, node, resources, &mut problems)? {
            opened.members.push(member);
        }
    }
    Ok(Draft::of(&Body::CircleOpened(opened), problems))
}

/// What the patient of a circle said, in the order of the file.
fn consents(
    person: &Node<'_>,
    resources: &Resources<'_>,
    problems: &mut Vec<Problem>,
) -> Result<Vec<CircleConsent>, FhirError> {
    let mut consents = Vec::new();
    for said in resources.nodes.iter().filter(|node| node.is("Consent")) {
        let Some(patient) = said.get("patient")? else { continue };
        let his = resources.resolve(said, &patient)?.is_some_and(|found| found.path() == person.path());
        if his {
            consents.push(consent::import_said(said, problems)?);
        }
    }
    Ok(consents)
}

fn member<'a>(
    participant: &Node<'a>,
    team: &Node<'a>,
    resources: &Resources<'a>,
    problems: &mut Vec<Problem>,
) -> Result<Option<CircleMember>, FhirError> {
    let reference = participant.required("member")?;
    let mut member = CircleMember {
        display_name: reference.text_of("display")?,
        starts_at_ms: time(participant, "start")?.unwrap_or(0),
        ends_at_ms: time(participant, "end")?,
        basis: CircleBasis::None,
        ..CircleMember::default()
    };
    if let Some(role) = participant.list("role")?.first() {
        member.role = role.text_of("text")?;
    }
    let Some(found) = resources.resolve(team, &reference)? else {
        problems.push(Problem::new(reference.path(), "is not in this file"));
        return Ok(Some(member));
    };
    if found.is("Organization") {
        problems.push(Problem::new(
            reference.path(),
            "is a structure: name its people, who alone can be members",
        ));
        return Ok(None);
    }
    member.class = if found.is("RelatedPerson") { CircleClass::Relative } else { CircleClass::Professional };
    for code in found.list("code")? {
        if code.code_of(system::LOCAL)? == "verified-other" {
            member.class = CircleClass::VerifiedOther;
        }
    }
    if member.display_name.is_empty()
        && let Some(name) = found.list("name")?.first()
    {
        member.display_name = directory::person_name(name)?;
    }
    for identifier in found.list("identifier")? {
        if identifier.text_of("system")? == system::USER {
            member.user = identifier.text_of("value")?;
        }
    }
    if member.user.is_empty() {
        problems.push(Problem::new(reference.path(), "has no user on a hub of Cercle: fill in `user`"));
    }
    problems.push(Problem::new(participant.path(), "say why the person may take part: fill in `basis`"));
    Ok(Some(member))
}

/// A time of a period; a day means its begin, in UTC.
fn time(participant: &Node<'_>, name: &str) -> Result<Option<u64>, FhirError> {
    let text = participant.text_at(&["period", name])?;
    if text.is_empty() {
        return Ok(None);
    }
    let text = if moment::is_day(&text) { format!("{text}T00:00:00Z") } else { text };
    let element = || format!("{}.period.{name}", participant.path());
    let wrong = || FhirError::new(element(), "must be a day, or a moment with its offset");
    moment::at_ms(&text).map(Some).ok_or_else(wrong)
}
