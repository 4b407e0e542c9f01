//! One module per command: opens the profile, asks the SDK, shows the answer.

mod administration;
mod alert;
mod calendar;
mod chat;
mod circle;
mod devices;
mod directory;
mod documents;
mod enrol;
mod export;
mod fhir;
mod groups;
mod history;
mod join;
mod link;
mod members;
mod patient_file;
mod people;
mod post;
mod push;
mod reader;
mod recover;
mod recv;
pub(crate) mod requests;
mod rule;
mod send;
mod status;
mod talk;
mod thread;

use std::future::Future;

use cercle_sdk::{
    client::{ClientError, Events},
    core::GroupSummary,
};
use tokio::time::{sleep, timeout};

use crate::{
    arguments::{Command, Invocation},
    context::{Context, Enrolled},
    demo,
    exit::Exit,
    failure::Failure,
    interrupt::Interrupt,
    language::Text,
    limits::GROUP_ARRIVAL,
    output::Output,
    records::Record,
    resolve,
};

/// Carries out a command. Ctrl-C ends it; what was promised until then is in the store.
pub(crate) async fn run(invocation: Invocation, output: &Output) -> Result<Exit, Failure> {
    let context = Context::new(&invocation, output);
    let ends_itself = invocation.command.ends_by_interrupt();
    let command = Box::pin(dispatch(&context, invocation.command));
    if ends_itself {
        return command.await;
    }
    let mut interrupt = Interrupt::new()?;
    tokio::select! {
        biased;
        result = command => result,
        () = interrupt.requested() => Ok(Exit::Interrupted),
    }
}

async fn dispatch(context: &Context<'_>, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Enrol { link, passphrase, no_recovery } => {
            Box::pin(enrol::run(context, &link, passphrase, !no_recovery)).await
        }
        Command::Whoami => Box::pin(people::whoami(context)).await,
        Command::Groups => Box::pin(groups::list(context)).await,
        Command::New { title, announcements, profile } => {
            Box::pin(groups::create(context, &title, announcements, profile)).await
        }
        Command::Invite { group, users } => Box::pin(members::invite(context, &group, &users)).await,
        Command::Remove { group, users } => Box::pin(members::remove(context, &group, &users)).await,
        Command::Members { group } => Box::pin(members::list(context, &group)).await,
        Command::Send { group, text, mention } => Box::pin(send::run(context, &group, text, &mention)).await,
        Command::Talk(talk) => Box::pin(talk::run(context, talk)).await,
        Command::Post { group, file, ask_ack } => Box::pin(post::run(context, &group, &file, ask_ack)).await,
        Command::Template { kind } => post::example(context, kind.as_deref()),
        Command::State { group, kind } => Box::pin(post::state(context, &group, kind.as_deref())).await,
        Command::Rsvp(arguments) => Box::pin(post::rsvp(context, arguments)).await,
        Command::Calendar(arguments) => Box::pin(calendar::run(context, arguments)).await,
        Command::Export(arguments) => Box::pin(fhir::export(context, arguments)).await,
        Command::Import(arguments) => Box::pin(fhir::import(context, arguments)).await,
        Command::Availability(arguments) => Box::pin(post::availability(context, arguments)).await,
        Command::Recv { group, follow: false, all } => {
            Box::pin(recv::once(context, group.as_deref(), all)).await
        }
        Command::Recv { group, follow: true, .. } => Box::pin(recv::follow(context, group.as_deref())).await,
        Command::Chat { group } => Box::pin(chat::run(context, &group)).await,
        Command::Attach(arguments) => Box::pin(documents::attach(context, arguments)).await,
        Command::Get(arguments) => Box::pin(documents::get(context, arguments)).await,
        Command::Transfers(arguments) => Box::pin(documents::transfers(context, arguments)).await,
        Command::Leave { group, successor } => {
            Box::pin(groups::leave(context, &group, successor.as_deref())).await
        }
        Command::Status { group } => Box::pin(status::run(context, group.as_deref())).await,
        Command::Devices { user } => Box::pin(people::devices(context, user.as_deref())).await,
        Command::Revoke { device, user } => {
            Box::pin(administration::revoke(context, &device, user.as_deref())).await
        }
        Command::OwnDevices(command) => Box::pin(link::run(context, command)).await,
        Command::Invitation(arguments) => Box::pin(administration::invitation(context, arguments)).await,
        Command::Request(command) => Box::pin(requests::run(context, command)).await,
        Command::UpdateKeys { group } => Box::pin(groups::update_keys(context, &group)).await,
        Command::Alert(command) => Box::pin(alert::run(context, command)).await,
        Command::Push(command) => Box::pin(push::run(context, command)).await,
        Command::Circle { command } => Box::pin(circle::run(context, command)).await,
        Command::VerifyExport(arguments) => export::verify(context.output, &arguments),
        Command::Join { command } => Box::pin(join::run(context, command)).await,
        Command::Rule { command } => Box::pin(rule::run(context, command)).await,
        Command::Directory { command } => Box::pin(directory::run(context, command)).await,
        Command::Demo { once, keep } => Box::pin(demo::run(context, once, keep)).await,
    }
}

