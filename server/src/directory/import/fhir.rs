//! FHIR resources of the national directory (API v2, R4): bundles, arrays, single resources or NDJSON, of
//! `Practitioner`, `PractitionerRole`, `Organization` and `HealthcareService`.
//!
//! References between resources are technical ids, so a text is read twice: first who and where, then who works
//! where. Bundles are read entry by entry; only ids and addresses stay in memory.

use std::collections::HashMap;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{
    ImportError, Sink,
    input::Input,
    mailboxes::is_address,
    people::{profession, structure_identity},
};
use crate::{
    directory::{
        check,
        entry::{Activity, Coded, Entry, Kind, Source, person_key, structure_key},
    },
    limits,
};

/// What references lead to.
#[derive(Default)]
pub(super) struct References {
    people: HashMap<String, String>,
    places: HashMap<String, Activity>,
}

/// Which of the two readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// `Practitioner` and `Organization`.
    WhoAndWhere,
    /// `PractitionerRole` and `HealthcareService`.
    WhoWorksWhere,
}

/// Reads a text. A resource that cannot be used is reported with its number (or its line) and skipped; a text
/// that is not JSON is refused with the position.
pub(super) fn read(
    mut input: Input<'_>,
    pass: Pass,
    references: &mut References,
    sink: &mut Sink<'_>,
) -> Result<(), ImportError> {
    if input.is_lines_of_json()? {
        while let Some(line) = input.next_line()? {
            if pass == Pass::WhoAndWhere {
                sink.report.lines += 1;
            }
            match line.text.map(|text| serde_json::from_str::<Value>(&text)) {
                Ok(Ok(resource)) => take(&resource, line.number, pass, references, sink)?,
                Ok(Err(_)) if pass == Pass::WhoAndWhere => {
                    sink.refuse(line.number, "the line is not JSON")?
                }
                Err(fault) if pass == Pass::WhoAndWhere => sink.refuse(line.number, fault)?,
                _ => {}
            }
        }
        return Ok(());
    }
    let mut number = 0;
    let mut failed = None;
    let mut each = |resource: Value| {
        number += 1;
        if pass == Pass::WhoAndWhere {
            sink.report.lines += 1;
        }
        take(&resource, number, pass, references, sink).map_err(|error| failed = Some(error)).is_ok()
    };
    let mut deserializer = serde_json::Deserializer::from_reader(input.into_reader()?);
    let outcome = Document(&mut each).deserialize(&mut deserializer);
    match (failed, outcome) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(ImportError::Json { line: error.line(), column: error.column() }),
        (None, Ok(())) => Ok(()),
    }
}

fn take(
    resource: &Value,
    number: usize,
    pass: Pass,
    references: &mut References,
    sink: &mut Sink<'_>,
) -> Result<(), ImportError> {
    if references.people.len() + references.places.len() > limits::DIRECTORY_FHIR_REFERENCES_MAX {
        return Err(ImportError::TooManyResources);
    }
    let kind = text(&resource["resourceType"]);
    match (pass, kind) {
        (Pass::WhoAndWhere, "Practitioner") => practitioner(resource, number, references, sink),
        (Pass::WhoAndWhere, "Organization") => organization(resource, number, references, sink),
        (Pass::WhoWorksWhere, "PractitionerRole") => role(resource, number, references, sink),
        (Pass::WhoWorksWhere, "HealthcareService") => service(resource, number, references, sink),
        (Pass::WhoAndWhere, "PractitionerRole" | "HealthcareService") | (Pass::WhoWorksWhere, _) => Ok(()),
        _ => sink.refuse(number, "the resource is none of the directory"),
    }
}

fn practitioner(
    resource: &Value,
    number: usize,
    references: &mut References,
    sink: &mut Sink<'_>,
) -> Result<(), ImportError> {
    let national = match identifier(resource, &["urn:oid:1.2.250.1.71.4.2.1"], "IDNPS") {
        "" => match identifier(resource, &["https://rpps.esante.gouv.fr", "http://rpps.fr"], "RPPS") {
            "" => return sink.refuse(number, "the practitioner has no national identifier"),
            rpps => format!("8{rpps}"),
        },
        national => national.to_owned(),
    };
    if resource["active"] == Value::Bool(false) {
        sink.report.inactive += 1;
        return Ok(());
    }
    let mut person = Entry::new(person_key(&national), Kind::Professional);
    let names = list(&resource["name"]);
    let Some(name) = names.iter().find(|name| !text(&name["family"]).is_empty()) else {
        return sink.refuse(number, "the practitioner has no name");
    };
    text(&name["family"]).clone_into(&mut person.family);
    person.given = list(&name["given"]).iter().map(text).collect::<Vec<_>>().join(" ");
    if let Some(odd) = check::national_identifier(&national) {
        sink.warn(number, odd);
    }
    for coding in list(&resource["qualification"]).iter().flat_map(|held| codings(&held["code"])) {
        add_coding(&mut person, coding);
    }
    person.mailboxes = mailboxes(resource);
    references.people.insert(text(&resource["id"]).to_owned(), person.key.clone());
    sink.give(Source::Fhir, person)
}

