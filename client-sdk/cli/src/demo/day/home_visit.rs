//! A hospital announces a discharge in two sectors; two nurses claim the home visit at the same moment.

use cercle_proto::id::GroupId;
use cercle_sdk::{
    client::now_ms,
    core::BoardRow,
    message::{
        Patient, Request, RequestId,
        patient::Gender,
        request::{Need, Priority, Purpose},
        transition::Action,
    },
    thread::requests::State,
};

use super::floor::{Floor, asked_people, claim};
use crate::{
    demo::cast::{CAMILLE, ELISE, GROUPS, HUGO, INES, NORTH, PEOPLE, SOUTH},
    failure::Failure,
    moment,
    records::demo::HomeVisit,
};

/// A day, ms.
const DAY_MS: u64 = 24 * 3_600_000;

/// Where the visit was handled, and by whom.
pub(super) struct Visited {
    pub(super) group: GroupId,
    pub(super) nurse: usize,
    pub(super) title: &'static str,
}

pub(super) async fn play(floor: &mut Floor<'_>) -> Result<(HomeVisit, Visited), Failure> {
    floor.stage().scene(&text!(
        "2. L'hôpital annonce un retour à domicile ; deux infirmiers prennent la même visite";
        "2. The hospital announces a discharge; two nurses claim the same home visit"
    ));
    let discharge = floor.ask(ELISE, &[NORTH, SOUTH], discharge(), Some(patient())).await?;
    floor.act(CAMILLE, discharge, claim()).await?;
    floor.row(CAMILLE, discharge, |row| row.patient.is_some()).await?;
    let visit = floor.ask(ELISE, &[NORTH, SOUTH], visit(discharge), Some(patient())).await?;

    let refused = floor.both_claim([INES, HUGO], visit).await?;
    let (nurse, late) = decided(floor, visit, refused).await?;
    let (owner, group) = (floor.people().user(nurse)?, if nurse == INES { NORTH } else { SOUTH });
    let (winner, loser) = (PEOPLE[nurse].name, PEOPLE[late].name);
    floor.stage().note(&text!(
        "le hub n'a vu qu'un nombre au hasard, et a tranché : {winner} a la visite ; {loser} sait par qui elle est prise";
        "the hub saw a random number only, and decided: {winner} has the visit; {loser} is told who took it"
    ));
    floor.stage().pause().await;

    // The identity comes from the device that asked, to the owner alone.
    floor.row(nurse, visit, |row| row.patient.is_some()).await?;
    let from_ms = tomorrow_morning();
    let schedule = Action::Schedule { from_ms, to_ms: None, place: "Au domicile".to_owned() };
    floor.act(nurse, visit, schedule).await?;
    floor.row(ELISE, visit, |row| row.state == State::Scheduled).await?;
    let at = moment::time(from_ms);
    floor.stage().note(&text!("visite fixée : {at}"; "visit: {at}"));
    let report = "Pansement refait, constantes stables, ordonnance de sortie expliquée.".to_owned();
    floor.act(nurse, visit, Action::Complete { report, documents: Vec::new() }).await?;
    let mut state = State::Open;
    for place in asked_people(&[NORTH, SOUTH], ELISE) {
        let done = |row: &BoardRow| {
            row.state == State::Completed && row.owner.as_ref().is_some_and(|owned| owned.user == owner)
        };
        state = floor.row(place, visit, done).await?.state;
    }
    let told = floor.row(late, visit, |_| true).await?;
    let visited = Visited { group: floor.group(group).await?, nurse, title: GROUPS[group].title };
    let outcome = HomeVisit {
        discharge: discharge.to_hex(),
        request: visit.to_hex(),
        state: state.name(),
        owner: PEOPLE[nurse].id,
        too_late: PEOPLE[late].id,
        told_owner: told.owner.map(|owner| owner.user.as_str().to_owned()),
        told_patient: told.patient.is_some(),
        scheduled_ms: from_ms,
    };
    Ok((outcome, visited))
}

/// Waits until both nurses know who has the visit: who that is, and who came too late.
async fn decided(
    floor: &mut Floor<'_>,
    visit: RequestId,
    refused: Option<usize>,
) -> Result<(usize, usize), Failure> {
    let ines = floor.people().user(INES)?;
    let row = floor.row(INES, visit, |row| row.owner.is_some()).await?;
    let first = row.owner.is_some_and(|owner| owner.user == ines);
    let (nurse, late) = if first { (INES, HUGO) } else { (HUGO, INES) };
    let owner = floor.people().user(nurse)?;
    let owned = |row: &BoardRow| row.owner.as_ref().is_some_and(|owned| owned.user == owner);
    floor.row(nurse, visit, owned).await?;
    floor.row(late, visit, owned).await?;
    // By the board everybody knows; whoever has claimed in vain is also told by an event.
    while refused != Some(late) && floor.ledger().told(late, visit).is_none_or(|told| told.user != owner) {
        floor.hear().await?;
    }
    Ok((nurse, late))
}

/// Tomorrow at eight, by the clock of this machine.
fn tomorrow_morning() -> u64 {
    let at = now_ms() + DAY_MS;
    moment::parse(&format!("{}T08:00", moment::day(at))).unwrap_or(at)
}

fn patient() -> Patient {
    Patient {
        birth_name: "Fournier".to_owned(),
        birth_given_names: vec!["Marcel".to_owned()],
        birth_date: "1943-11-02".to_owned(),
        gender: Gender::Male,
        ..Patient::default()
    }
}

fn discharge() -> Request {
    let need = |profession: &str, what: &str| Need { profession: profession.into(), what: what.into() };
    let purpose = Purpose::Discharge {
        facility: "CH du Val-Fictif, chirurgie".to_owned(),
        date: moment::day(now_ms() + DAY_MS),
        needs: vec![
            need("60", "Pansement quotidien"),
            need("70", "Reprise de la marche"),
            need("", "Lit médicalisé"),
        ],
    };
    let mut request =
        Request::new(RequestId::new([0; 16]), purpose, "Retour à domicile demain après chirurgie");
    "Prothèse de hanche, vit seul.".clone_into(&mut request.reason);
    request
}

fn visit(discharge: RequestId) -> Request {
    let title = "Première visite infirmière à domicile";
    let mut request = Request::new(RequestId::new([0; 16]), Purpose::Task, title);
    request.part_of = Some(discharge);
    request.priority = Priority::Urgent;
    request
}
