//! Documents that must not go out, must not come in, or are not what they claim to be.

use std::{fs, time::Duration};

use cercle_proto::{ErrorCode, id::BlobId};
use cercle_sdk::{
    client::{Client, ClientError},
    error::Error,
    event::{Event, TransferFailure},
    limits::DOCUMENT_BYTES_MAX,
    message::{Body, Document, DocumentType},
    sealing::CHUNK_BYTES,
    transfer::{AttachOptions, Destination, TransferError},
};
use cercle_server::{clock::Clock, limits::DAY_MS};

use crate::{
    client_documents::{into_folder, until_document},
    client_world::{Hub, pair, soon, until, user},
};

const SIZE: u64 = 200_000;

fn content() -> Vec<u8> {
    (0..SIZE).map(|i| (i % 253) as u8).collect()
}

async fn sent(alice: &Client, bob: &Client) -> Document {
    let group = pair(alice, bob).await;
    soon(alice.upload_bytes(group, content(), "a.bin", DocumentType::Report)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_not_what_the_message_says_is_refused_and_nothing_is_left() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let document = sent(&alice, &bob).await;
    assert!(soon(bob.download_bytes(&document, SIZE)).await.unwrap() == content());

    let mut wrong_hash = document.sha256;
    wrong_hash[0] ^= 1;
    let wrong = [
        ("key", Document { key: [9; 32], ..document.clone() }),
        ("hash", Document { sha256: wrong_hash, ..document.clone() }),
        ("longer", Document { size: SIZE + 1, ..document.clone() }),
        ("shorter", Document { size: SIZE - 1, ..document.clone() }),
        ("a chunk less", Document { size: SIZE - 65_536, ..document.clone() }),
    ];
    let home = tempfile::tempdir().unwrap();
    for (what, document) in wrong {
        let fetched = soon(bob.fetch(&document, into_folder(home.path()))).await;
        assert!(matches!(fetched, Err(TransferError::Damaged(_))), "{what}: {fetched:?}");
        let loaded = soon(bob.download_bytes(&document, 2 * SIZE)).await;
        assert!(matches!(loaded, Err(TransferError::Damaged(_))), "{what}");
    }
    damage_every_file(&hub.attachments());
    let fetched = soon(bob.fetch(&document, into_folder(home.path()))).await;
    assert!(matches!(fetched, Err(TransferError::Damaged(_))), "one byte on the hub: {fetched:?}");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

/// Changes one byte in the middle of every file below a folder.
fn damage_every_file(folder: &std::path::Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damage_every_file(&path);
        } else {
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_in_the_group_gets_nothing_even_with_id_and_key() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let chloe = hub.enrol("chloe").await;
    let document = sent(&alice, &bob).await;
    let stolen = soon(chloe.download_bytes(&document, SIZE)).await;
    assert!(matches!(stolen, Err(TransferError::NotMember | TransferError::Gone)), "{stolen:?}");

    // Who was in the group and no longer is, neither.
    let group = bob.groups().await.unwrap()[0].group;
    let mut events = bob.events();
    soon(alice.remove(group, vec![user("bob")])).await.unwrap();
    until(&mut events, |event| matches!(event, Event::GroupLeft { .. })).await;
    let kept = soon(bob.download_bytes(&document, SIZE)).await;
    assert!(matches!(kept, Err(TransferError::NotMember | TransferError::Gone)), "{kept:?}");
    let foreign = soon(bob.attach(group, content(), AttachOptions::default())).await;
    let not_member = |error| matches!(error, TransferError::Client(ClientError::Core(Error::NotMember(_))));
    assert!(foreign.is_err_and(not_member));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_hub_never_had_is_said_to_be_gone() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let document = Document { blob: BlobId::new([7; 16]), ..sent(&alice, &bob).await };
    let gone = soon(bob.download_bytes(&document, SIZE)).await;
    assert!(matches!(gone, Err(TransferError::Gone)), "{gone:?}");
}

/// Between two questions to the hub.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// Files below a folder, of which the hub may be deleting one.
fn files(folder: &std::path::Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let paths = entries.map_while(Result::ok).map(|entry| entry.path());
    paths.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_past_its_time_is_deleted_by_the_hub_and_said_to_be_gone() {
    // It is kept for a day: the certificates of the devices, whose clocks go on as they are, last longer.
    let clock = Clock::manual(Clock::system().now());
    let settings =
        [("CERCLE_SERVER_ATTACHMENT_RETENTION_DAYS", "1"), ("CERCLE_SERVER_HOUSEKEEPING_INTERVAL_MS", "10")];
    let hub = Hub::start_by(clock.clone(), &settings).await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    let mut heard = bob.events();
    let options = || AttachOptions { name: Some("ordonnance.pdf".to_owned()), ..AttachOptions::default() };
    soon(alice.attach(group, content(), options())).await.unwrap();
    let old = until_document(&mut heard).await;
    clock.advance(DAY_MS - 1);
    soon(alice.attach(group, content(), options())).await.unwrap();
    let young = until_document(&mut heard).await;
    let home = tempfile::tempdir().unwrap();
    for document in [&old, &young] {
        let options = Destination { overwrite: true, ..into_folder(home.path()) };
        let path = soon(bob.fetch(document, options)).await.unwrap();
        assert!(fs::read(path).unwrap() == content());
    }
    assert!(files(&hub.attachments()) >= 2);
    let on_disk = files(&hub.attachments());

    clock.advance(1);
    let empty = tempfile::tempdir().unwrap();
    let failure = soon(async {
        loop {
            let destination = Destination { overwrite: true, ..into_folder(home.path()) };
            match bob.fetch(&old, destination).await {
                Ok(_) => tokio::time::sleep(ASK_AGAIN).await,
                Err(failure) => return failure,
            }
        }
    })
    .await;
    assert!(matches!(failure, TransferError::Gone), "{failure:?}");
    // What an earlier try has left of it can never be made whole.
    let part = empty.path().join(format!(".{}.part", old.blob.to_hex()));
    fs::write(&part, &content()[..CHUNK_BYTES]).unwrap();
    let again = soon(bob.fetch(&old, into_folder(empty.path()))).await;
    assert!(matches!(again, Err(TransferError::Gone)), "{again:?}");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0, "nothing is left of the attempts");
    // Its bytes are gone from the disk, and nobody else's.
    soon(async {
        while files(&hub.attachments()) * 2 > on_disk {
            tokio::time::sleep(ASK_AGAIN).await;
        }
    })
    .await;
    let kept = soon(bob.fetch(&young, into_folder(empty.path()))).await.unwrap();
    assert!(fs::read(kept).unwrap() == content());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_above_the_quota_fails_and_leaves_no_message() {
    let hub = Hub::start_with(&[("CERCLE_SERVER_ATTACHMENTS_PER_USER_MB", "1")]).await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    let refused = soon(alice.upload_bytes(group, vec![1; 2 << 20], "a.bin", DocumentType::Other)).await;
    let over = ErrorCode::QuotaExceeded;
    assert!(matches!(refused, Err(TransferError::Refused(code)) if code == over), "{refused:?}");

    let mut events = alice.events();
    let transfer = soon(alice.attach(group, vec![1; 2 << 20], AttachOptions::default())).await.unwrap();
    let failed = Event::TransferFailed { transfer, reason: TransferFailure::Refused(over) };
    until(&mut events, |event| *event == failed).await;
    assert!(alice.transfers().await.unwrap().is_empty() && alice.outbox().await.unwrap().is_empty());
    assert_eq!(fs::read_dir(hub.folder_of("alice").join("transfers")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_sent_is_refused_at_once_with_the_reason() {
    let hub = Hub::start().await;
    let alice = hub.enrol("alice").await;
    let group =
        soon(alice.create_group("Seule", cercle_sdk::core::PolicyTemplate::Conversation)).await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    fs::write(path("vide"), b"").unwrap();
    fs::File::create(path("grand")).unwrap().set_len(DOCUMENT_BYTES_MAX + 1).unwrap();
    fs::write(path("photo.heic"), b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").unwrap();
    fs::write(path("coupée.jpg"), b"\xff\xd8\xff\xe0\0\x10JFIF").unwrap();
    let attach =
        async |name: &str| soon(alice.attach(group, path(name), AttachOptions::default())).await.unwrap_err();
    assert!(matches!(attach("absent").await, TransferError::Unreadable(_)));
    assert!(matches!(attach("").await, TransferError::Unreadable(_)), "a folder");
    assert!(matches!(attach("vide").await, TransferError::Empty));
    assert!(matches!(attach("grand").await, TransferError::TooLarge { max: DOCUMENT_BYTES_MAX }));
    assert!(matches!(attach("photo.heic").await, TransferError::Photo(_)));
    assert!(matches!(attach("coupée.jpg").await, TransferError::Photo(_)));
    let options = AttachOptions { confidentiality: vec!["SECRET".into()], ..AttachOptions::default() };
    let refused = soon(alice.attach(group, b"x".to_vec(), options)).await.unwrap_err();
    assert!(refused.to_string().starts_with("confidentiality: "), "{refused}");
    assert!(alice.transfers().await.unwrap().is_empty());
    let spool = fs::read_dir(hub.folder_of("alice").join("transfers"));
    assert_eq!(spool.map_or(0, |entries| entries.count()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_tricks_stays_inside_the_folder_it_is_fetched_to() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    let mut heard = bob.events();
    let name = Some("../../etc/\u{202e}passwd".to_owned());
    soon(alice.attach(group, b"x".to_vec(), AttachOptions { name, ..AttachOptions::default() }))
        .await
        .unwrap();
    let document = until_document(&mut heard).await;
    assert_eq!(document.name, "passwd");

    // A sender that does not clean names is not believed either.
    let hostile = Document { name: "../dehors\u{202e}.txt".into(), ..document.clone() };
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("dossier");
    fs::create_dir(&folder).unwrap();
    let path = soon(bob.fetch(&hostile, into_folder(&folder))).await.unwrap();
    assert_eq!(path, folder.join("dehors.txt"));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    let told = soon(alice.post(group, Body::Document(hostile).into())).await;
    assert!(told.unwrap_err().to_string().starts_with("name: "));
}
