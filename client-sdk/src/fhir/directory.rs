//! A card of the directory as Practitioner, `PractitionerRole` and Organization (annuaire santé).

use serde_json::{Value, json};

use super::{Draft, FhirError, Problem, Resources, bundle, node::Node, part_url, patient, system, tidy};
use crate::{
    event::Message,
    message::{Body, DirectoryCard, directory_card::CardIdentifier},
};

const EMAIL_TYPE: &str = "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-contact-point-email-type";
const EMAIL_TYPES: &str =
    "https://mos.esante.gouv.fr/NOS/TRE_R256-TypeMessagerie/FHIR/TRE-R256-TypeMessagerie";

/// A card that the hub has accepted.
#[must_use]
pub fn export(message: &Message, card: &DirectoryCard) -> Value {
    let id = message.id.as_bytes();
    let urls = ["role", "practitioner", "organization"].map(|part| part_url(id, part));
    let identifier = |one: &CardIdentifier| json!({ "system": one.system, "value": one.value });
    let identifiers: Vec<Value> = card.identifiers.iter().map(identifier).collect();
    let telecom = telecom(card);
    let text = |text: &String| json!({ "text": text });
    let practitioner = (!card.profession.is_empty()).then(|| {
        json!({
            "resourceType": "Practitioner",
            "identifier": identifiers,
            "name": [{ "use": "usual", "text": card.name }],
            "telecom": telecom,
            "qualification": [{ "code": {
                "coding": [{ "system": system::PROFESSION, "code": card.profession }],
            } }],
        })
    });
    let name = if card.structure.is_empty() { "" } else { card.structure.as_str() };
    let organization = (!name.is_empty()).then(|| {
        json!({
            "resourceType": "Organization",
            "identifier": if practitioner.is_none() { identifiers.clone() } else { Vec::new() },
            "name": name,
            "telecom": if practitioner.is_none() { telecom.clone() } else { Vec::new() },
            "address": [{ "text": card.address, "extension": commune(&card.commune) }],
        })
    });
    let role = json!({
        "resourceType": "PractitionerRole",
        "practitioner": practitioner.as_ref().map(|_| json!({ "reference": urls[1], "display": card.name })),
        "organization": organization.as_ref().map(|_| json!({ "reference": urls[2], "display": name })),
        "code": [{ "coding": [{ "system": system::PROFESSION, "code": card.profession }] }],
        "specialty": card.specialties.iter().map(text).collect::<Vec<_>>(),
        "availabilityExceptions": card.text,
    });
    let [role_url, practitioner_url, organization_url] = urls;
    let resources = [
        Some((role_url, role)),
        practitioner.map(|one| (practitioner_url, one)),
        organization.map(|one| (organization_url, one)),
    ];
    bundle(resources.into_iter().flatten().map(|(url, resource)| (url, tidy(resource))).collect())
}

fn telecom(card: &DirectoryCard) -> Vec<Value> {
    let entry = |system: &str, value: &str| {
        if value.is_empty() { Value::Null } else { json!({ "system": system, "value": value }) }
    };
    let mut mailbox = entry("email", &card.mailbox);
    if let Some(fields) = mailbox.as_object_mut() {
        let coding = json!({ "system": EMAIL_TYPES, "code": "MSSANTE" });
        let kind = json!([{ "url": EMAIL_TYPE, "valueCoding": coding }]);
        fields.insert("extension".to_owned(), kind);
    }
    let user = if card.user.is_empty() { String::new() } else { format!("{}:{}", system::USER, card.user) };
    vec![entry("phone", &card.phone), mailbox, entry("other", &user)]
}

fn commune(code: &str) -> Value {
    if code.is_empty() {
        return Value::Null;
    }
    let url = "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-address-insee-code";
    json!([{ "url": url, "valueCoding": { "system": system::COMMUNE, "code": code } }])
}

