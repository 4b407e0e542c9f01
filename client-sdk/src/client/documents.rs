//! What an app does with documents: attach, follow, cancel, fetch.
//!
//! The bytes go over connections of their own, on a thread of their own ([`crate::transfer`]). Progress and
//! the end of an upload come as events: [`Event::TransferProgress`](crate::event::Event::TransferProgress),
//! `TransferFinished`, `TransferFailed`.

use std::path::PathBuf;

use cercle_proto::id::{BlobId, GroupId};
use tokio::sync::oneshot;

use super::{Client, ClientError};
use crate::{
    core::PendingUpload,
    message::{Document, DocumentType},
    transfer::{
        AttachOptions, Destination, Source, TransferError,
        worker::{Order, Reply},
    },
};

impl Client {
    /// Sends a document to a group. Returns the id of its transfer once it is prepared, encrypted and noted:
    /// from then on it is sent exactly once, by this process or the next that opens the profile. The message
    /// follows when its bytes are on the hub. Dropping the future does not cancel it:
    /// [`Client::cancel_transfer`] does.
    ///
    /// # Errors
    /// When the file cannot be read, is empty or too large, a picture cannot be cleaned, a field breaks a
    /// rule, the device is not in the group, or too many transfers wait.
    pub async fn attach(
        &self,
        group: GroupId,
        source: impl Into<Source>,
        options: AttachOptions,
    ) -> Result<BlobId, TransferError> {
        let source = source.into();
        self.order(|reply| Order::Attach { group, source, options, reply }).await
    }

    /// Uploads bytes for a group and returns what opens them, without sending a message: for a message that
    /// names several, or an archive. Not taken up after a restart; the hub forgets bytes that no message
    /// names within two days. Dropping the future gives it up.
    ///
    /// # Errors
    /// As [`Client::attach`], and when the hub refuses for good.
    pub async fn upload_bytes(
        &self,
        group: GroupId,
        bytes: Vec<u8>,
        name: &str,
        document_type: DocumentType,
    ) -> Result<Document, TransferError> {
        let options = AttachOptions {
            name: Some(name.to_owned()),
            document_type: Some(document_type),
            ..AttachOptions::default()
        };
        self.upload(group, bytes, options).await
    }

    /// As [`Client::upload_bytes`], from a file too and with everything that can be said.
    ///
    /// # Errors
    /// As [`Client::upload_bytes`].
    pub async fn upload(
        &self,
        group: GroupId,
        source: impl Into<Source>,
        options: AttachOptions,
    ) -> Result<Document, TransferError> {
        let source = source.into();
        self.order(|reply| Order::Upload { group, source, options, reply }).await
    }

    /// Fetches a document into a file and returns its path. What has arrived when it is interrupted, by
    /// dropping the future too, is kept beside the destination and taken up by the next call. Nothing is
    /// shown under the destination's name before all of it has arrived and is what the message says.
    ///
    /// # Errors
    /// When there is such a file, the hub does not have the document or does not give it to this device, it
    /// is damaged, the line breaks too often, or the disk fails. Waits for a connection: bound it.
    pub async fn fetch(
        &self,
        document: &Document,
        destination: Destination,
    ) -> Result<PathBuf, TransferError> {
        let document = document.clone();
        self.order(|reply| Order::Fetch { document, destination, reply }).await
    }

    /// Fetches a document of at most `max` bytes into memory. Dropping the future gives it up.
    ///
    /// # Errors
    /// As [`Client::fetch`], and [`TransferError::TooLarge`].
    pub async fn download_bytes(&self, document: &Document, max: u64) -> Result<Vec<u8>, TransferError> {
        if document.size > max {
            return Err(TransferError::TooLarge { max });
        }
        let document = document.clone();
        self.order(|reply| Order::Load { document, reply }).await
    }

    /// Uploads whose message is not in the outbox yet.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn transfers(&self) -> Result<Vec<PendingUpload>, ClientError> {
        Ok(self.query(|core| core.uploads()).await??)
    }

    /// Gives up an upload: its message is not sent, its bytes are forgotten here and on the hub.
    ///
    /// # Errors
    /// When there is no such upload: it may have become a message.
    pub async fn cancel_transfer(&self, transfer: BlobId) -> Result<(), TransferError> {
        self.order(|reply| Order::Cancel { blob: transfer, reply }).await
    }

    /// Ends what runs; uploads that were begun go on with the next process.
    pub(super) async fn end_transfers(&self) {
        let (stop, stopped) = oneshot::channel();
        if let Some(transfers) = &self.shared.transfers
            && transfers.send(Order::Stop(stop)).await.is_ok()
        {
            let _ = stopped.await;
        }
    }

    /// Does something on the transfer thread, which has a runtime of its own, for as long as somebody waits.
    pub(crate) async fn on_transfers<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, ClientError> {
        let (mut reply, answer) = oneshot::channel();
        let work = Box::pin(async move {
            let done = tokio::select! {
                biased;
                () = reply.closed() => return,
                done = work => done,
            };
            let _ = reply.send(done);
        });
        let transfers = self.shared.transfers.as_ref().ok_or(ClientError::Closed)?;
        transfers.send(Order::Run(work)).await.map_err(|_| ClientError::Closed)?;
        answer.await.map_err(|_| ClientError::Closed)
    }

    async fn order<T>(&self, order: impl FnOnce(Reply<T>) -> Order) -> Result<T, TransferError> {
        let (reply, answer) = oneshot::channel();
        let closed = || TransferError::Client(ClientError::Closed);
        let transfers = self.shared.transfers.as_ref().ok_or_else(closed)?;
        transfers.send(order(reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}
