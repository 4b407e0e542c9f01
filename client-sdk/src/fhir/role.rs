//! Who acts, in which of his situations (situation d'exercice), as a contained `PractitionerRole`: the person as his
//! certificate says, profession and structure as his message says.

use cercle_proto::id::UserId;
use serde_json::{Value, json};

use super::{FhirError, Resources, node::Node, system, tidy, user};
use crate::message::request::Situation;

/// The roles that one resource names.
#[derive(Default)]
pub(super) struct Roles {
    known: Vec<Value>,
}

impl Roles {
    /// A reference to the role of a person; who does not follow it has the user and the name.
    pub(super) fn reference(&mut self, by: &UserId, name: &str, situation: &Situation) -> Value {
        let mut reference = user(by.as_str(), name);
        reference["reference"] = self.place(by, name, situation).into();
        reference
    }

    /// The same for an element that may point at no `PractitionerRole` (`Annotation.author` of R4): nothing but the
    /// place.
    pub(super) fn place(&mut self, by: &UserId, name: &str, situation: &Situation) -> String {
        let role = role(by, name, situation);
        let place = self.known.iter().position(|known| *known == role).unwrap_or_else(|| {
            self.known.push(role);
            self.known.len() - 1
        });
        format!("#role-{place}")
    }

    /// What the resource contains.
    pub(super) fn contained(self) -> Vec<Value> {
        let named = |(place, mut role): (usize, Value)| {
            role["id"] = format!("role-{place}").into();
            role
        };
        self.known.into_iter().enumerate().map(named).collect()
    }
}

fn role(by: &UserId, name: &str, situation: &Situation) -> Value {
    let Situation { profession, structure } = situation;
    // A FINESS number has nine characters; every other one says its kind by its first digit (idNat_Struct).
    let kind = if structure.len() == 9 { system::FINESS } else { system::STRUCTURE };
    let coded = |system: &str, code: &str| {
        if code.is_empty() { Value::Null } else { json!([{ "system": system, "code": code }]) }
    };
    let organization =
        (!structure.is_empty()).then(|| json!({ "identifier": { "system": kind, "value": structure } }));
    tidy(json!({
        "resourceType": "PractitionerRole",
        "practitioner": user(by.as_str(), name),
        "organization": organization,
        "code": [{ "coding": coded(system::PROFESSION, profession) }],
    }))
}

/// The situation of the `PractitionerRole` that an element of `holder` points at; an empty one if it points at
/// nothing of the kind.
pub(super) fn import<'a>(
    holder: &Node<'a>,
    reference: &Node<'a>,
    resources: &Resources<'a>,
) -> Result<Situation, FhirError> {
    let mut situation = Situation::default();
    let Some(role) = resources.resolve(holder, reference)?.filter(|found| found.is("PractitionerRole"))
    else {
        return Ok(situation);
    };
    // What a contained role points at lies beside it, in the resource that contains both.
    let target = |name: &str| -> Result<Option<Node<'a>>, FhirError> {
        let Some(reference) = role.get(name)? else { return Ok(None) };
        let found = resources.resolve(&role, &reference)?;
        if found.is_some() { Ok(found) } else { resources.resolve(holder, &reference) }
    };
    for code in role.list("code")? {
        situation.profession = first(situation.profession, code.code_of(system::PROFESSION)?);
    }
    if let Some(practitioner) = target("practitioner")? {
        for qualification in practitioner.list("qualification")? {
            let code = qualification.get("code")?.map(|code| code.code_of(system::PROFESSION)).transpose()?;
            situation.profession = first(situation.profession, code.unwrap_or_default());
        }
    }
    let mut identifiers: Vec<Node<'a>> = role.at(&["organization", "identifier"])?.into_iter().collect();
    if let Some(organization) = target("organization")? {
        identifiers.extend(organization.list("identifier")?);
    }
    for wanted in [system::STRUCTURE, system::FINESS] {
        for identifier in &identifiers {
            if identifier.text_of("system")? == wanted {
                situation.structure = first(situation.structure, identifier.text_of("value")?);
            }
        }
    }
    Ok(situation)
}

/// The first of two texts that says something.
fn first(said: String, other: String) -> String {
    if said.is_empty() { other } else { said }
}
