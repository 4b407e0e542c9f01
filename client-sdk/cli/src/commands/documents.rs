//! `cercle attach`, `get`, `transfers`: documents to a group, from a message, and those on their way.

use std::{
    path::{Path, PathBuf},
    pin::Pin,
};

use cercle_proto::id::{BlobId, GroupId, MessageId, Seq};
use cercle_sdk::{
    client::{ClientError, Events, Notice},
    core::{Message, PendingUpload},
    event::Event,
    message::{Body, Document},
    transfer::{AttachOptions, Destination, Source, TransferError},
};
use tokio::time::{sleep, timeout};

use super::{find_group, kept, send};
use crate::{
    arguments::documents::{Attach, Get, Transfers},
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    limits::{ID_PREFIX_DIGITS_MIN, PAGE_MESSAGES},
    progress::Progress,
    records::{FetchedRecord, Record, TransferRecord},
};

/// What became of an upload, as far as this command waited.
enum Sent {
    /// Its message is in the outbox.
    Finished(MessageId),
    /// Nothing moved for as long as the user wants to wait.
    Waiting,
}

pub(crate) async fn attach(context: &Context<'_>, arguments: Attach) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let group = find_group(context, &enrolled, &arguments.group).await?;
    readable(&arguments.file)?;
    let mut events = enrolled.client.events();
    let options = AttachOptions {
        document_type: arguments.document_type.map(Into::into),
        title: arguments.title.unwrap_or_default(),
        confidentiality: arguments.confidential,
        keep_metadata: arguments.keep_metadata,
        ..AttachOptions::default()
    };
    let what = text!("Préparation du document…"; "Preparing the document…");
    let attaching = Box::pin(enrolled.client.attach(group.group, arguments.file, options));
    let transfer = context.output.waiting(&what, attaching).await?;
    let (group_id, transfer_id) = (group.group.to_hex(), transfer.to_hex());
    context.output.record(&Record::Attached { group: group_id.clone(), transfer: transfer_id.clone() });
    if !online(context, &enrolled).await? {
        return Ok(kept(context, enrolled, Some(group_id), Some(transfer_id)).await);
    }
    let Sent::Finished(message) = follow(context, &mut events, transfer).await? else {
        return Ok(kept(context, enrolled, Some(group_id), Some(transfer_id)).await);
    };
    let deciding = send::verdict(&enrolled.client, &mut events, group.group, message, group.cursor);
    let Ok(verdict) = timeout(context.patience, Box::pin(deciding)).await else {
        return Ok(kept(context, enrolled, Some(group_id), Some(message.to_hex())).await);
    };
    match verdict? {
        send::Verdict::Accepted { seq, at_ms } => {
            let title = &group.profile.title;
            context.output.result(
                &Record::Accepted { group: group_id, id: message.to_hex(), seq, at_ms },
                &text!("Document envoyé dans « {title} »."; "Document sent to \"{title}\"."),
            );
            enrolled.close().await;
            Ok(Exit::Done)
        }
        send::Verdict::Refused(reason) => {
            enrolled.close().await;
            Err(send::refused(reason))
        }
    }
}

