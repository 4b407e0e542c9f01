//! The national extraction of persons and activities (`PS_LibreAcces_Personne_activite`, and the variant for Pro
//! Santé Connect): one line for each person, activity and skill.

use super::{
    ImportError, Sink,
    table::{Column, Header, Row},
};
use crate::directory::{
    check,
    entry::{Activity, Coded, Entry, Kind, Source, person_key, structure_key},
    nomenclature,
};

/// Where the columns are.
pub(super) struct People {
    national: Column,
    title: Column,
    family: Column,
    given: Column,
    profession: [Column; 2],
    skill: [Column; 2],
    mode: Column,
    sector: [Column; 2],
    siret: Column,
    finess: Column,
    technical: Column,
    site: Column,
    sign: Column,
    number: Column,
    street_kind: Column,
    street: Column,
    office: Column,
    postal: Column,
    commune: [Column; 2],
    phone: Column,
}

impl People {
    /// Whether a header is one of this extraction.
    pub(super) fn knows(header: &Header) -> bool {
        header.has("identification nationale pp") && !header.has("adresse bal")
    }

    pub(super) fn new(header: &Header) -> Result<Self, ImportError> {
        let pair = |code: &str, label: &str| [header.column(&[code]), header.column(&[label])];
        Ok(Self {
            national: header.needed(&["identification nationale pp"], "no column of national identifiers")?,
            title: header.column(&["code civilite d exercice"]),
            family: header.needed(&["nom d exercice", "nom de famille"], "no column of names")?,
            given: header.column(&["prenom d exercice", "prenoms"]),
            profession: [
                header.needed(&["code profession"], "no column of professions")?,
                header.column(&["libelle profession"]),
            ],
            skill: pair("code savoir faire", "libelle savoir faire"),
            mode: header.column(&["code mode exercice"]),
            sector: pair("code secteur d activite", "libelle secteur d activite"),
            siret: header.column(&["numero siret site"]),
            finess: header.column(&["numero finess site"]),
            technical: header.column(&["identifiant technique de la structure"]),
            site: header.column(&["raison sociale site"]),
            sign: header.column(&["enseigne commerciale site"]),
            number: header.column(&["numero voie coord structure"]),
            street_kind: header
                .column(&["libelle type de voie coord structure", "code type de voie coord structure"]),
            street: header.column(&["libelle voie coord structure"]),
            office: header.column(&["bureau cedex coord structure"]),
            postal: header.column(&["code postal coord structure"]),
            commune: pair("code commune coord structure", "libelle commune coord structure"),
            phone: header.column(&["telephone coord structure"]),
        })
    }

    /// Takes one line in, whole or not at all.
    pub(super) fn take(&self, row: &Row<'_>, line: usize, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let national = row.get(self.national);
        let family = row.get(self.family);
        if national.is_empty() || !national.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return sink.refuse(line, "the national identifier is missing or no identifier");
        }
        if !family.chars().any(char::is_alphabetic) {
            return sink.refuse(line, "the person has no name");
        }
        let activity = self.activity(row);
        if !sink.is_in_territory(&activity) {
            sink.report.outside += 1;
            return Ok(());
        }
        if let Some(odd) = check::national_identifier(national) {
            sink.warn(line, odd);
        }
        if let Some(odd) = check::site(row.get(self.finess), row.get(self.siret)) {
            sink.warn(line, odd);
        }
        let mut person = Entry::new(person_key(national), Kind::Professional);
        row.get(self.title).clone_into(&mut person.title);
        family.clone_into(&mut person.family);
        row.get(self.given).clone_into(&mut person.given);
        person.professions.extend(profession(row.get(self.profession[0]), row.get(self.profession[1])));
        person.skills.extend(coded(row, &self.skill));
        if let Some(structure) = structure(&activity) {
            sink.give(Source::Extraction, structure)?;
        }
        person.activities.extend((activity != Activity::default()).then_some(activity));
        sink.give(Source::Extraction, person)
    }

    fn activity(&self, row: &Row<'_>) -> Activity {
        let [commune, label] = self.commune.map(|column| row.get(column));
        let (postal, office) = (row.get(self.postal), row.get(self.office));
        // Without a commune, the sorting office after the postal code names the place.
        let town = office.strip_prefix(postal).unwrap_or(office).trim();
        let site = row.get(self.site);
        let street = [self.number, self.street_kind, self.street].map(|column| row.get(column));
        Activity {
            structure: structure_identity(row.get(self.finess), row.get(self.technical), row.get(self.siret)),
            name: if site.is_empty() { row.get(self.sign) } else { site }.to_owned(),
            mode: row.get(self.mode).to_owned(),
            sector: Coded::new(row.get(self.sector[0]), row.get(self.sector[1])),
            street: street.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" "),
            postal_code: postal.to_owned(),
            commune: Coded::new(commune, if label.is_empty() { town } else { label }),
            phone: row.get(self.phone).to_owned(),
        }
    }
}

/// The profession with its label from the line or from the nomenclature; none without a code.
pub(super) fn profession(code: &str, label: &str) -> Option<Coded> {
    let label = if label.is_empty() { nomenclature::profession_label(code) } else { label };
    Some(Coded::new(code, label)).filter(|coded| !coded.is_empty())
}

/// Key of a structure: by its FINESS number if it has one, else as the national directory calls it.
pub(super) fn structure_identity(finess: &str, technical: &str, siret: &str) -> String {
    match (finess, technical, siret) {
        ("", "", "") => String::new(),
        ("", "", siret) => structure_key(&format!("C{siret}")),
        ("", technical, _) => structure_key(technical),
        (finess, ..) => structure_key(&format!("F{finess}")),
    }
}

/// The structure that an activity names.
fn structure(activity: &Activity) -> Option<Entry> {
    if activity.structure.is_empty() || activity.name.is_empty() {
        return None;
    }
    let mut structure = Entry::new(activity.structure.clone(), Kind::Structure);
    structure.family.clone_from(&activity.name);
    structure.activities.push(Activity { mode: String::new(), ..activity.clone() });
    Some(structure)
}

fn coded(row: &Row<'_>, columns: &[Column; 2]) -> Option<Coded> {
    let [code, label] = columns.map(|column| row.get(column));
    Some(Coded::new(code, label)).filter(|coded| !coded.is_empty())
}
