//! The thread that carries out transfers: prepares, uploads, fetches, and takes up what an earlier process
//! has left.
//!
//! One per [`Client`](crate::client::Client), with a runtime of its own, so that sealing and disks never hold
//! up the conversation. It ends when the client is closed or its last handle is dropped; uploads that were
//! begun go on with the next process that opens the profile.

use std::{collections::HashMap, io, path::PathBuf, pin::Pin, sync::Arc, thread};

use cercle_proto::id::{BlobId, GroupId};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::{AbortHandle, JoinSet, spawn_blocking},
    time::sleep,
};

use super::{
    AttachOptions, Destination, Device, Source, TransferError, download, history,
    limits::{ORDERS_MAX, OUTBOX_RETRY, PREPARING_AT_ONCE_MAX, TRANSFERS_AT_ONCE_MAX, TRANSFERS_MAX},
    prepare::prepare,
    sink::{Arrived, Sink},
    spool::Spool,
    upload::{self, Cargo},
};
use crate::{
    client::{ClientError, random},
    core::{Command, PendingUpload},
    error::Error,
    event::{Event, TransferFailure},
    message::{Body, Document, Draft},
    sealing::sealed_size,
};

/// Answers an order.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, TransferError>>;

/// What the transfer thread is asked for.
pub(crate) enum Order {
    /// Prepare a document; answer once it is certain to be sent; send it.
    Attach { group: GroupId, source: Source, options: AttachOptions, reply: Reply<BlobId> },
    /// Prepare a document and upload it; no message.
    Upload { group: GroupId, source: Source, options: AttachOptions, reply: Reply<Document> },
    /// Fetch into a file.
    Fetch { document: Document, destination: Destination, reply: Reply<PathBuf> },
    /// Fetch into memory.
    Load { document: Document, reply: Reply<Vec<u8>> },
    /// Give up an upload that was begun.
    Cancel { blob: BlobId, reply: Reply<()> },
    /// Do something else that needs this thread's runtime.
    Run(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// End; answered when nothing runs any more.
    Stop(oneshot::Sender<()>),
}

/// Starts the thread.
///
/// # Errors
/// When the system gives none.
pub(crate) fn start(device: Device, spool: Spool) -> io::Result<mpsc::Sender<Order>> {
    let (sender, orders) = mpsc::channel(ORDERS_MAX);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("cercle-transfers".to_owned()).spawn(move || {
        let stopped = runtime.block_on(Worker::new(device, spool).serve(orders));
        // Waits for files that are being prepared.
        drop(runtime);
        if let Some(stopped) = stopped {
            let _ = stopped.send(());
        }
    })?;
    Ok(sender)
}

/// What every transfer needs. Cheap to clone.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) device: Device,
    spool: Spool,
    preparing: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

struct Worker {
    means: Means,
    tasks: JoinSet<()>,
    /// Uploads that end with a message, so that they can be cancelled.
    uploads: HashMap<BlobId, AbortHandle>,
}

impl Worker {
    fn new(device: Device, spool: Spool) -> Self {
        let preparing = Arc::new(Semaphore::new(PREPARING_AT_ONCE_MAX));
        let running = Arc::new(Semaphore::new(TRANSFERS_AT_ONCE_MAX));
        let means = Means { device, spool, preparing, running };
        Self { means, tasks: JoinSet::new(), uploads: HashMap::new() }
    }

    /// Serves until told to stop (returns whom to tell) or the last handle is dropped.
    async fn serve(mut self, mut orders: mpsc::Receiver<Order>) -> Option<oneshot::Sender<()>> {
        self.resume().await;
        self.tasks.spawn(history::carry(self.means.clone()));
        self.tasks.spawn(crate::recovery::keeper::run(self.means.device.client.clone()));
        loop {
            tokio::select! {
                biased;
                Some(_) = self.tasks.join_next() => {
                    self.uploads.retain(|_, task| !task.is_finished());
                }
                order = orders.recv() => match order? {
                    Order::Stop(done) => return Some(done),
                    order => self.take(order).await,
                },
            }
        }
    }