pub(crate) async fn get(context: &Context<'_>, arguments: Get) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let message = match find_message(context, &enrolled, &arguments.message).await? {
        Some(message) => message,
        None => {
            context.online(&enrolled).await?;
            let found = find_message(context, &enrolled, &arguments.message).await?;
            found.ok_or_else(|| no_message(&arguments.message))?
        }
    };
    let documents = message.body.documents();
    if documents.is_empty() {
        let what = text!("Ce message ne porte pas de document."; "This message carries no document.");
        return Err(Failure::new(Exit::NotFound, what));
    }
    context.online(&enrolled).await?;
    for document in documents {
        let path = arguments.output.clone().unwrap_or_else(|| PathBuf::from("."));
        let destination = Destination { path, overwrite: arguments.force };
        let path = fetch(context, &enrolled, document, destination).await?;
        show_fetched(context, document, &path);
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

pub(crate) async fn transfers(context: &Context<'_>, arguments: Transfers) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let mut events = enrolled.client.events();
    let pending = enrolled.client.transfers().await?;
    if let Some(prefix) = arguments.cancel {
        let upload = find_transfer(&pending, &prefix)?;
        enrolled.client.cancel_transfer(upload.blob).await?;
        let record = Record::Cancelled { transfer: upload.blob.to_hex() };
        context.output.result(&record, &text!("Envoi abandonné."; "The transfer was given up."));
        // The hub forgets its part, too, if it can be told.
        let _ = online(context, &enrolled).await?;
        enrolled.close().await;
        return Ok(Exit::Done);
    }
    if pending.is_empty() {
        context.output.note(&text!("Aucun envoi en cours."; "No transfer is under way."));
    }
    for upload in &pending {
        show_transfer(context, upload);
    }
    let mut waiting = pending.len();
    if !pending.is_empty() && online(context, &enrolled).await? {
        for upload in &pending {
            if still_pending(&enrolled, upload.blob).await?
                && let Sent::Waiting = follow(context, &mut events, upload.blob).await?
            {
                break;
            }
            waiting -= 1;
        }
    }
    if waiting > 0 {
        return Ok(kept(context, enrolled, None, None).await);
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

/// Whether the hub was reached; that it was not is said.
async fn online(context: &Context<'_>, enrolled: &Enrolled) -> Result<bool, Failure> {
    match context.online(enrolled).await {
        Ok(()) => Ok(true),
        Err(failure) if failure.exit == Exit::Unreachable => {
            context.output.failure_as_note(&failure);
            Ok(false)
        }
        Err(failure) => Err(failure),
    }
}

async fn still_pending(enrolled: &Enrolled, transfer: BlobId) -> Result<bool, Failure> {
    Ok(enrolled.client.transfers().await?.iter().any(|upload| upload.blob == transfer))
}

/// Shows the progress of an upload until it has become a message, or nothing has moved for a while.
async fn follow(context: &Context<'_>, events: &mut Events, transfer: BlobId) -> Result<Sent, Failure> {
    let mut progress = Progress::new(context.output);
    loop {
        let Ok(notice) = timeout(context.patience, events.next()).await else { return Ok(Sent::Waiting) };
        match notice.ok_or(ClientError::Closed)? {
            Notice::Event(Event::TransferProgress { transfer: of, done, total }) if of == transfer => {
                progress.at(transfer, done, total);
            }
            Notice::Event(Event::TransferFinished { transfer: of, message, .. }) if of == transfer => {
                return Ok(Sent::Finished(message));
            }
            Notice::Event(Event::TransferFailed { transfer: of, reason }) if of == transfer => {
                return Err(reason.into());
            }
            Notice::Event(_) | Notice::Missed(_) => {}
        }
    }
}

/// Fetches a document and shows how far it is.
async fn fetch(
    context: &Context<'_>,
    enrolled: &Enrolled,
    document: &Document,
    destination: Destination,
) -> Result<PathBuf, Failure> {
    let events = enrolled.client.events();
    let fetching = enrolled.client.fetch(document, destination);
    moving(context, events, Box::pin(fetching), |transfer| transfer == document.blob).await
}

/// Uploads a document that a message to be written will name, and shows how far it is.
pub(crate) async fn upload(
    context: &Context<'_>,
    enrolled: &Enrolled,
    group: GroupId,
    path: PathBuf,
    options: AttachOptions,
) -> Result<Document, Failure> {
    readable(&path)?;
    upload_from(context, enrolled, group, path.into(), options).await
}

/// The same, from a file or from bytes.
pub(crate) async fn upload_from(
    context: &Context<'_>,
    enrolled: &Enrolled,
    group: GroupId,
    source: Source,
    options: AttachOptions,
) -> Result<Document, Failure> {
    let noted: Vec<BlobId> =
        enrolled.client.transfers().await?.into_iter().map(|upload| upload.blob).collect();
    let events = enrolled.client.events();
    let uploading = enrolled.client.upload(group, source, options);
    // Others may go on beside it: those that were noted as messages of their own.
    moving(context, events, Box::pin(uploading), |transfer| !noted.contains(&transfer)).await
}

/// Says which file cannot be read: a command may name several.
fn readable(path: &Path) -> Result<(), Failure> {
    let opened = std::fs::File::open(path);
    opened.map(drop).map_err(|error| {
        let path = path.display();
        let what = text!("« {path} » ne peut pas être lu : {error}"; "\"{path}\" cannot be read: {error}");
        Failure::new(Exit::NotFound, what)
    })
}

/// Waits for a transfer as long as it moves, and shows how far it is.
async fn moving<T>(
    context: &Context<'_>,
    mut events: Events,
    mut work: Pin<Box<impl Future<Output = Result<T, TransferError>>>>,
    is_it: impl Fn(BlobId) -> bool,
) -> Result<T, Failure> {
    let mut progress = Progress::new(context.output);
    let mut still = Box::pin(sleep(context.patience));
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Ok(done?),
            notice = events.next() => {
                if let Some(Notice::Event(Event::TransferProgress { transfer, done, total })) = notice
                    && is_it(transfer)
                {
                    progress.at(transfer, done, total);
                    still = Box::pin(sleep(context.patience));
                }
            }
            () = &mut still => return Err(TransferError::Interrupted.into()),
        }
    }
}

/// Finds the message that `GROUP:SEQ` (or `GROUP/SEQ`), an id or the beginning of one means.
async fn find_message(
    context: &Context<'_>,
    enrolled: &Enrolled,
    wanted: &str,
) -> Result<Option<Message>, Failure> {
    if let Some((group, seq)) = wanted.rsplit_once([':', '/'])
        && let Ok(seq) = seq.parse::<Seq>()
    {
        let group = find_group(context, enrolled, group).await?.group;
        let page = enrolled.client.messages(group, seq.saturating_sub(1), 1).await?;
        return Ok(page.into_iter().find(|message| message.seq == seq));
    }
    let prefix = wanted.to_ascii_lowercase();
    if prefix.len() < ID_PREFIX_DIGITS_MIN {
        return Err(no_message(wanted));
    }
    let mut found: Option<Message> = None;
    for group in enrolled.client.groups().await? {
        for message in with_documents(enrolled, group.group, &prefix).await? {
            if found.replace(message).is_some() {
                let what =
                    text!("« {wanted} » désigne plusieurs messages."; "\"{wanted}\" means several messages.");
                return Err(Failure::new(Exit::NotFound, what));
            }
        }
    }
    Ok(found)
}

/// The messages of a group that carry a document and whose id begins so.
async fn with_documents(enrolled: &Enrolled, group: GroupId, prefix: &str) -> Result<Vec<Message>, Failure> {
    let (mut after, mut found) = (0, Vec::new());
    loop {
        let page = enrolled.client.messages(group, after, PAGE_MESSAGES).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = last.seq;
        let fits = |message: &Message| {
            message.id.to_hex().starts_with(prefix) && !message.body.documents().is_empty()
        };
        found.extend(page.into_iter().filter(fits));
    }
}

fn find_transfer<'a>(pending: &'a [PendingUpload], prefix: &str) -> Result<&'a PendingUpload, Failure> {
    let wanted = prefix.to_ascii_lowercase();
    let mut found = pending.iter().filter(|upload| upload.blob.to_hex().starts_with(&wanted));
    match (found.next(), found.next()) {
        (Some(upload), None) => Ok(upload),
        _ => Err(Failure::new(
            Exit::NotFound,
            text!("Aucun envoi unique ne commence par « {prefix} »."; "No single transfer begins with \"{prefix}\"."),
        )
        .mend(text!("Voyez : cercle --offline transfers"; "See: cercle --offline transfers"))),
    }
}