fn organization(
    resource: &Value,
    number: usize,
    references: &mut References,
    sink: &mut Sink<'_>,
) -> Result<(), ImportError> {
    let finess =
        identifier(resource, &["https://finess.esante.gouv.fr", "http://finess.sante.gouv.fr"], "FINEG");
    let technical = identifier(resource, &["https://rppsrang.esante.gouv.fr"], "RPPSRG");
    let national = identifier(resource, &["urn:oid:1.2.250.1.71.4.2.2"], "IDNST");
    let key = structure_identity(finess, if technical.is_empty() { national } else { technical }, "");
    let name = text(&resource["name"]);
    if key.is_empty() || name.is_empty() {
        return sink.refuse(number, "the organization has no identifier or no name");
    }
    if resource["active"] == Value::Bool(false) {
        sink.report.inactive += 1;
        return Ok(());
    }
    if let Some(odd) = check::site(finess, "") {
        sink.warn(number, odd);
    }
    let place = place(resource, key.clone(), name);
    references.places.insert(text(&resource["id"]).to_owned(), place.clone());
    if !sink.is_in_territory(&place) {
        sink.report.outside += 1;
        return Ok(());
    }
    let mut structure = Entry::new(key, Kind::Structure);
    name.clone_into(&mut structure.family);
    structure.activities.push(place);
    structure.mailboxes = mailboxes(resource);
    sink.give(Source::Fhir, structure)
}

fn role(
    resource: &Value,
    number: usize,
    references: &mut References,
    sink: &mut Sink<'_>,
) -> Result<(), ImportError> {
    if resource["active"] == Value::Bool(false) {
        sink.report.inactive += 1;
        return Ok(());
    }
    let Some(person) = references.people.get(target(&resource["practitioner"])) else {
        return sink.refuse(number, "the role belongs to no practitioner of the same text");
    };
    let mut activity = references.places.get(target(&resource["organization"])).cloned().unwrap_or_default();
    if !sink.is_in_territory(&activity) {
        sink.report.outside += 1;
        return Ok(());
    }
    let mut entry = Entry::new(person.clone(), Kind::Professional);
    let described = list(&resource["code"]).iter().chain(list(&resource["specialty"]));
    for coding in described.flat_map(codings) {
        if text(&coding["system"]).contains("R23") {
            text(&coding["code"]).clone_into(&mut activity.mode);
        }
        add_coding(&mut entry, coding);
    }
    entry.activities.extend((activity != Activity::default()).then_some(activity));
    entry.mailboxes = mailboxes(resource);
    sink.give(Source::Fhir, entry)
}

fn service(
    resource: &Value,
    number: usize,
    references: &mut References,
    sink: &mut Sink<'_>,
) -> Result<(), ImportError> {
    let (id, name) = (text(&resource["id"]), text(&resource["name"]));
    let label = if name.is_empty() { text(&resource["comment"]) } else { name };
    if id.is_empty() || label.is_empty() {
        return sink.refuse(number, "the service has no id or no name");
    }
    let place = references.places.get(target(&resource["providedBy"])).cloned().unwrap_or_default();
    if !sink.is_in_territory(&place) {
        sink.report.outside += 1;
        return Ok(());
    }
    let mut structure = Entry::new(structure_key(&format!("service-{id}")), Kind::Structure);
    label.clone_into(&mut structure.family);
    let described = list(&resource["type"]).iter().chain(list(&resource["specialty"]));
    for coding in described.flat_map(codings) {
        structure.skills.push(Coded::new(text(&coding["code"]), text(&coding["display"])));
    }
    structure.activities.extend((place != Activity::default()).then_some(place));
    sink.give(Source::Fhir, structure)
}

