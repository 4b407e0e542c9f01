//! Documents between clients, over sockets, through whatever happens to lines, clients and the hub.

use std::{
    fs,
    io::{Cursor, Read as _, Write as _},
    path::Path,
};

use cercle_proto::id::{BlobId, GroupId};
use cercle_sdk::{
    client::{Client, Events, Notice},
    event::{Event, TransferFailure},
    message::{Body, Document, DocumentType},
    transfer::{AttachOptions, Destination, TransferError},
};
use image::{DynamicImage, ImageFormat, RgbImage};

use crate::{
    client_world::{Hub, pair, soon, until, until_text},
    link::Link,
};

/// A file of bytes that no compression and no luck gets right.
pub(crate) fn write_file(path: &Path, size: u64) {
    let mut file = std::io::BufWriter::new(fs::File::create(path).unwrap());
    let mut word = 0x9e37_79b9_7f4a_7c15_u64 ^ size;
    for _ in 0..size.div_ceil(8) {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        file.write_all(&word.to_be_bytes()).unwrap();
    }
    file.into_inner().unwrap().set_len(size).unwrap();
}

fn same_content(one: &Path, other: &Path) -> bool {
    let (mut one, mut other) = (fs::File::open(one).unwrap(), fs::File::open(other).unwrap());
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let count = one.read(&mut a).unwrap();
        if count == 0 {
            return other.read(&mut b).unwrap() == 0;
        }
        if other.read_exact(&mut b[..count]).is_err() || a[..count] != b[..count] {
            return false;
        }
    }
}

/// Waits for the next document of a group.
pub(crate) async fn until_document(events: &mut Events) -> Document {
    soon(async {
        loop {
            match events.next().await.expect("the client is open") {
                Notice::Event(Event::MessageReceived(message)) => {
                    if let Body::Document(document) = message.body {
                        return document;
                    }
                }
                Notice::Event(_) | Notice::Missed(_) => {}
            }
        }
    })
    .await
}

/// The documents that a device has in a group.
pub(crate) async fn documents(client: &Client, group: GroupId) -> Vec<Document> {
    let messages = client.messages(group, 0, 10_000).await.unwrap();
    messages
        .into_iter()
        .flat_map(|message| message.body.documents().into_iter().cloned().collect::<Vec<_>>())
        .collect()
}

/// Waits until at least so much of a transfer is through.
async fn until_progress(events: &mut Events, bytes: u64) {
    until(events, |event| matches!(event, Event::TransferProgress { done, .. } if *done >= bytes)).await;
}

async fn until_finished(events: &mut Events, transfer: BlobId) {
    until(events, |event| {
        assert!(!matches!(event, Event::TransferFailed { .. }), "{event:?}");
        matches!(event, Event::TransferFinished { transfer: id, .. } if *id == transfer)
    })
    .await;
}

pub(crate) fn into_folder(folder: &Path) -> Destination {
    Destination { path: folder.to_owned(), overwrite: false }
}