/// A `PractitionerRole` with what it refers to in the same file.
pub(crate) fn import(node: &Node<'_>, resources: &Resources<'_>) -> Result<Draft, FhirError> {
    let (mut card, mut problems) = (DirectoryCard::default(), Vec::new());
    for (name, person) in [("practitioner", true), ("organization", false)] {
        let Some(reference) = node.get(name)? else { continue };
        match resources.resolve(node, &reference)? {
            Some(found) if person => read_practitioner(&found, &mut card)?,
            Some(found) => read_organization(&found, &mut card)?,
            None => problems.push(Problem::new(reference.path(), "is not in this file")),
        }
    }
    for code in node.list("code")? {
        let profession = code.code_of(system::PROFESSION)?;
        if !profession.is_empty() {
            card.profession = profession;
        }
    }
    for specialty in node.list("specialty")? {
        let text = specialty.text_of("text")?;
        let first = specialty.list("coding")?.first().map(|coding| coding.text_of("code")).transpose()?;
        card.specialties.push(if text.is_empty() { first.unwrap_or_default() } else { text });
    }
    card.text = node.text_of("availabilityExceptions")?;
    Ok(Draft::of(&Body::DirectoryCard(card), problems))
}

/// A Practitioner alone.
pub(crate) fn import_practitioner(node: &Node<'_>) -> Result<Draft, FhirError> {
    let mut card = DirectoryCard::default();
    read_practitioner(node, &mut card)?;
    Ok(Draft::of(&Body::DirectoryCard(card), Vec::new()))
}

fn read_practitioner(node: &Node<'_>, card: &mut DirectoryCard) -> Result<(), FhirError> {
    if let Some(name) = node.list("name")?.first() {
        card.name = person_name(name)?;
    }
    read_identifiers(node, card)?;
    read_telecom(node, card)?;
    for qualification in node.list("qualification")? {
        let Some(code) = qualification.get("code")? else { continue };
        let profession = code.code_of(system::PROFESSION)?;
        if !profession.is_empty() {
            card.profession = profession;
        }
    }
    Ok(())
}

fn read_organization(node: &Node<'_>, card: &mut DirectoryCard) -> Result<(), FhirError> {
    card.structure = node.text_of("name")?;
    if let Some(address) = node.list("address")?.first() {
        card.address = patient::address_text(address)?;
        for extension in address.list("extension")? {
            if extension.text_at(&["valueCoding", "system"])? == system::COMMUNE {
                card.commune = extension.text_at(&["valueCoding", "code"])?;
            }
        }
    }
    if card.name.is_empty() {
        card.name.clone_from(&card.structure);
        read_identifiers(node, card)?;
        read_telecom(node, card)?;
    }
    Ok(())
}

fn read_identifiers(node: &Node<'_>, card: &mut DirectoryCard) -> Result<(), FhirError> {
    for identifier in node.list("identifier")? {
        let (system, value) = (identifier.text_of("system")?, identifier.text_of("value")?);
        if !system.is_empty() && !value.is_empty() {
            card.identifiers.push(CardIdentifier { system, value });
        }
    }
    Ok(())
}

fn read_telecom(node: &Node<'_>, card: &mut DirectoryCard) -> Result<(), FhirError> {
    for telecom in node.list("telecom")? {
        let value = telecom.text_of("value")?;
        match telecom.text_of("system")?.as_str() {
            "phone" if card.phone.is_empty() => card.phone = value,
            // A card has a place for a secure mailbox only: another address is not for health data.
            "email" if is_secure(&telecom)? => card.mailbox = value,
            "other" => {
                let user = value.strip_prefix(system::USER).and_then(|rest| rest.strip_prefix(':'));
                card.user = user.unwrap_or_default().to_owned();
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_secure(telecom: &Node<'_>) -> Result<bool, FhirError> {
    for extension in telecom.list("extension")? {
        if extension.text_at(&["valueCoding", "code"])? == "MSSANTE" {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A name as it is shown: its text, or prefix, given names and family name.
pub(crate) fn person_name(name: &Node<'_>) -> Result<String, FhirError> {
    let text = name.text_of("text")?;
    if !text.is_empty() {
        return Ok(text);
    }
    let mut parts = Vec::new();
    for given in name.list("given")? {
        parts.push(given.text()?.to_owned());
    }
    parts.push(name.text_of("family")?);
    parts.retain(|part| !part.is_empty());
    Ok(parts.join(" "))
}