/// The address of an organization as an activity there.
fn place(resource: &Value, key: String, name: &str) -> Activity {
    let address = match &resource["address"] {
        Value::Array(addresses) => addresses.first().unwrap_or(&Value::Null),
        address => address,
    };
    let extensions = list(&address["extension"]);
    let insee = extensions.iter().map(|extension| &extension["valueCoding"]);
    let insee = insee.filter(|coding| text(&coding["system"]).contains("R13")).map(|coding| &coding["code"]);
    let phone = list(&resource["telecom"]).iter().find(|contact| contact["system"] == "phone");
    let sector = list(&resource["type"]).iter().flat_map(codings).find(|coding| {
        let code = text(&coding["code"]);
        text(&coding["system"]).contains("R02") || code.starts_with("SA") && code.len() == 4
    });
    Activity {
        structure: key,
        name: name.to_owned(),
        sector: sector
            .map(|coding| Coded::new(text(&coding["code"]), text(&coding["display"])))
            .unwrap_or_default(),
        street: list(&address["line"]).iter().map(text).collect::<Vec<_>>().join(" "),
        postal_code: text(&address["postalCode"]).to_owned(),
        commune: Coded::new(insee.map(text).next().unwrap_or_default(), text(&address["city"])),
        phone: phone.map(|contact| text(&contact["value"])).unwrap_or_default().to_owned(),
        mode: String::new(),
    }
}

fn add_coding(entry: &mut Entry, coding: &Value) {
    let (system, code, display) = (text(&coding["system"]), text(&coding["code"]), text(&coding["display"]));
    if ["G15", "R94", "R95"].iter().any(|name| system.contains(name)) {
        entry.professions.extend(profession(code, display).filter(|new| !entry.professions.contains(new)));
    } else if system.contains("R38") || system.contains("R04") {
        entry.skills.push(Coded::new(code, display));
    }
}

/// Mailboxes of the secure mail that are not on the red list.
fn mailboxes(resource: &Value) -> Vec<String> {
    let is_secure = |contact: &&Value| {
        let said = contact["extension"].to_string();
        said.contains("MSSANTE") && !is_red(&contact["extension"])
    };
    let contacts = list(&resource["telecom"]).iter().filter(is_secure);
    let addresses = contacts.map(|contact| text(&contact["value"]).to_lowercase());
    addresses.filter(|address| is_address(address)).collect()
}

/// Whether an extension, however deep, says that the mailbox is on the red list.
fn is_red(extensions: &Value) -> bool {
    list(extensions).iter().any(|extension| {
        let named = text(&extension["url"]).to_lowercase().contains("listerouge");
        named && extension["valueBoolean"] == Value::Bool(true) || is_red(&extension["extension"])
    })
}

fn identifier<'a>(resource: &'a Value, systems: &[&str], kind: &str) -> &'a str {
    let is_it = |identifier: &&Value| {
        systems.contains(&text(&identifier["system"]))
            || codings(&identifier["type"]).iter().any(|coding| coding["code"] == kind)
    };
    list(&resource["identifier"]).iter().find(is_it).map_or("", |identifier| text(&identifier["value"]))
}

/// The id at the end of a reference, or the value of a logical one.
fn target(reference: &Value) -> &str {
    text(&reference["reference"]).rsplit('/').next().unwrap_or_default()
}

fn codings(concept: &Value) -> &[Value] {
    list(&concept["coding"])
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().map_or("", str::trim)
}

/// A bundle, an array of resources, or one resource; each resource is handed on as it is read.
struct Document<'a, F>(&'a mut F);

impl<'de, F: FnMut(Value) -> bool> DeserializeSeed<'de> for Document<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Value) -> bool> Visitor<'de> for Document<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a bundle, an array of resources or a resource")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut fields = serde_json::Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == "entry" {
                map.next_value_seed(Entries(&mut *self.0))?;
            } else {
                fields.insert(key, map.next_value()?);
            }
        }
        if fields.get("resourceType").is_some_and(|kind| kind != "Bundle") {
            (self.0)(Value::Object(fields));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        Entries(self.0).visit_seq(seq)
    }
}

struct Entries<'a, F>(&'a mut F);

impl<'de, F: FnMut(Value) -> bool> DeserializeSeed<'de> for Entries<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Value) -> bool> Visitor<'de> for Entries<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(mut entry) = seq.next_element::<Value>()? {
            let resource = match entry.get_mut("resource") {
                Some(resource) => resource.take(),
                None => entry,
            };
            if !(self.0)(resource) {
                // The caller has the fault; the rest is only read to its end.
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(());
            }
        }
        Ok(())
    }
}
