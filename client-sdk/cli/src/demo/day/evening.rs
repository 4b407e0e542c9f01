//! The end of the day: the board of the general practitioner, and the timeline of the visit.

use cercle_sdk::{
    core::{BoardFilter, BoardRow},
    message::Language,
    thread::timeline::TimelineFilter,
};

use super::{floor::Floor, home_visit::Visited};
use crate::{
    commands::requests::board,
    demo::cast::{CAMILLE, PEOPLE},
    failure::Failure,
    moment,
    records::demo::{BoardLine, BoardOutcome, Timeline},
};

pub(super) async fn play(floor: &Floor<'_>, visited: &Visited) -> Result<(BoardOutcome, Timeline), Failure> {
    Ok((show_board(floor).await?, show_timeline(floor, visited).await?))
}

async fn show_board(floor: &Floor<'_>) -> Result<BoardOutcome, Failure> {
    let name = PEOPLE[CAMILLE].name;
    floor.stage().scene(&text!(
        "Le soir, le tableau de {name} (cercle board --closed)";
        "In the evening, the board of {name} (cercle board --closed)"
    ));
    let client = floor.people().client(CAMILLE);
    let rows = client.board(BoardFilter { closed: true, ..BoardFilter::default() }).await?;
    let titles = board::titles(client).await?;
    for row in &rows {
        floor.stage().line(&board::line(row, &titles));
    }
    let line = |row: &BoardRow| BoardLine {
        request: row.request.to_hex(),
        kind: row.kind.name(),
        state: row.state.name(),
        owner: row.owner.as_ref().map(|owner| owner.user.as_str().to_owned()),
        patient_known: row.patient.is_some(),
    };
    Ok(BoardOutcome { user: PEOPLE[CAMILLE].id, rows: rows.iter().map(line).collect() })
}

async fn show_timeline(floor: &Floor<'_>, visited: &Visited) -> Result<Timeline, Failure> {
    let title = visited.title;
    floor.stage().scene(&text!(
        "Et ce qui s'est passé dans « {title} » (cercle circle timeline)";
        "And what happened in \"{title}\" (cercle circle timeline)"
    ));
    let client = floor.people().client(visited.nurse);
    let entries = |language: Language| client.timeline(visited.group, TimelineFilter::default(), language);
    let (french, english) = (entries(Language::French).await?, entries(Language::English).await?);
    for (fr, en) in french.iter().zip(&english) {
        let (time, name, fr, en) = (moment::time(fr.at_ms), &fr.display_name, &fr.line, &en.line);
        floor.stage().line(&text!("{time} {name} : {fr}"; "{time} {name}: {en}"));
    }
    Ok(Timeline { group: visited.group.to_hex(), kinds: french.iter().map(|entry| entry.kind).collect() })
}
