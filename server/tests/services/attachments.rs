//! Attachments without a network: what is kept, what is deleted and when, who makes way for whom.

use std::{collections::VecDeque, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use cercle_proto::id::{BlobId, GroupId, TimestampMs};
use cercle_server::{
    attachments::{
        Attachments, Chunks, CreateBlob, CreateError, Cut, Range, Secret, Settings, TransferError,
    },
    delivery::{self, Application},
    limits,
    telemetry::Metrics,
};
use cercle_storage::store::BlobRecord;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::world::{DAY_MS, Device, Hub, Plan, id_of, new_id, unique};

const RETENTION_DAYS: u64 = 30;

/// A hub with attachments in a folder, and a group of two.
struct World {
    hub: Hub,
    attachments: Attachments,
    anne: Device,
    bruno: Device,
    group: GroupId,
    mls: openmls::prelude::MlsGroup,
    folder: tempfile::TempDir,
}

async fn world() -> World {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut mls = hub.new_group(&anne).await;
    hub.add(&anne, &mut mls, &[&bruno]).await;
    let folder = tempfile::tempdir().unwrap();
    let attachments = open(&hub, folder.path(), limits::UPLOAD_SILENCE_MAX);
    World { group: id_of(&mls), hub, attachments, anne, bruno, mls, folder }
}

fn open(hub: &Hub, folder: &Path, silence_max: Duration) -> Attachments {
    let settings = Settings { user_bytes_max: 1 << 30, retention_ms: RETENTION_DAYS * DAY_MS, silence_max };
    let metrics = Arc::new(Metrics::new());
    Attachments::open(hub.store.clone(), folder, settings, metrics, CancellationToken::new()).unwrap()
}

fn new_blob() -> BlobId {
    let mut id = [0x0b; 16];
    id[8..].copy_from_slice(&unique().to_be_bytes());
    BlobId::new(id)
}

/// A body in pieces; with a signal it gives that, then nothing more, and does not end.
struct Body(VecDeque<Bytes>, Option<Arc<Notify>>);

impl Chunks for Body {
    async fn next(&mut self) -> Option<Result<Bytes, Cut>> {
        let piece = self.0.pop_front();
        if let (None, Some(silent)) = (&piece, &self.1) {
            silent.notify_one();
            std::future::pending::<()>().await;
        }
        piece.map(Ok)
    }
}

fn whole(bytes: &[u8]) -> Body {
    Body([Bytes::copy_from_slice(bytes)].into(), None)
}

impl World {
    async fn announce(&self, blob: BlobId, size: u64, now: TimestampMs) -> Result<Secret, CreateError> {
        let request = CreateBlob { blob, group: self.group, size };
        Ok(self.attachments.create_blob(&self.anne.identity, request, now).await?.secret)
    }

    /// A complete blob of ten bytes.
    async fn complete(&self, now: TimestampMs) -> BlobId {
        let blob = new_blob();
        let secret = self.announce(blob, 10, now).await.unwrap();
        let stored = self.attachments.upload(&secret, blob, 0, &mut whole(b"0123456789"), now).await;
        assert_eq!(stored.unwrap(), 10);
        blob
    }

    async fn refer(&mut self, blob: BlobId, now: TimestampMs) {
        let mls = self.anne.encrypt(&mut self.mls, "voir la lettre");
        let application = Application { blobs: vec![blob], ..Application::new(new_id(), mls) };
        let delivery = &self.hub.delivery;
        delivery.send_application(&self.anne.identity, self.group, application, now).await.unwrap();
    }

    async fn on_record(&self, blob: BlobId) -> Option<BlobRecord> {
        self.hub.store.blob(blob).await.unwrap()
    }

    /// A round of housekeeping for each shard of files.
    async fn tidy(&self, now: TimestampMs) {
        for _ in 0..256 {
            self.attachments.housekeeping(now).await.unwrap();
        }
    }

    /// Files anywhere in the folder.
    fn files(&self) -> usize {
        fn count(folder: &Path) -> usize {
            let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
        }
        count(self.folder.path())
    }
}

#[tokio::test]
async fn each_blob_is_kept_for_its_time() {
    let mut world = world().await;
    let start = world.hub.now;
    let unfinished = new_blob();
    let secret = world.announce(unfinished, 10, start).await.unwrap();
    world.attachments.upload(&secret, unfinished, 0, &mut whole(b"01234"), start).await.unwrap();
    let unreferenced = world.complete(start).await;
    let referenced = world.complete(start).await;
    world.refer(referenced, start).await;
    assert_eq!(world.files(), 3);

    world.tidy(start + 2 * DAY_MS - 1).await;
    assert_eq!(world.files(), 3);
    world.tidy(start + 2 * DAY_MS).await;
    assert_eq!(world.on_record(unfinished).await, None);
    assert_eq!(world.on_record(unreferenced).await, None);
    assert_eq!(world.files(), 1);
    // Another message refers to it: its time begins anew.
    let again = start + (RETENTION_DAYS - 1) * DAY_MS;
    world.refer(referenced, again).await;
    world.tidy(again + RETENTION_DAYS * DAY_MS - 1).await;
    assert!(world.on_record(referenced).await.is_some());
    world.tidy(again + RETENTION_DAYS * DAY_MS).await;
    assert_eq!((world.on_record(referenced).await, world.files()), (None, 0));
}

#[tokio::test]
async fn a_group_without_devices_leaves_no_blobs() {
    let mut world = world().await;
    let blob = world.complete(world.hub.now).await;
    world.refer(blob, world.hub.now).await;
    world.tidy(world.hub.now).await;
    assert!(world.on_record(blob).await.is_some());
    let record = world.hub.store.group(world.group).await.unwrap().unwrap();
    let commit = cercle_storage::store::CommitRecord {
        group: world.group,
        sender: world.anne.identity.device,
        external: false,
        message_id: new_id(),
        epoch: record.epoch,
        body: Bytes::new(),
        group_info: record.group_info,
        group_state: record.group_state,
        joined: Vec::new(),
        removed: vec![world.anne.identity.device, world.bruno.identity.device],
        may_post: Vec::new(),
        posting_restricted: false,
        welcome: None,
        application: None,
        application_blobs: Vec::new(),
        at: world.hub.now,
    };
    world.hub.store.commit(commit).await.unwrap();
    world.tidy(world.hub.now).await;
    assert_eq!((world.on_record(blob).await, world.files()), (None, 0));
}

#[tokio::test]
async fn files_that_no_row_knows_are_deleted_and_never_inherited() {
    let world = world().await;
    let now = world.hub.now;
    let (stray, again) = (world.complete(now).await, world.complete(now).await);
    let kept = world.complete(now).await;
    for blob in [stray, again] {
        // The hub ended between the row and the files.
        let record = world.on_record(blob).await.unwrap();
        assert!(world.hub.store.remove_blob(record).await.unwrap());
    }
    let request = CreateBlob { blob: again, group: world.group, size: 10 };
    let announced = world.attachments.create_blob(&world.bruno.identity, request, now).await.unwrap();
    assert_eq!(announced.stored, 0);
    assert_eq!(world.files(), 2);
    // What a killed hub was just writing goes too.
    let hex = cercle_proto::id::to_hex(stray.as_bytes());
    let unfinished = world.folder.path().join(&hex[..2]).join(&hex).join("000000000000000a#1");
    std::fs::write(unfinished, b"half").unwrap();
    world.tidy(now).await;
    assert_eq!(world.files(), 1);
    assert!(world.on_record(kept).await.is_some());
}

#[tokio::test]
async fn a_part_that_lost_its_end_on_the_disk_is_a_failure_and_never_a_shorter_document() {
    let world = world().await;
    let now = world.hub.now;
    let blob = world.complete(now).await;
    let hex = cercle_proto::id::to_hex(blob.as_bytes());
    let part = world.folder.path().join(&hex[..2]).join(&hex).join("0000000000000000");
    std::fs::write(&part, b"01234").unwrap();
    let secret = world.attachments.open_blob(&world.bruno.identity, blob, now).await.unwrap().secret;
    let mut download = world.attachments.download(&secret, blob, None, now).await.unwrap();
    assert_eq!((download.size(), download.range()), (10, 0..10), "what is announced is the whole");
    assert_eq!(download.next().await.unwrap().unwrap(), Bytes::from_static(b"01234"));
    let ended = download.next().await;
    assert!(matches!(ended, Err(TransferError::Files(_))), "{ended:?}");
    // Whoever goes on behind what he has gets nothing instead of an end.
    let rest = Range { first: 5, last: None };
    let mut download = world.attachments.download(&secret, blob, Some(rest), now).await.unwrap();
    assert!(download.next().await.is_err());
}

#[tokio::test]
async fn a_ticket_is_good_for_ten_minutes_and_a_transfer_that_has_begun_goes_on() {
    let world = world().await;
    let (blob, now) = (new_blob(), world.hub.now);
    let secret = world.announce(blob, 10, now).await.unwrap();
    let end = now + limits::TICKET_VALID_MS;
    world.attachments.upload(&secret, blob, 0, &mut whole(b"01234"), end - 1).await.unwrap();
    let late = world.attachments.upload(&secret, blob, 5, &mut whole(b"56789"), end).await;
    assert!(matches!(late, Err(TransferError::Unauthorised)), "{late:?}");
    assert!(matches!(world.attachments.look(&secret, blob, end).await, Err(TransferError::Unauthorised)));

    let blob = world.complete(end).await;
    let secret = world.attachments.open_blob(&world.bruno.identity, blob, end).await.unwrap().secret;
    let end = end + limits::TICKET_VALID_MS;
    let mut download = world.attachments.download(&secret, blob, None, end - 1).await.unwrap();
    world.attachments.housekeeping(end).await.unwrap();
    assert_eq!(download.next().await.unwrap().unwrap(), Bytes::from_static(b"0123456789"));
    assert!(download.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_later_upload_takes_over_from_one_that_is_silent_and_finds_what_it_stored() {
    let world = world().await;
    let (blob, now) = (new_blob(), world.hub.now);
    let secret = world.announce(blob, 10, now).await.unwrap();
    let silent = Arc::new(Notify::new());
    let dead = {
        let (attachments, silent) = (world.attachments.clone(), silent.clone());
        let secret = Secret::new(*secret.as_bytes());
        tokio::spawn(async move {
            let mut body = Body([Bytes::from_static(b"0123")].into(), Some(silent));
            attachments.upload(&secret, blob, 0, &mut body, now).await
        })
    };
    silent.notified().await;
    let early = world.attachments.upload(&secret, blob, 0, &mut whole(b"0123456789"), now).await;
    assert!(matches!(early, Err(TransferError::WrongOffset { stored: 4 })), "{early:?}");
    let cut = dead.await.unwrap();
    assert!(matches!(cut, Err(TransferError::Cut { stored: 4 })), "{cut:?}");
    assert_eq!(world.attachments.upload(&secret, blob, 4, &mut whole(b"456789"), now).await.unwrap(), 10);
}

#[tokio::test]
async fn an_upload_that_is_silent_for_too_long_is_ended_and_keeps_what_it_sent() {
    let mut world = world().await;
    world.attachments = open(&world.hub, world.folder.path(), Duration::from_millis(20));
    let (blob, now) = (new_blob(), world.hub.now);
    let secret = world.announce(blob, 10, now).await.unwrap();
    let mut body = Body([Bytes::from_static(b"0123")].into(), Some(Arc::new(Notify::new())));
    let cut = world.attachments.upload(&secret, blob, 0, &mut body, now).await;
    assert!(matches!(cut, Err(TransferError::Cut { stored: 4 })), "{cut:?}");
}

#[tokio::test]
async fn a_revoked_device_is_cut_off_in_the_middle_of_a_transfer() {
    let world = world().await;
    let (blob, now) = (new_blob(), world.hub.now);
    let secret = world.announce(blob, 10, now).await.unwrap();
    let silent = Arc::new(Notify::new());
    let upload = {
        let (attachments, silent) = (world.attachments.clone(), silent.clone());
        tokio::spawn(async move {
            let mut body = Body([Bytes::from_static(b"0123")].into(), Some(silent));
            attachments.upload(&secret, blob, 0, &mut body, now).await
        })
    };
    silent.notified().await;
    world.attachments.end_tickets(world.anne.identity.device);
    let cut = upload.await.unwrap();
    assert!(matches!(cut, Err(TransferError::Cut { stored: 4 })), "{cut:?}");
}

#[tokio::test]
async fn the_first_message_of_an_epoch_refers_to_blobs_under_the_same_rules() {
    let mut world = world().await;
    let now = world.hub.now;
    let blob = world.complete(now).await;
    let mut request = world.anne.commit(&mut world.mls, Plan::default());
    world.anne.merge(&mut world.mls);
    let first = Application::new(new_id(), world.anne.encrypt(&mut world.mls, "voir la lettre"));
    request.application = Some(Application { blobs: vec![blob, new_blob()], ..first.clone() });
    let refused = world.hub.delivery.commit(&world.anne.identity, request.clone(), now).await;
    assert!(matches!(refused, Err(delivery::Error::BlobUnknown)), "{refused:?}");
    assert_eq!(world.on_record(blob).await.unwrap().referenced_at, None);
    request.application = Some(Application { blobs: vec![blob], ..first });
    world.hub.delivery.commit(&world.anne.identity, request, now).await.unwrap();
    assert_eq!(world.on_record(blob).await.unwrap().referenced_at, Some(now));
}

#[tokio::test]
async fn a_device_that_asks_without_end_is_slowed_down() {
    let world = world().await;
    let (blob, now) = (new_blob(), world.hub.now);
    let secret = world.announce(blob, 10, now).await.unwrap();
    for _ in 0..limits::TRANSFER_RATE.burst {
        world.attachments.look(&secret, blob, now).await.unwrap();
    }
    assert!(matches!(world.attachments.look(&secret, blob, now).await, Err(TransferError::Busy)));
    world.attachments.look(&secret, blob, now + limits::TRANSFER_RATE.refill_ms).await.unwrap();
}
