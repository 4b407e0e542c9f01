//! A pharmacist signals a patient without general practitioner; one takes her, and only then learns who she is.

use cercle_sdk::{
    core::BoardRow,
    message::{Patient, Request, RequestId, patient::Gender, request::Purpose},
};

use super::floor::{Floor, asked_people, claim};
use crate::{
    demo::cast::{CAMILLE, COMMUNE, KARIM, PEOPLE, WELCOME},
    failure::Failure,
    records::demo::WithoutGp,
};

/// The patient's name, which nobody but two people may read.
const NAME: &str = "Lemoine";

pub(super) async fn play(floor: &mut Floor<'_>) -> Result<WithoutGp, Failure> {
    floor.stage().scene(&text!(
        "1. Un pharmacien signale une patiente sans médecin traitant";
        "1. A pharmacist signals a patient without general practitioner"
    ));
    let needs = "Renouvellement d'un traitement chronique, suivi d'un diabète".to_owned();
    let purpose = Purpose::PatientWithoutGp { commune: COMMUNE.to_owned(), needs };
    // The SDK chooses the id when it posts the request.
    let mut request =
        Request::new(RequestId::new([0; 16]), purpose, "Patiente diabétique sans médecin traitant");
    "Ordonnance expirée depuis trois semaines.".clone_into(&mut request.reason);
    let id = floor.ask(KARIM, &[WELCOME], request, Some(patient())).await?;

    floor.act(CAMILLE, id, claim()).await?;
    let owner = floor.people().user(CAMILLE)?;
    let row = floor.row(CAMILLE, id, |row| row.patient.is_some()).await?;
    for place in asked_people(&[WELCOME], KARIM) {
        let owned = |row: &BoardRow| row.owner.as_ref().is_some_and(|owned| owned.user == owner);
        floor.row(place, id, owned).await?;
    }
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for (place, person) in PEOPLE.iter().enumerate() {
        let knows = place == KARIM || is_named(floor, place).await?;
        if knows { &mut known } else { &mut unknown }.push(person.id.to_owned());
    }
    let (name, others) = (PEOPLE[CAMILLE].name, unknown.len());
    floor.stage().note(&text!(
        "l'identité n'était pas dans la demande : l'appareil du pharmacien l'a dite à {name} seule ; les {others} autres ne l'ont pas";
        "the identity was not in the request: the pharmacist's device told {name} alone; the {others} others do not have it"
    ));
    floor.stage().pause().await;
    Ok(WithoutGp {
        request: id.to_hex(),
        state: row.state.name(),
        owner: PEOPLE[CAMILLE].id,
        identity_known_to: known,
        identity_unknown_to: unknown,
    })
}

fn patient() -> Patient {
    Patient {
        birth_name: NAME.to_owned(),
        birth_given_names: vec!["Paulette".to_owned()],
        birth_date: "1958-03-14".to_owned(),
        gender: Gender::Female,
        ..Patient::default()
    }
}

/// Whether anything that this member's device has decrypted names the patient.
async fn is_named(floor: &Floor<'_>, place: usize) -> Result<bool, Failure> {
    let messages = floor.messages(place).await?;
    Ok(messages.iter().any(|message| {
        let content = serde_json::to_string(&message.body);
        content.expect("a body has a JSON form").contains(NAME)
    }))
}
