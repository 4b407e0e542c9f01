//! `cercle export --fhir`, `cercle import --fhir`: FHIR R4 files for and from a practice software.

use cercle_sdk::{
    client::now_ms,
    core::{Ask, BoardFilter, BoardRow, GroupSummary, Message},
    fhir::{self, Draft, DraftDocument, Problem, request::Contents},
    message::{
        Body, Document, Request,
        request::{RequestConsent, Situation},
    },
    thread::{Thread, requests::Course},
    transfer::AttachOptions,
};
use serde_json::{Value, json};

use super::{
    documents::upload_from,
    find_group, kept,
    post::input,
    requests::{ask::accepted, situation},
    send,
};
use crate::{
    arguments::{ExportArguments, ImportArguments, SituationArguments},
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    limits::{FHIR_CONTENT_BYTES_MAX, ID_PREFIX_DIGITS_MIN, PAGE_MESSAGES},
    records::Record,
};

/// Something of a group that has a form in FHIR.
enum Found {
    Request(Box<Course>),
    Message(Box<Message>),
}

impl Found {
    fn documents(&self) -> Vec<&Document> {
        match self {
            Self::Request(course) => {
                let later = course.history.iter().flat_map(|step| step.action.documents());
                course.request.documents.iter().chain(later).collect()
            }
            Self::Message(message) => match &message.body {
                Body::Document(document) => vec![document],
                _ => Vec::new(),
            },
        }
    }
}

