//! `cercle export --fhir`, `cercle import --fhir`: FHIR R4 files for and from a practice software.

use cercle_sdk::{
    client::now_ms,
    core::{Ask, GroupSummary, Message},
    fhir::{self, Draft},
    message::Body,
};
use serde_json::Value;

use super::{find_group, post::input, send};
use crate::{
    arguments::{ExportArguments, ImportArguments},
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    limits::{FHIR_CONTENT_BYTES_MAX, ID_PREFIX_DIGITS_MIN, PAGE_MESSAGES},
    records::Record,
};

/// Writes a circle, request or message as FHIR.
pub(crate) async fn export(context: &Context<'_>, arguments: ExportArguments) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let group = find_group(context, &enrolled, &arguments.group).await?;
    let exported = match &arguments.id {
        None => circle(&enrolled, &group).await?,
        Some(id) if arguments.content => with_content(context, &enrolled, &group, id).await?,
        Some(id) => one(&enrolled, &group, id).await?,
    };
    enrolled.close().await;
    let pretty = serde_json::to_string_pretty(&exported).map_err(|error| Failure::fault(&error))?;
    match &arguments.output {
        Some(path) => {
            std::fs::write(path, pretty + "\n")?;
            let path = path.display();
            context.output.say(&text!("Écrit dans {path}."; "Written to {path}."));
            context.output.record(&Record::Fhir { resource: exported });
        }
        None => context.output.result(&Record::Fhir { resource: exported }, &text!("{pretty}"; "{pretty}")),
    }
    Ok(Exit::Done)
}

async fn circle(enrolled: &Enrolled, group: &GroupSummary) -> Result<Value, Failure> {
    let (id, title) = (group.group, group.profile.title.clone());
    let export = move |thread: &cercle_sdk::thread::Thread| {
        thread.circle().map(|circle| fhir::circle::export(id, &title, circle))
    };
    enrolled.client.with_thread(id, export).await?.ok_or_else(|| {
        Failure::new(
            Exit::NotFound,
            text!("Ce groupe n'est pas un cercle de soins."; "This group is no patient circle."),
        )
        .mend(text!(
            "Pour une demande ou un message : cercle export <groupe> <identifiant> --fhir";
            "For a request or message: cercle export <group> <id> --fhir"
        ))
    })
}

/// The document message whose id begins so, with its bytes.
async fn with_content(
    context: &Context<'_>,
    enrolled: &Enrolled,
    group: &GroupSummary,
    prefix: &str,
) -> Result<Value, Failure> {
    let found = messages(enrolled, group, &prefix.trim().to_ascii_lowercase()).await?;
    let [message] = found.as_slice() else { return Err(not_one(prefix)) };
    let Body::Document(document) = &message.body else {
        let what = text!("Ce message n'est pas un document."; "This message is no document.");
        return Err(Failure::new(Exit::NotFound, what));
    };
    context.online(enrolled).await?;
    let what = text!("Réception du document…"; "Fetching the document…");
    let fetching = Box::pin(enrolled.client.download_bytes(document, FHIR_CONTENT_BYTES_MAX));
    let bytes = context.output.waiting(&what, fetching).await?;
    Ok(fhir::document::export(message, document, Some(&bytes)))
}

/// The messages of a group whose id begins so.
async fn messages(enrolled: &Enrolled, group: &GroupSummary, wanted: &str) -> Result<Vec<Message>, Failure> {
    let (mut after, mut found) = (0, Vec::new());
    if wanted.len() < ID_PREFIX_DIGITS_MIN {
        return Ok(found);
    }
    loop {
        let page = enrolled.client.messages(group.group, after, PAGE_MESSAGES).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = last.seq;
        found.extend(page.into_iter().filter(|message| message.id.to_hex().starts_with(wanted)));
    }
}