fn no_message(wanted: &str) -> Failure {
    let what = text!("Aucun message ne correspond à « {wanted} »."; "No message matches \"{wanted}\".");
    Failure::new(Exit::NotFound, what).mend(text!(
        "Donnez groupe:numéro comme le montre cercle thread, par exemple : cercle get tournée:12";
        "Give group:number as cercle thread shows it, for example: cercle get tournée:12"
    ))
}

fn show_fetched(context: &Context<'_>, document: &Document, path: &Path) {
    let shown = path.display();
    let record = FetchedRecord {
        transfer: document.blob.to_hex(),
        path: path.to_string_lossy(),
        name: &document.name,
        media_type: &document.media_type,
        size: document.size,
    };
    context.output.result(&Record::Fetched(record), &text!("Reçu : {shown}"; "Received: {shown}"));
}

fn show_transfer(context: &Context<'_>, upload: &PendingUpload) {
    let (name, size) = match &upload.body {
        Body::Document(document) => (document.name.as_str(), document.size),
        _ => ("", upload.sealed_bytes),
    };
    let id = upload.blob.to_hex();
    let record = TransferRecord {
        transfer: id.clone(),
        group: upload.group.to_hex(),
        name,
        size,
        begun_at_ms: upload.begun_at_ms,
    };
    let short = &id[..8];
    let sentence = text!("{short}  {name} ({size} octets)"; "{short}  {name} ({size} bytes)");
    context.output.result(&Record::Transfer(record), &sentence);
}
