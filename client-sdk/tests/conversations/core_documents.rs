//! What the hub deletes of documents, and what it then says to whoever asks for them.

use std::collections::VecDeque;

use bytes::Bytes;
use cercle_proto::{
    ErrorCode,
    id::{BlobId, GroupId},
};
use cercle_sdk::{
    core::{Command, Outcome},
    error::Error,
    event::Event,
    message::{Body, Document, DocumentType},
};
use cercle_server::{
    attachments::{Chunks, Cut, Secret},
    limits::{BLOB_RETENTION_MS, BLOB_UNREFERENCED_MS, DAY_MS},
};

use super::core_world::World;

const CIPHERTEXT: &[u8] = b"ten bytes.";

/// A body in one piece.
struct Whole(VecDeque<Bytes>);

impl Chunks for Whole {
    async fn next(&mut self) -> Option<Result<Bytes, Cut>> {
        self.0.pop_front().map(Ok)
    }
}

/// Puts bytes on the hub, for a group that the device is in.
async fn put(world: &mut World, device: usize, group: GroupId, blob: BlobId) {
    let create = Command::CreateBlob { blob, group, sealed_bytes: CIPHERTEXT.len() as u64 };
    let Ok(Outcome::Ticket(ticket)) = world.run(device, create).await else { panic!("no ticket") };
    let mut body = Whole([Bytes::from_static(CIPHERTEXT)].into());
    let attachments = world.services.dispatch.attachments.clone();
    let secret = Secret::new(ticket.secret);
    let stored = attachments.upload(&secret, blob, 0, &mut body, world.clock.now()).await.unwrap();
    assert_eq!(stored, CIPHERTEXT.len() as u64);
}

/// One round of the hub's housekeeping at this time, then a member asks for the blob.
async fn asked(world: &mut World, blob: BlobId) -> Result<(), ErrorCode> {
    let attachments = world.services.dispatch.attachments.clone();
    attachments.housekeeping(world.clock.now()).await.unwrap();
    match world.run(1, Command::OpenBlob { blob }).await {
        Ok(Outcome::Ticket(ticket)) => {
            assert_eq!((ticket.blob, ticket.size), (blob, CIPHERTEXT.len() as u64));
            Ok(())
        }
        Err(Error::Refused { code, .. }) => Err(code),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_nothing_refers_to_goes_after_two_days_and_the_rest_after_its_time() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("Deux", &[0, 1]).await;
    let (letter, lost) = (BlobId::new([1; 16]), BlobId::new([2; 16]));
    let start = world.clock.now();
    put(&mut world, 0, group, letter).await;
    put(&mut world, 0, group, lost).await;
    let document = Document {
        blob: letter,
        key: [5; 32],
        size: 10,
        sha256: [6; 32],
        name: "lettre.pdf".into(),
        media_type: "application/pdf".into(),
        document_type: DocumentType::Report,
        title: String::new(),
        confidentiality: Vec::new(),
        thumbnail: Vec::new(),
    };
    world.say(0, group, Body::Document(document));
    world.all_at_one_epoch(group, &[0, 1]).await;
    assert_eq!(asked(&mut world, letter).await, Ok(()));
    assert_eq!(asked(&mut world, lost).await, Ok(()));

    // Nobody ever sent the second one: its message was never written.
    let sent = world.clock.now();
    world.clock.advance(start + BLOB_UNREFERENCED_MS - 1 - sent);
    assert_eq!(asked(&mut world, lost).await, Ok(()));
    world.clock.advance(sent - start + 1);
    assert_eq!(asked(&mut world, lost).await, Err(ErrorCode::BlobUnknown));
    assert_eq!(asked(&mut world, letter).await, Ok(()));

    // A year later the reader's certificate has ended; he renews it when he comes back.
    let now = world.clock.now();
    world.devices[1].disconnect(now);
    world.clock.advance(start + BLOB_RETENTION_MS - DAY_MS - now);
    world.devices[1].online = true;
    let renewed = |event: &Event| matches!(event, Event::CertificateRenewed { .. });
    world.until(|world| world.devices[1].saw(renewed)).await;
    assert_eq!(asked(&mut world, letter).await, Ok(()));
    world.clock.advance(DAY_MS + sent - start);
    // The code that a fetch tells a person as: the hub no longer has the document.
    assert_eq!(asked(&mut world, letter).await, Err(ErrorCode::BlobUnknown));
}