/// Writes a circle, request or message as FHIR.
pub(crate) async fn export(context: &Context<'_>, arguments: ExportArguments) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let group = find_group(context, &enrolled, &arguments.group).await?;
    let exported = match &arguments.id {
        None => circle(&enrolled, &group).await?,
        Some(id) => {
            let found = find(&enrolled, &group, id).await?;
            let contents = match arguments.content {
                true => contents(context, &enrolled, &found.documents()).await?,
                false => Contents::new(),
            };
            resource(&enrolled, &group, &found, &contents).await?.ok_or_else(|| not_one(id))?
        }
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
    let export =
        move |thread: &Thread| thread.circle().map(|circle| fhir::circle::export(id, &title, circle));
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

/// The one request or message of a group whose id begins so.
async fn find(enrolled: &Enrolled, group: &GroupSummary, prefix: &str) -> Result<Found, Failure> {
    let wanted = prefix.trim().to_ascii_lowercase();
    if wanted.len() < ID_PREFIX_DIGITS_MIN {
        return Err(not_one(prefix));
    }
    let begin = wanted.clone();
    let requests = move |thread: &Thread| {
        let found = thread.requests.iter().filter(|course| course.request.id.to_hex().starts_with(&begin));
        found.map(|course| Found::Request(Box::new(course.clone()))).collect::<Vec<_>>()
    };
    let mut found = enrolled.client.with_thread(group.group, requests).await?;
    let messages = messages(enrolled, group, &wanted).await?.into_iter();
    let written = messages.filter(|message| fhir::export(message, None).is_some());
    found.extend(written.map(|message| Found::Message(Box::new(message))));
    match (found.pop(), found.pop()) {
        (Some(found), None) => Ok(found),
        _ => Err(not_one(prefix)),
    }
}

/// The messages of a group whose id begins so.
async fn messages(enrolled: &Enrolled, group: &GroupSummary, wanted: &str) -> Result<Vec<Message>, Failure> {
    let (mut after, mut found) = (0, Vec::new());
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

/// Fetches what documents hold.
async fn contents(
    context: &Context<'_>,
    enrolled: &Enrolled,
    documents: &[&Document],
) -> Result<Contents, Failure> {
    if documents.is_empty() {
        let what = text!("Il n'y a pas de document ici."; "There is no document here.");
        return Err(Failure::new(Exit::NotFound, what).mend(text!("Sans --content"; "Without --content")));
    }
    if documents.iter().map(|document| document.size).sum::<u64>() > FHIR_CONTENT_BYTES_MAX {
        let what = text!("Le contenu dépasse 5 Mo en tout."; "The content is above 5 MB in all.");
        return Err(Failure::new(Exit::Usage, what).mend(text!(
            "Sans --content, puis les documents un par un : cercle get";
            "Without --content, then the documents one by one: cercle get"
        )));
    }
    context.online(enrolled).await?;
    let what = text!("Réception des documents…"; "Fetching the documents…");
    let mut contents = Contents::new();
    for document in documents {
        let fetching = Box::pin(enrolled.client.download_bytes(document, FHIR_CONTENT_BYTES_MAX));
        contents.insert(document.blob, context.output.waiting(&what, fetching).await?);
    }
    Ok(contents)
}

/// Writes what was found, with the patient as far as this device may know him.
async fn resource(
    enrolled: &Enrolled,
    group: &GroupSummary,
    found: &Found,
    contents: &Contents,
) -> Result<Option<Value>, Failure> {
    let circle = |thread: &Thread| thread.circle().map(|circle| circle.patient.clone());
    let circle = enrolled.client.with_thread(group.group, circle).await?;
    let message = match found {
        Found::Request(course) => {
            // Whoever took a wide request on was told in another thread: the board knows.
            let everything = BoardFilter { closed: true, ..BoardFilter::default() };
            let rows = enrolled.client.board(everything).await?;
            let is = |row: &BoardRow| (row.request, &row.requester) == (course.request.id, &course.requester);
            let told = rows.into_iter().find(is).and_then(|row| row.patient);
            let may_name = course.request.consent.as_ref().is_none_or(RequestConsent::allows_naming);
            let named = circle.filter(|_| may_name);
            let patient = told.or(named);
            return Ok(Some(fhir::request::export(course, patient.as_ref(), contents, now_ms())));
        }
        Found::Message(message) => message,
    };
    Ok(match &message.body {
        Body::Document(document) => {
            let content = contents.get(&document.blob).map(Vec::as_slice);
            Some(fhir::document::export(message, document, circle.as_ref(), content))
        }
        _ => fhir::export(message, circle.as_ref()),
    })
}

/// Reads a FHIR file into drafts, and posts them if asked to.
pub(crate) async fn import(context: &Context<'_>, arguments: ImportArguments) -> Result<Exit, Failure> {
    let drafts = fhir::import(&input(&arguments.file)?).map_err(|error| {
        Failure::new(
            Exit::Usage,
            text!("Ce fichier FHIR ne se lit pas : {error}"; "This FHIR file cannot be read: {error}"),
        )
    })?;
    for draft in &drafts {
        show(context, draft)?;
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
            Body::Request(request) => {
                ask(context, group, (*request, draft.documents), &arguments.situation).await?
            }
            body => Box::pin(send::post(context, group, body.into())).await?,
        };
    }
    Ok(exit)
}

fn show(context: &Context<'_>, draft: &Draft) -> Result<(), Failure> {
    let Draft { content, documents, problems } = draft;
    let kind = content["kind"].as_str().unwrap_or_default();
    let shown = serde_json::to_string_pretty(content).map_err(|error| Failure::fault(&error))?;
    let listed = |one: &DraftDocument| {
        let (name, title, size) = (&one.name, &one.title, one.content.len());
        json!({ "name": name, "document_type": one.document_type, "title": title, "size": size })
    };
    let record = Record::Draft { kind, content, documents: documents.iter().map(listed).collect(), problems };
    context.output.result(&record, &text!("{shown}"; "{shown}"));
    for document in documents {
        let (name, size) = (&document.name, document.content.len());
        context.output.note(&text!(
            "Document du fichier : {name} ({size} octets) ; --post l'envoie avec la demande.";
            "Document of the file: {name} ({size} bytes); --post sends it with the request."
        ));
    }
    for Problem { element, problem } in problems {
        context
            .output
            .note(&text!("À revoir : {element} : {problem}"; "To be looked at: {element}: {problem}"));
    }
    Ok(())
}

/// Asks an imported request; in a wide thread the patient stays here until somebody takes it on.
async fn ask(
    context: &Context<'_>,
    group: &str,
    (mut request, documents): (Request, Vec<DraftDocument>),
    arguments: &SituationArguments,
) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let group = find_group(context, &enrolled, group).await?;
    // The certificate says what somebody is; the file says for whom he works, if it does.
    let own = situation(&enrolled, arguments);
    let filled = |said: String, other: String| if said.is_empty() { other } else { said };
    request.situation = Situation {
        profession: filled(own.profession, request.situation.profession),
        structure: filled(request.situation.structure, own.structure),
    };
    context.online(&enrolled).await?;
    let patient = request.patient.take();
    let mut ask = Ask { request, groups: vec![group.group], widening: Vec::new(), patient };
    if !documents.is_empty() {
        // What is missing is said before anything is sent.
        enrolled.client.check_ask(ask.clone()).await?;
    }
    for document in documents {
        let DraftDocument { name, document_type, title, confidentiality, content } = document;
        let options = AttachOptions {
            name: Some(name),
            document_type,
            title,
            confidentiality,
            ..AttachOptions::default()
        };
        let sending = upload_from(context, &enrolled, group.group, content.into(), options);
        ask.request.documents.push(Box::pin(sending).await?);
    }
    let mut events = enrolled.client.events();
    let id = enrolled.client.ask(ask).await?;
    let (request, group_id) = (id.to_hex(), group.group.to_hex());
    if !accepted(context, &enrolled, &mut events, (id, 1)).await {
        return Ok(kept(context, enrolled, Some(group_id), Some(request)).await);
    }
    let title = &group.profile.title;
    context.output.result(
        &Record::Imported { group: group_id, request },
        &text!("Demande envoyée dans « {title} »."; "Request sent to \"{title}\"."),
    );
    enrolled.close().await;
    Ok(Exit::Done)
}
