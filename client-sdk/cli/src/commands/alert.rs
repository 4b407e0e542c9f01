//! `cercle alert`: crisis alerts, from sending to the report.

mod answering;
mod counting;
pub(crate) mod event;
mod following;
mod sending;

use cercle_sdk::{
    client::now_ms,
    core::GroupAlert,
    message::{AlertId, Kind as _},
};

use crate::{
    arguments::alert::AlertCommand,
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    language::Text,
    limits::ID_PREFIX_DIGITS_MIN,
    records::{AlertRecord, Record},
};

pub(crate) async fn run(context: &Context<'_>, command: AlertCommand) -> Result<Exit, Failure> {
    match command {
        AlertCommand::Send(arguments) => sending::send(context, arguments).await,
        AlertCommand::Update { alert, says, target } => sending::update(context, &alert, &says, target).await,
        AlertCommand::Cancel { alert, note } => sending::cancel(context, &alert, note).await,
        AlertCommand::Confirm { alert } => sending::confirm(context, &alert).await,
        AlertCommand::Import { file, groups, rings, target } => {
            sending::import(context, &file, &groups, &rings, target).await
        }
        AlertCommand::Ack { alert, taking_over } => {
            answering::acknowledge(context, &alert, taking_over).await
        }
        AlertCommand::Answer { alert, answer, from, to, note } => {
            let availability = answering::Availability { from, to, note };
            answering::answer(context, &alert, answer, availability).await
        }
        AlertCommand::List { all } => list(context, all).await,
        AlertCommand::Export { alert } => export(context, &alert).await,
        AlertCommand::Watch { alert, by } => following::watch(context, &alert, &by).await,
        AlertCommand::Report { alert, by: Some(by), .. } => counting::report(context, &alert, by).await,
        AlertCommand::Report { alert, csv, .. } => following::report(context, &alert, csv).await,
        AlertCommand::Reach { group, target } => following::reach(context, group.as_deref(), target).await,
    }
}

async fn list(context: &Context<'_>, all: bool) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    context.online_if_possible(&enrolled).await?;
    let now = now_ms();
    let alerts = enrolled.client.alerts().await?;
    let shown: Vec<_> = alerts.iter().filter(|known| all || known.state.holds(now)).collect();
    if shown.is_empty() {
        context.output.say(&text!("Aucune alerte en cours."; "No alert holds."));
    }
    for known in shown {
        show(context, known, now);
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

async fn export(context: &Context<'_>, name: &str) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let known = find(&enrolled, name).await?;
    let xml = known.state.alert.cap.to_xml();
    let text = xml.trim_end();
    context
        .output
        .result(&Record::Alert(AlertRecord::new(&known, now_ms(), xml.clone())), &text!("{text}"; "{text}"));
    enrolled.close().await;
    Ok(Exit::Done)
}

/// Shows an alert and the answers to it.
fn show(context: &Context<'_>, known: &GroupAlert, now_ms: u64) {
    let language = context.output.language();
    let state = &known.state;
    let id = &state.alert.alert.to_hex()[..8];
    let text = state.alert.render(language);
    let over = if state.holds(now_ms) { text!(""; "") } else { text!(" (terminée)"; " (over)") };
    let mut answers = String::new();
    for (user, answer) in &state.answers {
        let line = answer.render(language);
        answers.push_str(&format!("\n    {} : {line}", user.as_str()));
    }
    let (fr, en) = (over.fr, over.en);
    let sentence = text!("{id}{fr}  {text}{answers}"; "{id}{en}  {text}{answers}");
    context.output.result(&Record::Alert(AlertRecord::new(known, now_ms, text)), &sentence);
}

/// The alert whose id begins like this, of those that this device has.
async fn find(enrolled: &Enrolled, name: &str) -> Result<GroupAlert, Failure> {
    let alerts = enrolled.client.alerts().await?;
    let name = name.to_ascii_lowercase();
    let mut found = alerts.into_iter().filter(|known| {
        name.len() >= ID_PREFIX_DIGITS_MIN && known.state.alert.alert.to_hex().starts_with(&name)
    });
    match (found.next(), found.next()) {
        (Some(known), None) => Ok(known),
        _ => Err(unknown(&name)),
    }
}

/// As [`find`], after connecting: the alert may have come meanwhile.
async fn find_online(context: &Context<'_>, enrolled: &Enrolled, name: &str) -> Result<GroupAlert, Failure> {
    context.online(enrolled).await?;
    find(enrolled, name).await
}

/// The number on the hub of the alert whose id begins like this, a crisis alert or one about a patient.
async fn find_on_hub(context: &Context<'_>, enrolled: &Enrolled, name: &str) -> Result<AlertId, Failure> {
    context.online(enrolled).await?;
    match find(enrolled, name).await {
        Ok(known) => Ok(known.state.alert.alert),
        Err(_) => Ok(event::find(enrolled, name).await?.alert),
    }
}

fn unknown(name: &str) -> Failure {
    let what: Text = text!(
        "Aucune alerte ne commence par « {name} », ou plusieurs.";
        "No alert begins with \"{name}\", or several do."
    );
    Failure::new(Exit::NotFound, what)
        .mend(text!("Voyez : cercle alert list --all"; "See: cercle alert list --all"))
}