fn spooled(hub: &Hub, user: &str) -> usize {
    fs::read_dir(hub.folder_of(user).join("transfers")).map_or(0, |entries| entries.count())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_of_100_mb_arrives_whole_over_lines_that_are_cut_ten_times_each() {
    const SIZE: u64 = 100_000_000;
    let hub = Hub::start().await;
    let (up, down) = (Link::to(hub.address().await).await, Link::to(hub.address().await).await);
    let alice = hub.enrol_through("alice", &up.address).await;
    let bob = hub.enrol_through("bob", &down.address).await;
    let group = pair(&alice, &bob).await;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("imagerie.bin");
    write_file(&file, SIZE);

    let (mut sent, mut heard) = (alice.events(), bob.events());
    up.cut_every(SIZE / 11, 10);
    let transfer = soon(alice.attach(group, file.clone(), AttachOptions::default())).await.unwrap();
    until_finished(&mut sent, transfer).await;
    assert_eq!(up.cuts_left(), 0);
    // The conversation's own connection was cut as often; it need not sit out its delay.
    alice.connect().await.unwrap();
    let document = until_document(&mut heard).await;
    assert_eq!((document.size, document.name.as_str()), (SIZE, "imagerie.bin"));

    down.cut_every(SIZE / 11, 10);
    let path = soon(bob.fetch(&document, into_folder(home.path()))).await;
    assert!(matches!(path, Err(TransferError::Exists)), "the name is taken: {path:?}");
    let target = home.path().join("reçu");
    fs::create_dir(&target).unwrap();
    let path = soon(bob.fetch(&document, into_folder(&target))).await.unwrap();
    assert_eq!(down.cuts_left(), 0);
    assert!(same_content(&file, &path));
    // Every cut costs what was in flight, not what had arrived.
    assert!(up.carried() < SIZE * 3 / 2 && down.carried() < SIZE * 3 / 2);
    assert_eq!(documents(&bob, group).await.len(), 1);
    assert_eq!(spooled(&hub, "alice"), 0);
    assert_eq!(fs::read_dir(&target).unwrap().count(), 1, "nothing else is left beside it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_when_client_and_hub_were_restarted_in_its_middle_and_is_sent_once() {
    const SIZE: u64 = 12_000_000;
    let mut hub = Hub::start().await;
    let link = Link::to(hub.address().await).await;
    let alice = hub.enrol_through("alice", &link.address).await;
    let bob = hub.enrol("bob").await;
    let group = pair(&alice, &bob).await;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("a.bin");
    write_file(&file, SIZE);

    let mut events = alice.events();
    link.hold_after(SIZE / 2);
    let transfer = soon(alice.attach(group, file.clone(), AttachOptions::default())).await.unwrap();
    until_progress(&mut events, SIZE / 4).await;
    fs::remove_file(&file).unwrap(); // what is sent is the spool's
    soon(alice.close()).await;
    assert_eq!(spooled(&hub, "alice"), 1);

    soon(hub.stop()).await;
    soon(hub.resume()).await;
    link.release();
    let before = link.carried();
    let mut heard = bob.events();
    let alice = hub.reopen("alice").await;
    let waiting: Vec<BlobId> = alice.transfers().await.unwrap().iter().map(|upload| upload.blob).collect();
    assert!(waiting.is_empty() || waiting == [transfer]);
    let document = until_document(&mut heard).await;
    assert_eq!(document.blob, transfer);
    assert!(link.carried() - before < SIZE * 4 / 5, "what the hub had was not sent again");
    write_file(&file, SIZE);
    let bytes = soon(bob.download_bytes(&document, SIZE)).await.unwrap();
    assert!(bytes == fs::read(&file).unwrap());

    soon(alice.send(group, "fin")).await.unwrap();
    until_text(&mut heard, "fin").await;
    assert_eq!(documents(&bob, group).await.len(), 1);
    assert_eq!(documents(&alice, group).await.len(), 1);
    assert_eq!(spooled(&hub, "alice"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_is_taken_up_by_the_next_process_and_shows_its_name_only_when_whole() {
    const SIZE: u64 = 12_000_000;
    let hub = Hub::start().await;
    let link = Link::to(hub.address().await).await;
    let alice = hub.enrol("alice").await;
    let bob = hub.enrol_through("bob", &link.address).await;
    let group = pair(&alice, &bob).await;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("a.bin");
    write_file(&file, SIZE);
    let mut heard = bob.events();
    soon(alice.attach(group, file.clone(), AttachOptions::default())).await.unwrap();
    let document = until_document(&mut heard).await;

    let target = home.path().join("b.bin");
    let destination = Destination { path: target.clone(), overwrite: false };
    link.hold_after(SIZE / 2);
    tokio::select! {
        done = bob.fetch(&document, destination.clone()) => panic!("over a line that is held: {done:?}"),
        () = until_progress(&mut heard, SIZE / 4) => {}
    }
    soon(bob.close()).await;
    assert!(!target.exists());
    link.release();
    let before = link.carried();
    let bob = hub.reopen("bob").await;
    let path = soon(bob.fetch(&document, destination.clone())).await.unwrap();
    assert!(path == target && same_content(&file, &target));
    assert!(link.carried() - before < SIZE * 4 / 5, "what had arrived was not fetched again");

    // A file that is there is left alone unless it is said otherwise.
    fs::write(&target, "à garder").unwrap();
    let refused = soon(bob.fetch(&document, destination.clone())).await;
    assert!(matches!(refused, Err(TransferError::Exists)), "{refused:?}");
    assert_eq!(fs::read(&target).unwrap(), "à garder".as_bytes());
    soon(bob.fetch(&document, Destination { overwrite: true, ..destination })).await.unwrap();
    assert!(same_content(&file, &target));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_try_left_and_somebody_changed_is_fetched_again() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    let content: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
    let document =
        soon(alice.upload_bytes(group, content.clone(), "a.bin", DocumentType::Other)).await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let part = home.path().join(format!(".{}.part", document.blob.to_hex()));
    fs::write(&part, vec![7; 200_000]).unwrap();
    let path = soon(bob.fetch(&document, into_folder(home.path()))).await.unwrap();
    assert!(fs::read(path).unwrap() == content);
    assert!(!part.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cancelled_leaves_nothing_and_says_nothing() {
    const SIZE: usize = 6_000_000;
    let hub = Hub::start().await;
    let link = Link::to(hub.address().await).await;
    let alice = hub.enrol_through("alice", &link.address).await;
    let bob = hub.enrol("bob").await;
    let group = pair(&alice, &bob).await;
    let mut events = alice.events();
    link.hold_after(SIZE as u64 / 2);
    let options = || AttachOptions { name: Some("x.bin".into()), ..AttachOptions::default() };
    let transfer = soon(alice.attach(group, vec![1; SIZE], options())).await.unwrap();
    until_progress(&mut events, SIZE as u64 / 4).await;
    soon(alice.cancel_transfer(transfer)).await.unwrap();
    let cancelled = Event::TransferFailed { transfer, reason: TransferFailure::Cancelled };
    until(&mut events, |event| *event == cancelled).await;
    assert!(alice.transfers().await.unwrap().is_empty());
    assert_eq!(spooled(&hub, "alice"), 0);
    assert!(soon(alice.cancel_transfer(transfer)).await.is_err(), "it is forgotten");
    link.release();
    let mut heard = bob.events();
    soon(alice.send(group, "fin")).await.unwrap();
    until_text(&mut heard, "fin").await;
    assert!(documents(&bob, group).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_attached_without_a_connection_is_sent_by_the_next_process() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    alice.disconnect().await.unwrap();
    let options =
        AttachOptions { title: "Bilan".into(), name: Some("b.txt".into()), ..AttachOptions::default() };
    soon(alice.attach(group, b"Normal.".to_vec(), options)).await.unwrap();
    soon(alice.close()).await;
    let mut heard = bob.events();
    let _alice = hub.reopen("alice").await;
    let document = until_document(&mut heard).await;
    assert_eq!((document.title.as_str(), document.media_type.as_str()), ("Bilan", "text/plain"));
    assert_eq!(soon(bob.download_bytes(&document, 100)).await.unwrap(), b"Normal.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_arrives_with_its_thumbnail_and_without_the_place_where_it_was_taken() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("IMG_0042.JPG");
    let secret = b"GPSLatitude 48.8566";
    fs::write(&file, photo_with(secret)).unwrap();
    let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);

    let mut heard = bob.events();
    soon(alice.attach(group, file.clone(), AttachOptions::default())).await.unwrap();
    let document = until_document(&mut heard).await;
    assert_eq!((document.media_type.as_str(), document.document_type), ("image/jpeg", DocumentType::Photo));
    let thumbnail = image::load_from_memory(&document.thumbnail).unwrap();
    assert_eq!((thumbnail.width(), thumbnail.height()), (256, 171));
    let bytes = soon(bob.download_bytes(&document, 1_000_000)).await.unwrap();
    assert!(!holds(&bytes) && !holds(&document.thumbnail));
    let (sent, own) = (image::load_from_memory(&bytes).unwrap(), image::open(&file).unwrap());
    assert!(sent.as_bytes() == own.as_bytes(), "the same picture");
    assert!(holds(&fs::read(&file).unwrap()), "the file of the sender is as it was");

    let options = AttachOptions { keep_metadata: true, ..AttachOptions::default() };
    soon(alice.attach(group, file, options)).await.unwrap();
    let document = until_document(&mut heard).await;
    assert!(holds(&soon(bob.download_bytes(&document, 1_000_000)).await.unwrap()));
}

/// A JPEG with an EXIF block that holds these bytes.
fn photo_with(secret: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let picture =
        RgbImage::from_fn(600, 400, |x, y| image::Rgb([x, y, x ^ y].map(|number| number.to_le_bytes()[0])));
    DynamicImage::ImageRgb8(picture).write_to(&mut Cursor::new(&mut plain), ImageFormat::Jpeg).unwrap();
    let exif = [b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0".as_slice(), secret].concat();
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    [&plain[..2], &[0xff, 0xe1], &length, &exif, &plain[2..]].concat()
}
