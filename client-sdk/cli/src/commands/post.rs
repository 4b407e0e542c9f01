//! `cercle post`, `template`, `show`, `rsvp`, `availability`: typed messages, from their JSON form to what they
//! add up to.

use std::{fs::File, io::Read, path::Path};

use cercle_proto::id::MessageId;
use cercle_sdk::{
    client::now_ms,
    message::{Availability, Body, Rsvp, moment, template},
    thread::kinds::Kinds,
};

use super::{alert, find_group, send};
use crate::{
    arguments::{AvailabilityArguments, RsvpArguments},
    context::Context,
    exit::Exit,
    failure::Failure,
    language::Text,
    limits::{ID_PREFIX_DIGITS_MIN, JSON_BYTES_MAX},
    records::Record,
};

/// Sends a message that a file holds in its JSON form.
pub(crate) async fn run(
    context: &Context<'_>,
    group: &str,
    file: &str,
    ask_ack: bool,
) -> Result<Exit, Failure> {
    let posted = match (read(&input(file)?)?, ask_ack) {
        (Body::EventAlert(alert), true) => Box::pin(alert::event::ask(context, group, alert)).await,
        (_, true) => {
            let what = text!(
                "Seule une alerte (event_alert) demande un accusé de lecture.";
                "Only an alert (event_alert) asks for acknowledgement."
            );
            return Err(Failure::new(Exit::Usage, what));
        }
        (body, false) => Box::pin(send::post(context, group, body.into())).await,
    };
    posted.map_err(|failure| match failure.exit {
        Exit::Usage => failure.mend(example_of_each()),
        _ => failure,
    })
}

/// Prints the example of a kind, or the names of all kinds.
pub(crate) fn example(context: &Context<'_>, kind: Option<&str>) -> Result<Exit, Failure> {
    let Some(kind) = kind else {
        for (kind, _) in template::TEMPLATES {
            context.output.result(&Record::Kind { kind }, &text!("{kind}"; "{kind}"));
        }
        return Ok(Exit::Done);
    };
    let json =
        template::of(kind).ok_or_else(|| unknown_kind(kind, template::TEMPLATES.iter().map(|row| row.0)))?;
    let content: serde_json::Value = serde_json::from_str(json).map_err(|error| Failure::fault(&error))?;
    let shown = json.trim_end();
    context.output.result(&Record::Template { kind, content }, &text!("{shown}"; "{shown}"));
    Ok(Exit::Done)
}

