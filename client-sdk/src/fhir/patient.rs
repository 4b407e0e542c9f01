//! Patient: fr-core-patient, and fr-core-patient-ins for a validated identity with its INS.

use serde_json::{Value, json};

use super::{FhirError, Problem, node::Node, system, tidy};
use crate::message::{
    Patient,
    patient::{Gender, Reliability},
};

const PROFILE: &str = "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-patient";
const PROFILE_INS: &str = "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-patient-ins";
const RELIABILITY: &str = "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-identity-reliability";
const RELIABILITY_CODES: &str = "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0445";
const IDENTIFIER_TYPES: &str = "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0203";
const BIRTH_PLACE: &str = "http://hl7.org/fhir/StructureDefinition/patient-birthPlace";
const INSEE_CODE: &str = "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-address-insee-code";
const BIRTH_NAMES: &str =
    "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-patient-birth-list-given-name";

/// OIDs of the INS with the code of their type: NIR, NIA, and those of tests (INS guide).
const INS_TYPES: [(&str, &str); 4] = [
    ("1.2.250.1.213.1.4.8", "INS-NIR"),
    ("1.2.250.1.213.1.4.9", "INS-NIA"),
    ("1.2.250.1.213.1.4.10", "INS-NIR-TEST"),
    ("1.2.250.1.213.1.4.11", "INS-NIR-DEMO"),
];

/// Identity traits as a Patient. The INS goes along only with a validated identity.
#[must_use]
pub fn export(patient: &Patient) -> Value {
    let qualified = patient.reliability == Reliability::Validated && !patient.ins.is_empty();
    let ins_type = INS_TYPES.iter().find(|(oid, _)| *oid == patient.ins_oid).map_or("", |(_, code)| *code);
    let ins = qualified.then(|| {
        json!({
            "use": "official",
            "type": { "coding": [{ "system": IDENTIFIER_TYPES, "code": ins_type }] },
            "system": format!("urn:oid:{}", patient.ins_oid),
            "value": patient.ins,
        })
    });
    let status = match patient.reliability {
        Reliability::Provisional => "PROV",
        Reliability::Retrieved => "RECUP",
        Reliability::Validated => "VALI",
    };
    let place = json!({ "system": system::COMMUNE, "code": patient.birth_place });
    let birth_place = (!patient.birth_place.is_empty()).then(|| {
        json!({
            "url": BIRTH_PLACE,
            "valueAddress": { "extension": [{ "url": INSEE_CODE, "valueCoding": place }] },
        })
    });
    let used = (!patient.used_name.is_empty() || !patient.used_given_name.is_empty())
        .then(|| json!({ "use": "usual", "family": patient.used_name, "given": [patient.used_given_name] }));
    tidy(json!({
        "resourceType": "Patient",
        "meta": { "profile": [if qualified { PROFILE_INS } else { PROFILE }] },
        "extension": [
            {
                "url": RELIABILITY,
                "extension": [{
                    "url": "identityStatus",
                    "valueCoding": { "system": RELIABILITY_CODES, "code": status },
                }],
            },
            birth_place,
        ],
        "identifier": [ins],
        "name": [
            {
                "extension": [{ "url": BIRTH_NAMES, "valueString": patient.birth_given_names.join(" ") }],
                "use": "official",
                "family": patient.birth_name,
                "given": [patient.birth_given_names.first()],
            },
            used,
        ],
        "telecom": [phone(&patient.phone)],
        "gender": match patient.gender {
            Gender::Unspecified => "",
            Gender::Male => "male",
            Gender::Female => "female",
            Gender::Unknown => "unknown",
        },
        "birthDate": patient.birth_date,
        "address": [{ "text": patient.address }],
    }))
}

/// The same inside the resource that is about the patient, which refers to `#patient`.
pub(super) fn contained(patient: &Patient) -> Value {
    let mut exported = export(patient);
    exported["id"] = "patient".into();
    exported
}

fn phone(number: &str) -> Value {
    if number.is_empty() { Value::Null } else { json!({ "system": "phone", "value": number }) }
}