fn not_one(prefix: &str) -> Failure {
    Failure::new(
        Exit::NotFound,
        text!(
            "« {prefix} » ne désigne pas une demande ou un message de ce groupe qui a une forme FHIR.";
            "\"{prefix}\" is not one request or message of this group that has a form in FHIR."
        ),
    )
}

/// The request or message whose id begins so.
async fn one(enrolled: &Enrolled, group: &GroupSummary, prefix: &str) -> Result<Value, Failure> {
    let wanted = prefix.trim().to_ascii_lowercase();
    let (begin, now) = (wanted.clone(), now_ms());
    let requests = move |thread: &cercle_sdk::thread::Thread| {
        let found = thread.requests.iter().filter(|course| course.request.id.to_hex().starts_with(&begin));
        let export = |course: &cercle_sdk::thread::requests::Course| {
            let patient = thread.requests.handed_over(course.request.id, &course.requester);
            fhir::request::export(course, patient, now)
        };
        found.map(export).collect::<Vec<_>>()
    };
    let mut found = enrolled.client.with_thread(group.group, requests).await?;
    found.extend(messages(enrolled, group, &wanted).await?.iter().filter_map(fhir::export));
    match (found.pop(), found.pop()) {
        (Some(resource), None) if wanted.len() >= ID_PREFIX_DIGITS_MIN => Ok(resource),
        _ => Err(not_one(prefix)),
    }
}

/// Reads a FHIR file into drafts, and posts them if asked to.
pub(crate) async fn import(context: &Context<'_>, arguments: ImportArguments) -> Result<Exit, Failure> {
    let drafts = fhir::import(&input(&arguments.file)?).map_err(|error| {
        Failure::new(
            Exit::Usage,
            text!("Ce fichier FHIR ne se lit pas : {error}"; "This FHIR file cannot be read: {error}"),
        )
    })?;
    for Draft { content, problems } in &drafts {
        let kind = content["kind"].as_str().unwrap_or_default();
        let shown = serde_json::to_string_pretty(content).map_err(|error| Failure::fault(&error))?;
        let record = Record::Draft { kind, content, problems };
        context.output.result(&record, &text!("{shown}"; "{shown}"));
        for problem in problems {
            let (element, problem) = (&problem.element, &problem.problem);
            context
                .output
                .note(&text!("À revoir : {element} : {problem}"; "To be looked at: {element}: {problem}"));
        }
    }
    let Some(group) = &arguments.post else { return Ok(Exit::Done) };
    if drafts.iter().any(|draft| !draft.problems.is_empty()) {
        return Err(Failure::new(
            Exit::Refused,
            text!("Rien n'est envoyé : il reste des points à revoir."; "Nothing is sent: there are points to be looked at."),
        )
        .mend(text!("Complétez le brouillon, puis : cercle post"; "Complete the draft, then: cercle post")));
    }
    let mut exit = Exit::Done;
    for draft in drafts {
        let body: Body = serde_json::from_value(draft.content).map_err(|error| Failure::fault(&error))?;
        exit = match body {
            Body::Request(request) => ask(context, group, *request).await?,
            body => Box::pin(send::post(context, group, body.into())).await?,
        };
    }
    Ok(exit)
}

/// Asks an imported request; in a wide thread the patient stays here until somebody takes it on.
async fn ask(
    context: &Context<'_>,
    group: &str,
    mut request: cercle_sdk::message::Request,
) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let group = find_group(context, &enrolled, group).await?;
    context.online(&enrolled).await?;
    let patient = request.patient.take();
    let ask = Ask { request, groups: vec![group.group], widening: Vec::new(), patient };
    let id = enrolled.client.ask(ask).await?.to_hex();
    let title = &group.profile.title;
    context.output.result(
        &Record::Imported { group: group.group.to_hex(), request: id },
        &text!("Demande envoyée dans « {title} »."; "Request sent to \"{title}\"."),
    );
    enrolled.close().await;
    Ok(Exit::Done)
}
