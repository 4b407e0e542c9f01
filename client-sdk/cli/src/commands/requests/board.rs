//! `cercle board` and `cercle show`: where requests stand.

use std::collections::HashMap;

use cercle_proto::id::GroupId;
use cercle_sdk::{
    client::{Client, now_ms},
    core::{BoardFilter, BoardRow, Part},
    message::{
        Kind as _, RequestId,
        request::{Priority, PurposeKind},
    },
};

use super::find;
use crate::{
    arguments::BoardArguments,
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    language::{Language, Text},
    moment,
    records::{CSV_TITLES, Record, RequestRecord, StepRecord, csv},
    resolve,
};

pub(super) async fn run(context: &Context<'_>, arguments: BoardArguments) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    context.online_if_possible(&enrolled).await?;
    let as_csv = arguments.csv;
    let filter = filter(&enrolled, arguments)?;
    let rows = enrolled.client.board(filter).await?;
    let titles = titles(&enrolled.client).await?;
    if as_csv && !context.output.is_json() {
        context.output.say(&text!("{CSV_TITLES}"; "{CSV_TITLES}"));
    } else if rows.is_empty() {
        context.output.note(&text!("Aucune demande."; "No request."));
    }
    for row in &rows {
        let sentence = if as_csv {
            let line = csv(row);
            text!("{line}"; "{line}")
        } else {
            line(row, &titles)
        };
        context.output.result(&Record::Request(RequestRecord::new(row)), &sentence);
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

pub(super) async fn show(context: &Context<'_>, prefix: &str) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    context.online_if_possible(&enrolled).await?;
    let row = find(&enrolled.client, prefix).await?;
    let titles = titles(&enrolled.client).await?;
    context.output.result(&Record::Request(RequestRecord::new(&row)), &line(&row, &titles));
    let courses = enrolled.client.request_history(row.request).await?;
    if let Some(course) = courses.first() {
        // The line above has its heading.
        let words = course.request.render(Language::French);
        let english = course.request.render(Language::English);
        for (fr, en) in words.lines().zip(english.lines()).skip(1) {
            context.output.say(&text!("    {fr}"; "    {en}"));
        }
        let acting = course.request.situation.render();
        if !acting.is_empty() {
            let requester = &course.requester_name;
            context.output.say(&text!("    {requester} : {acting}"; "    {requester}: {acting}"));
        }
        for term in terms(&row, course.request.part_of) {
            let (fr, en) = (&term.fr, &term.en);
            context.output.say(&text!("    {fr}"; "    {en}"));
        }
        let language = context.output.language();
        for step in &course.history {
            let time = moment::time(step.at_ms);
            let name = match step.situation.render() {
                acting if acting.is_empty() => step.name.clone(),
                acting => format!("{} ({acting})", step.name),
            };
            let indented = |text: String| text.replace('\n', "\n        ");
            let fr = indented(step.action.render(Language::French));
            let en = indented(step.action.render(Language::English));
            let sentence = text!("    {time} {name} : {fr}"; "    {time} {name}: {en}");
            context.output.result(&Record::Step(StepRecord::new(course, step, language)), &sentence);
        }
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

/// Who alone is asked, until when, and what it is a part of.
fn terms(row: &BoardRow, part_of: Option<RequestId>) -> Vec<Text> {
    let assignee = row.assignee.as_ref().map(|user| {
        let user = user.as_str();
        text!("Adressée à {user} seulement"; "To {user} alone")
    });
    let expires = row.expires_ms.map(|expires_ms| {
        let time = moment::time(expires_ms);
        text!("À prendre en charge avant le {time}"; "To be taken on before {time}")
    });
    let part_of = part_of.map(|whole| {
        let whole = &whole.to_hex()[..8];
        text!("Partie de la demande {whole}"; "Part of request {whole}")
    });
    [assignee, expires, part_of].into_iter().flatten().collect()
}

/// Whether the request does not say whom it is about, and this device knows.
pub(super) async fn is_withheld(client: &Client, row: &BoardRow) -> Result<bool, Failure> {
    let courses = client.request_history(row.request).await?;
    Ok(row.patient.is_some() && courses.iter().all(|course| course.request.patient.is_none()))
}

/// A request in one line.
pub(crate) fn line(row: &BoardRow, titles: &HashMap<GroupId, String>) -> Text {
    let id = &row.request.to_hex()[..8];
    let title = &row.title;
    let groups: Vec<&str> =
        row.groups.iter().filter_map(|group| titles.get(group)).map(String::as_str).collect();
    let groups = groups.join(", ");
    let sentence = |language: Language| {
        let kind = PurposeKind::label(row.kind, language);
        let kind = match row.priority {
            Priority::Routine => kind.to_owned(),
            priority => format!("{kind}, {}", priority.label(language)),
        };
        let mut parts = vec![row.state.label(language).to_owned()];
        if let Some(owner) = &row.owner {
            let name = if owner.name.is_empty() { owner.user.as_str() } else { &owner.name };
            parts.push(format!("{} {name}", language.pick("chez", "with")));
        } else if row.claiming {
            parts.push(
                language.pick("votre prise en charge attend le hub", "your claim waits for the hub").into(),
            );
        }
        parts.push(format!("{} {}", language.pick("de", "from"), row.requester_name));
        let age = moment::age(now_ms().saturating_sub(row.asked_at_ms));
        parts.push(format!("{} {age}", language.pick("depuis", "for")));
        if let Some(due_ms) = row.due_ms {
            let due = moment::time(due_ms);
            let word = match row.overdue {
                true => language.pick("EN RETARD, échéance", "OVERDUE, due"),
                false => language.pick("échéance", "due"),
            };
            parts.push(format!("{word} {due}"));
        }
        if let Some(patient) = &row.patient {
            parts.push(format!("{} {}", language.pick("patient", "patient"), patient.birth_name));
        }
        format!("{id}  [{kind}] {title} : {}  ({groups})", parts.join(", "))
    };
    Text { fr: sentence(Language::French), en: sentence(Language::English) }
}

/// Titles of the groups of a device.
pub(crate) async fn titles(client: &Client) -> Result<HashMap<GroupId, String>, Failure> {
    let groups = client.groups().await?;
    Ok(groups.into_iter().map(|group| (group.group, group.profile.title)).collect())
}

fn filter(enrolled: &Enrolled, arguments: BoardArguments) -> Result<BoardFilter, Failure> {
    let part = match (arguments.mine, arguments.todo) {
        (true, _) => Part::Mine,
        (_, true) => Part::ToDo,
        _ => Part::Any,
    };
    let person = arguments.person.as_deref().map(|name| resolve::user(&enrolled.identity, name));
    Ok(BoardFilter {
        part,
        overdue: arguments.overdue,
        closed: arguments.closed,
        kind: arguments.kind.map(PurposeKind::from),
        person: person.transpose()?,
        patient: arguments.patient,
        since_ms: arguments.since.as_deref().map(moment::when).transpose()?,
        until_ms: arguments.until.as_deref().map(moment::when).transpose()?,
    })
}