/// Identity traits from a Patient; what a person must look at goes to `problems`.
pub(crate) fn import(node: &Node<'_>, problems: &mut Vec<Problem>) -> Result<Patient, FhirError> {
    if !node.is("Patient") {
        return Err(FhirError::new(node.path(), "must be a Patient"));
    }
    let mut patient = Patient { birth_date: node.text_of("birthDate")?, ..Patient::default() };
    names(node, &mut patient)?;
    patient.gender = match node.text_of("gender")?.as_str() {
        "male" => Gender::Male,
        "female" => Gender::Female,
        "unknown" | "other" => Gender::Unknown,
        "" => Gender::Unspecified,
        _ => return Err(FhirError::new(format!("{}.gender", node.path()), "must be a code of FHIR")),
    };
    if let Some(reliability) = node.extension(RELIABILITY)? {
        let status = reliability.extension("identityStatus")?;
        let code = status.map(|status| status.text_at(&["valueCoding", "code"])).transpose()?;
        patient.reliability = match code.as_deref() {
            Some("VALI") => Reliability::Validated,
            Some("RECUP") => Reliability::Retrieved,
            _ => Reliability::Provisional,
        };
    }
    if let Some(place) =
        node.extension(BIRTH_PLACE)?.map(|place| place.get("valueAddress")).transpose()?.flatten()
        && let Some(insee) = place.extension(INSEE_CODE)?
    {
        patient.birth_place = insee.text_at(&["valueCoding", "code"])?;
    }
    for telecom in node.list("telecom")? {
        if telecom.text_of("system")? == "phone" && patient.phone.is_empty() {
            patient.phone = telecom.text_of("value")?;
        }
    }
    if let Some(address) = node.list("address")?.first() {
        patient.address = address_text(address)?;
    }
    ins(node, &mut patient, problems)?;
    Ok(patient)
}

/// Birth names from the official name, used names from the usual one.
fn names(node: &Node<'_>, patient: &mut Patient) -> Result<(), FhirError> {
    for name in node.list("name")? {
        let mut given = Vec::new();
        for part in name.list("given")? {
            given.push(part.text()?.to_owned());
        }
        if name.text_of("use")? == "usual" {
            patient.used_name = name.text_of("family")?;
            patient.used_given_name = given.into_iter().next().unwrap_or_default();
        } else if patient.birth_name.is_empty() {
            patient.birth_name = name.text_of("family")?;
            let list = name.extension(BIRTH_NAMES)?.map(|list| list.text_of("valueString")).transpose()?;
            let list = list.filter(|list| *list != given.join(" "));
            patient.birth_given_names =
                list.map_or(given, |list| list.split_whitespace().map(str::to_owned).collect());
        }
    }
    Ok(())
}

/// The INS, if the identity is validated; else a problem and no INS (fr-core-patient-ins).
fn ins(node: &Node<'_>, patient: &mut Patient, problems: &mut Vec<Problem>) -> Result<(), FhirError> {
    for identifier in node.list("identifier")? {
        let system = identifier.text_of("system")?;
        let oid = system.strip_prefix("urn:oid:").unwrap_or("");
        if !INS_TYPES.iter().any(|(known, _)| *known == oid) {
            continue;
        }
        if patient.reliability == Reliability::Validated {
            patient.ins = identifier.text_of("value")?;
            patient.ins_oid = oid.to_owned();
        } else {
            let problem = "an INS goes only with a validated identity (VALI); it was left out";
            problems.push(Problem::new(identifier.path(), problem));
        }
    }
    Ok(())
}

/// An address in one line.
pub(crate) fn address_text(address: &Node<'_>) -> Result<String, FhirError> {
    let text = address.text_of("text")?;
    if !text.is_empty() {
        return Ok(text);
    }
    let mut parts = Vec::new();
    if let Ok(lines) = address.list("line") {
        for line in lines {
            parts.push(line.text()?.to_owned());
        }
    }
    let town = format!("{} {}", address.text_of("postalCode")?, address.text_of("city")?);
    parts.push(town.trim().to_owned());
    parts.retain(|part| !part.is_empty());
    Ok(parts.join(", "))
}