    /// Takes up uploads that were begun, and deletes ciphertexts that none of them needs.
    async fn resume(&mut self) {
        // A store that fails says so to everybody who asks it; here it only means that nothing is resumed.
        let Ok(Ok(uploads)) = self.means.device.client.query(|core| core.uploads()).await else { return };
        let blobs: Vec<BlobId> = uploads.iter().map(|upload| upload.blob).collect();
        self.means.spool.keep_only(&blobs);
        for pending in uploads {
            let cargo = cargo_of(&pending);
            let work = self.means.clone().send(cargo);
            self.uploads.insert(cargo.blob, self.tasks.spawn(work));
        }
    }

    async fn take(&mut self, order: Order) {
        if self.tasks.len() >= TRANSFERS_MAX {
            return refuse(order);
        }
        let means = self.means.clone();
        match order {
            Order::Attach { group, source, options, reply } => {
                let blob = new_blob();
                let task = self.tasks.spawn(means.attach(blob, group, source, options, reply));
                self.uploads.insert(blob, task);
            }
            Order::Upload { group, source, options, reply } => {
                self.tasks.spawn(answering(reply, async move {
                    means.upload(new_blob(), group, source, options).await
                }));
            }
            Order::Fetch { document, destination, reply } => {
                self.tasks.spawn(answering(reply, async move { means.fetch(&document, &destination).await }));
            }
            Order::Load { document, reply } => {
                self.tasks.spawn(answering(reply, async move { means.load(&document).await }));
            }
            Order::Cancel { blob, reply } => {
                let cancelled = self.cancel(blob).await;
                let _ = reply.send(cancelled);
            }
            Order::Run(work) => drop(self.tasks.spawn(work)),
            Order::Stop(_) => {}
        }
    }

    async fn cancel(&mut self, blob: BlobId) -> Result<(), TransferError> {
        if let Some(task) = self.uploads.remove(&blob) {
            task.abort();
        }
        self.means.abandon(blob, TransferFailure::Cancelled).await
    }
}

impl Means {
    /// Prepares and notes an upload, answers, and sends it.
    async fn attach(
        self,
        blob: BlobId,
        group: GroupId,
        source: Source,
        options: AttachOptions,
        reply: Reply<BlobId>,
    ) {
        match self.begin(blob, group, source, options).await {
            Ok(cargo) => {
                let _ = reply.send(Ok(blob));
                self.send(cargo).await;
            }
            Err(error) => {
                self.spool.delete(blob);
                let _ = reply.send(Err(error));
            }
        }
    }

    async fn begin(
        &self,
        blob: BlobId,
        group: GroupId,
        source: Source,
        options: AttachOptions,
    ) -> Result<Cargo, TransferError> {
        let in_reply_to = options.in_reply_to;
        let document = self.prepare(blob, source, options).await?;
        let cargo = Cargo { blob, group, sealed_bytes: sealed_size(document.size), size: document.size };
        let draft = Draft { body: Body::Document(document), in_reply_to };
        let begin = Command::BeginUpload { blob, group, sealed_bytes: cargo.sealed_bytes, draft };
        self.device.client.command(begin).await?;
        Ok(cargo)
    }

    /// Uploads, and turns the upload into a message.
    async fn send(self, cargo: Cargo) {
        let blob = cargo.blob;
        let sent = match self.carry(cargo).await {
            Ok(()) => self.finish(blob).await,
            failed => failed,
        };
        let reason = match sent {
            Ok(()) => return self.spool.delete(blob),
            // The next process goes on.
            Err(TransferError::Client(ClientError::Closed)) => return,
            Err(TransferError::NotMember) => TransferFailure::NotMember,
            Err(TransferError::Refused(code)) => TransferFailure::Refused(code),
            Err(_) => TransferFailure::FileLost,
        };
        // It was cancelled meanwhile, or the client is closing: both leave nothing to do here.
        let _ = self.abandon(blob, reason).await;
    }

    async fn carry(&self, cargo: Cargo) -> Result<(), TransferError> {
        let _permit = self.running.acquire().await.map_err(|_| TransferError::Cancelled)?;
        upload::upload(&self.device, &self.spool, cargo).await
    }

    /// Puts the message into the outbox; waits while that is full.
    async fn finish(&self, blob: BlobId) -> Result<(), TransferError> {
        loop {
            match self.device.client.command(Command::FinishUpload { blob }).await {
                Ok(_) => return Ok(()),
                Err(ClientError::Core(Error::NotMember(_) | Error::UnknownGroup(_))) => {
                    return Err(TransferError::NotMember);
                }
                Err(ClientError::Core(Error::OutboxFull | Error::Store(_)) | ClientError::Busy) => {}
                Err(error) => return Err(error.into()),
            }
            sleep(OUTBOX_RETRY).await;
        }
    }

