//! Carries parts of histories between the core and the hub: the inviter's up, the newcomer's down.
//!
//! The transfer thread runs it as one task. What is to be carried is in the store, so a part whose transfer
//! was interrupted is carried by the next process; the core takes each part once.

use tokio::time::timeout;

use super::{
    AttachOptions, Source, TransferError,
    limits::HISTORY_RETRY,
    worker::{Means, new_blob},
};
use crate::{
    client::{ClientError, Notice},
    core::{Command, HistoryFetch, HistoryUpload},
    event::Event,
    limits::HISTORY_OPEN_BYTES_MAX,
    message::DocumentType,
};

/// Carries what there is, then waits for more, until the client is closed.
pub(super) async fn carry(means: Means) {
    let client = means.device.client.clone();
    let mut events = client.events();
    loop {
        let done = Box::pin(carry_all(&means)).await;
        if matches!(done, Err(TransferError::Client(ClientError::Closed))) {
            return;
        }
        let more = async {
            loop {
                match events.next().await {
                    None | Some(Notice::Event(Event::HistoryWaits { .. }) | Notice::Missed(_)) => return,
                    Some(Notice::Event(_)) => {}
                }
            }
        };
        match done {
            Ok(()) => more.await,
            // What failed for the moment is tried again, sooner if there is more to do.
            Err(_) => drop(timeout(HISTORY_RETRY, more).await),
        }
        if client.identity().await.is_err() {
            return;
        }
    }
}

async fn carry_all(means: &Means) -> Result<(), TransferError> {
    let client = &means.device.client;
    let uploads = client.query(|core| core.history_uploads()).await?.map_err(TransferError::from)?;
    for upload in uploads {
        put(means, upload).await?;
    }
    let fetches = client.query(|core| core.history_fetches()).await?.map_err(TransferError::from)?;
    for fetch in fetches {
        take(means, fetch).await?;
    }
    Ok(())
}

async fn put(means: &Means, upload: HistoryUpload) -> Result<(), TransferError> {
    let HistoryUpload { key, group, bytes } = upload;
    let options = AttachOptions {
        name: Some("historique".to_owned()),
        document_type: Some(DocumentType::History),
        ..AttachOptions::default()
    };
    let uploaded = means.clone().upload(new_blob(), group, Source::Bytes(bytes), options).await;
    let document = match uploaded {
        Ok(document) => Some(Box::new(document)),
        Err(TransferError::NotMember | TransferError::Refused(_)) => None,
        Err(error) => return Err(error),
    };
    means.device.client.command(Command::HistoryUploaded { key, document }).await?;
    Ok(())
}

async fn take(means: &Means, fetch: HistoryFetch) -> Result<(), TransferError> {
    let HistoryFetch { group, message, document } = fetch;
    let loaded = if document.size <= HISTORY_OPEN_BYTES_MAX as u64 {
        means.clone().load(&document).await
    } else {
        Err(TransferError::TooLarge { max: HISTORY_OPEN_BYTES_MAX as u64 })
    };
    let sealed = match loaded {
        Ok(bytes) => Some(bytes),
        Err(
            TransferError::NotMember
            | TransferError::Refused(_)
            | TransferError::Gone
            | TransferError::TooLarge { .. }
            | TransferError::Damaged(_),
        ) => None,
        Err(error) => return Err(error),
    };
    match means.device.client.command(Command::HistoryFetched { group, message, sealed }).await {
        Err(ClientError::Closed) => Err(ClientError::Closed.into()),
        // What is not to be trusted was refused and said so; it is not fetched again.
        _ => Ok(()),
    }
}