/// Shows what the typed messages of a group add up to.
pub(crate) async fn state(context: &Context<'_>, group: &str, kind: Option<&str>) -> Result<Exit, Failure> {
    if let Some(kind) = kind.filter(|kind| !Kinds::NAMES.contains(kind)) {
        return Err(unknown_kind(kind, Kinds::NAMES.iter().copied()));
    }
    let enrolled = context.enrolled().await?;
    let group = find_group(context, &enrolled, group).await?;
    context.online_if_possible(&enrolled).await?;
    let (id, language) = (group.group.to_hex(), context.output.language());
    for name in Kinds::NAMES.iter().filter(|name| kind.is_none_or(|kind| kind == **name)) {
        let at_ms = now_ms();
        let states = enrolled
            .client
            .with_thread(group.group, move |thread| thread.kinds().states(name, at_ms, language));
        for state in states.await?.unwrap_or_default() {
            let shown = state.text;
            let record = Record::State { group: &id, kind: name, state: state.json };
            context.output.result(&record, &text!("{shown}\n"; "{shown}\n"));
        }
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

/// Says whether one comes to an event.
pub(crate) async fn rsvp(context: &Context<'_>, arguments: RsvpArguments) -> Result<Exit, Failure> {
    let RsvpArguments { group: name, event, answer, comment } = arguments;
    let enrolled = context.enrolled().await?;
    let group = find_group(context, &enrolled, &name).await?;
    let events = enrolled.client.with_thread(group.group, |thread| {
        thread.kinds().agenda.all().iter().map(|event| event.id).collect::<Vec<_>>()
    });
    let event = resolve(&events.await?, &event)?;
    enrolled.close().await;
    let rsvp = Rsvp { event: Some(event), answer: answer.into(), comment: comment.unwrap_or_default() };
    Box::pin(send::post(context, &name, Body::Rsvp(rsvp).into())).await
}

/// Says when one can see patients.
pub(crate) async fn availability(
    context: &Context<'_>,
    arguments: AvailabilityArguments,
) -> Result<Exit, Failure> {
    let until = whole_moment(arguments.until);
    let availability = Availability {
        availability_type: arguments.what.into(),
        until,
        place: arguments.place.unwrap_or_default(),
        text: arguments.text.unwrap_or_default(),
        withdrawn: arguments.withdraw,
        ..Availability::default()
    };
    Box::pin(send::post(context, &arguments.group, Body::Availability(availability).into())).await
}

/// A day means its end, by the offset of this machine; a moment means itself.
fn whole_moment(until: String) -> String {
    if moment::is_day(&until) { crate::moment::end_of_day(&until).unwrap_or(until) } else { until }
}

/// Reads a message from its JSON form, and computes the score of an assessment that has none.
fn read(json: &str) -> Result<Body, Failure> {
    let refused = |error: &dyn std::fmt::Display| {
        Failure::new(
            Exit::Usage,
            text!("Ce n'est pas un message : {error}"; "This is not a message: {error}"),
        )
        .mend(example_of_each())
    };
    let body: Body = serde_json::from_str(json).map_err(|error| refused(&error))?;
    match body {
        Body::Unknown { .. } => Err(refused(&"kind: unknown")),
        Body::Assessment(assessment) => Ok(Body::Assessment(assessment.computed()?)),
        body => Ok(body),
    }
}

fn example_of_each() -> Text {
    text!(
        "Un exemple complet par genre : cercle template <genre>";
        "A complete example of each kind: cercle template <kind>"
    )
}

/// The text of a file, or of standard input for `-`.
pub(crate) fn input(file: &str) -> Result<String, Failure> {
    let mut text = String::new();
    // One byte more than allowed shows that there is more.
    let read = if file == "-" {
        std::io::stdin().lock().take(JSON_BYTES_MAX + 1).read_to_string(&mut text)
    } else {
        File::open(Path::new(file)).and_then(|file| file.take(JSON_BYTES_MAX + 1).read_to_string(&mut text))
    };
    read.map_err(|error| {
        Failure::new(
            Exit::Usage,
            text!("« {file} » ne se lit pas : {error}"; "\"{file}\" cannot be read: {error}"),
        )
    })?;
    if text.len() as u64 > JSON_BYTES_MAX {
        return Err(Failure::new(Exit::Usage, text!("Ce fichier est trop long."; "This file is too long.")));
    }
    Ok(text)
}

/// The one message whose id begins so.
fn resolve(ids: &[MessageId], prefix: &str) -> Result<MessageId, Failure> {
    let wanted = prefix.trim().to_ascii_lowercase();
    let mut found = ids.iter().filter(|id| id.to_hex().starts_with(&wanted));
    match (found.next(), found.next()) {
        (Some(id), None) if wanted.len() >= ID_PREFIX_DIGITS_MIN => Ok(*id),
        _ => Err(Failure::new(
            Exit::NotFound,
            text!("« {prefix} » ne désigne pas un évènement de ce groupe."; "\"{prefix}\" is not one event of this group."),
        )
        .mend(text!("cercle state <groupe> --kind event"; "cercle state <group> --kind event"))),
    }
}

fn unknown_kind<'a>(kind: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    let known = known.collect::<Vec<_>>().join(", ");
    Failure::new(Exit::Usage, text!("Genre inconnu : {kind}."; "Unknown kind: {kind}."))
        .mend(text!("Genres : {known}"; "Kinds: {known}"))
}