/// Finds a group on this device; if it is not there, connects and looks again, because somebody may have
/// added this device to it meanwhile.
async fn find_group(context: &Context<'_>, enrolled: &Enrolled, name: &str) -> Result<GroupSummary, Failure> {
    let mut events = enrolled.client.events();
    let groups = enrolled.client.groups().await?;
    if let Ok(group) = resolve::group(&groups, name) {
        return Ok(group.clone());
    }
    context.online_if_possible(enrolled).await?;
    let what = text!("Recherche du groupe…"; "Looking for the group…");
    let arriving = Box::pin(timeout(GROUP_ARRIVAL, arrival(enrolled, &mut events, name)));
    match context.output.waiting(&what, arriving).await {
        Ok(found) => found,
        Err(_) => resolve::group(&enrolled.client.groups().await?, name).cloned(),
    }
}

/// Waits for a group while one may still be on its way: a device that has none yet was perhaps enrolled a
/// moment ago, and the title of a new group comes with its next message.
async fn arrival(enrolled: &Enrolled, events: &mut Events, name: &str) -> Result<GroupSummary, Failure> {
    loop {
        let groups = enrolled.client.groups().await?;
        let found = resolve::group(&groups, name).cloned();
        let complete = !groups.is_empty() && groups.iter().all(|group| !group.profile.title.is_empty());
        if found.is_ok() || complete || events.next().await.is_none() {
            return found;
        }
    }
}

/// Connects and waits for an operation that the device carries out sooner or later once it has taken it.
/// `None`: it was taken, and waits for the hub.
async fn durable<T>(
    context: &Context<'_>,
    enrolled: &Enrolled,
    what: &Text,
    operation: impl Future<Output = Result<T, ClientError>>,
) -> Result<Option<T>, Failure> {
    let give_up = async {
        // Answered after the operation was taken, because requests are served in order.
        enrolled.client.identity().await?;
        match context.online(enrolled).await {
            Ok(()) => sleep(context.patience).await,
            Err(failure) if failure.exit == Exit::Unreachable => context.output.failure_as_note(&failure),
            Err(failure) => return Err(failure),
        }
        Ok(())
    };
    let work = Box::pin(async {
        tokio::select! {
            biased;
            done = operation => done.map(Some).map_err(Failure::from),
            gave_up = give_up => gave_up.map(|()| None),
        }
    });
    context.output.waiting(what, work).await
}

/// Says that something is kept and will happen later.
async fn kept(context: &Context<'_>, enrolled: Enrolled, group: Option<String>, id: Option<String>) -> Exit {
    let waiting = enrolled.client.outbox().await.map_or(0, |outbox| outbox.len());
    context.output.result(
        &Record::Kept { group, id, waiting },
        &text!(
            "Conservé : ce sera fait dès que le hub sera joignable (à la prochaine commande cercle).";
            "Kept: it will be done as soon as the hub can be reached (with the next cercle command)."
        ),
    );
    enrolled.close().await;
    Exit::Kept
}