    /// Forgets an upload, and says so.
    async fn abandon(&self, blob: BlobId, reason: TransferFailure) -> Result<(), TransferError> {
        let abandoned = self.device.client.command(Command::AbandonUpload { blob }).await;
        if let Err(ClientError::Closed) = abandoned {
            return Err(ClientError::Closed.into());
        }
        self.spool.delete(blob);
        abandoned?;
        self.device.tell(Event::TransferFailed { transfer: blob, reason });
        Ok(())
    }

    pub(super) async fn upload(
        self,
        blob: BlobId,
        group: GroupId,
        source: Source,
        options: AttachOptions,
    ) -> Result<Document, TransferError> {
        let guard = Unkept { spool: &self.spool, blob };
        let document = self.prepare(blob, source, options).await?;
        self.carry(Cargo { blob, group, sealed_bytes: sealed_size(document.size), size: document.size })
            .await?;
        drop(guard);
        Ok(document)
    }

    async fn prepare(
        &self,
        blob: BlobId,
        source: Source,
        options: AttachOptions,
    ) -> Result<Document, TransferError> {
        let permit = self.preparing.clone().acquire_owned().await.map_err(|_| TransferError::Cancelled)?;
        let spool = self.spool.clone();
        let work = spawn_blocking(move || {
            // Given back when the work is done, not when nobody waits for it any more.
            let _permit = permit;
            prepare(&spool, blob, source, &options)
        });
        work.await.map_err(|_| TransferError::Cancelled)?
    }

    async fn fetch(self, document: &Document, destination: &Destination) -> Result<PathBuf, TransferError> {
        let _permit = self.running.acquire().await.map_err(|_| TransferError::Cancelled)?;
        match download::download(&self.device, document, || Sink::file(document, destination)).await? {
            Arrived::File(path) => Ok(path),
            Arrived::Bytes(_) => Err(TransferError::Cancelled),
        }
    }

    pub(super) async fn load(self, document: &Document) -> Result<Vec<u8>, TransferError> {
        let _permit = self.running.acquire().await.map_err(|_| TransferError::Cancelled)?;
        match download::download(&self.device, document, || Ok(Sink::memory(document))).await? {
            Arrived::Bytes(bytes) => Ok(bytes),
            Arrived::File(_) => Err(TransferError::Cancelled),
        }
    }
}

/// A ciphertext that no upload of the store names: deleted whatever happens.
struct Unkept<'a> {
    spool: &'a Spool,
    blob: BlobId,
}

impl Drop for Unkept<'_> {
    fn drop(&mut self) {
        self.spool.delete(self.blob);
    }
}

/// Does work while somebody waits for it, and answers.
async fn answering<T>(mut reply: Reply<T>, work: impl Future<Output = Result<T, TransferError>>) {
    let done = tokio::select! {
        biased;
        done = work => done,
        () = reply.closed() => return,
    };
    let _ = reply.send(done);
}

fn refuse(order: Order) {
    let busy = || TransferError::Client(ClientError::Busy);
    match order {
        Order::Attach { reply, .. } => drop(reply.send(Err(busy()))),
        Order::Upload { reply, .. } => drop(reply.send(Err(busy()))),
        Order::Fetch { reply, .. } => drop(reply.send(Err(busy()))),
        Order::Load { reply, .. } => drop(reply.send(Err(busy()))),
        Order::Cancel { reply, .. } => drop(reply.send(Err(busy()))),
        // Whoever waits for it finds its answer gone.
        Order::Run(_) | Order::Stop(_) => {}
    }
}

fn cargo_of(pending: &PendingUpload) -> Cargo {
    let size = match &pending.body {
        Body::Document(document) => document.size,
        _ => pending.sealed_bytes,
    };
    Cargo { blob: pending.blob, group: pending.group, sealed_bytes: pending.sealed_bytes, size }
}

/// Blobs are named at random (docs/protocol.md section 9).
pub(super) fn new_blob() -> BlobId {
    let (high, low) = (random(), random());
    BlobId::new(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
}
