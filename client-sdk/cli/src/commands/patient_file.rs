//! Identity traits from a file, so that they are typed once and stand in no list of processes.

use std::path::Path;

use cercle_sdk::message::Patient;
use serde::Deserialize as _;
use serde_json::Value;

use crate::{exit::Exit, failure::Failure};

/// Reads the traits of a patient: alone, or in the draft that `cercle import --fhir` makes of a circle or request.
pub(super) fn read(path: &Path) -> Result<Patient, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let path = path.display();
        Failure::new(Exit::Usage, text!("{path} : {error}"; "{path}: {error}"))
    })?;
    // What is wrong is said without the value: it is an identity.
    let unreadable = |error: serde_json::Error| {
        let (line, column) = (error.line(), error.column());
        Failure::new(
            Exit::Usage,
            text!(
                "Le fichier du patient n'est pas lisible (ligne {line}, colonne {column}).";
                "The patient's file cannot be read (line {line}, column {column})."
            ),
        )
    };
    let whole: Value = serde_json::from_str(&text).map_err(unreadable)?;
    let within = ["/content/patient", "/patient"].into_iter().find_map(|place| whole.pointer(place));
    match within {
        Some(patient) => Patient::deserialize(patient).map_err(unreadable),
        // Read from the text, an error has its line.
        None => serde_json::from_str(&text).map_err(unreadable),
    }
}
