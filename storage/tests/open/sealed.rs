//! Sealed stores: made, opened, refused, made out of others.

use std::{fs, path::Path};

use bytes::Bytes;
use cercle_proto::id::{DeviceId, TimestampMs, UserId};
use cercle_storage::{
    DataKey, EngineKind, Importer, OpenError, is_sealed, open, open_sealed, seal_store,
    store::{AuditEntry, Effect, NoteKey, NoteKind, Store, UserRecord},
};

const ENGINES: [EngineKind; 2] = [EngineKind::Journal, EngineKind::Redb];
const PLANTED: [&str; 3] = ["planted.user", "Planted Name", "planted.push.example"];

fn key(byte: u8) -> DataKey {
    DataKey::new([byte; 32])
}

fn user() -> UserId {
    UserId::parse("planted.user@b.example").unwrap()
}

/// A store with a person in the audit log and in a note; the other rows about people are tested above.
async fn fill(store: &dyn Store) {
    let actor = user().as_str().to_owned();
    let entry = AuditEntry { at: 1, actor, action: "device.enrolled".into(), object: "Planted Name".into() };
    store.record(entry).await.unwrap();
    let push = NoteKey::new(NoteKind::PushAddress, DeviceId::new([1; 16]).as_bytes().to_vec());
    let recipient = [&[1; 16], user().as_str().as_bytes()].concat();
    let recipient = NoteKey::new(NoteKind::AlertRecipient, recipient);
    let effects = vec![
        Effect::Put(push, Bytes::from_static(b"https://planted.push.example/endpoint")),
        Effect::Put(recipient, Bytes::from_static(b"rung")),
    ];
    store.change(vec![], Box::new(move |_| effects)).await.unwrap();
}

async fn check(store: &dyn Store) {
    let push = NoteKey::new(NoteKind::PushAddress, DeviceId::new([1; 16]).as_bytes().to_vec());
    assert!(store.note(push).await.unwrap().unwrap().ends_with(b"endpoint"));
    assert_eq!(store.audit(0, 9).await.unwrap()[0].entry.actor, user().as_str());
    let none: Vec<UserRecord> = store.users(None, 9).await.unwrap();
    assert!(none.is_empty());
}

/// Which of the planted texts lie anywhere in the directory.
fn found(path: &Path) -> Vec<&'static str> {
    fn read(path: &Path, all: &mut Vec<u8>) {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { read(&path, all) } else { all.extend(fs::read(path).unwrap()) }
        }
    }
    let mut all = Vec::new();
    read(path, &mut all);
    let lies = |text: &&str| all.windows(text.len()).any(|part| part == text.as_bytes());
    PLANTED.into_iter().filter(lies).collect()
}

#[tokio::test]
async fn a_sealed_store_shows_nobody_and_an_unsealed_one_does() {
    for kind in ENGINES {
        let place = tempfile::tempdir().unwrap();
        let (open_path, sealed_path) = (place.path().join("open"), place.path().join("sealed"));
        for (path, key) in [(&open_path, None), (&sealed_path, Some(key(1)))] {
            let store = open_sealed(path, kind, key.as_ref()).unwrap();
            fill(&*store).await;
            drop(store);
            check(&*open_sealed(path, kind, key.as_ref()).unwrap()).await;
        }
        assert_eq!(found(&open_path), PLANTED, "the search finds what is there");
        assert_eq!(found(&sealed_path), [""; 0]);
        assert_eq!(is_sealed(&open_path).unwrap(), Some(false));
        assert_eq!(is_sealed(&sealed_path).unwrap(), Some(true));
    }
}

#[tokio::test]
async fn a_wrong_a_missing_and_a_needless_key_are_refused_and_change_nothing() {
    for kind in ENGINES {
        let place = tempfile::tempdir().unwrap();
        fill(&*open_sealed(place.path(), kind, Some(&key(1))).unwrap()).await;
        let wrong = open_sealed(place.path(), kind, Some(&key(2))).err().unwrap();
        assert!(matches!(wrong, OpenError::OtherKey { .. }), "{wrong}");
        let missing = open(place.path(), kind).err().unwrap();
        assert!(matches!(missing, OpenError::KeyNeeded { .. }), "{missing}");
        check(&*open_sealed(place.path(), kind, Some(&key(1))).unwrap()).await;
        let other = tempfile::tempdir().unwrap();
        fill(&*open(other.path(), kind).unwrap()).await;
        let needless = open_sealed(other.path(), kind, Some(&key(1))).err().unwrap();
        assert!(matches!(needless, OpenError::NotSealed { .. }), "{needless}");
        check(&*open(other.path(), kind).unwrap()).await;
    }
}

#[tokio::test]
async fn a_store_is_sealed_with_all_its_rows_and_its_incarnation() {
    for kind in ENGINES {
        let place = tempfile::tempdir().unwrap();
        let store = open(place.path(), kind).unwrap();
        fill(&*store).await;
        let incarnation = store.incarnation();
        drop(store);
        assert!(seal_store(place.path(), &key(1)).unwrap() >= 5);
        assert_eq!(found(place.path()), [""; 0]);
        assert_eq!(seal_store(place.path(), &key(1)).unwrap(), 0, "once is enough");
        assert!(matches!(seal_store(place.path(), &key(2)), Err(OpenError::OtherKey { .. })));
        let store = open_sealed(place.path(), kind, Some(&key(1))).unwrap();
        check(&*store).await;
        assert_eq!(store.incarnation(), incarnation);
    }
}

#[tokio::test]
async fn an_exchange_that_was_cut_off_is_finished_or_taken_back() {
    let place = tempfile::tempdir().unwrap();
    fill(&*open(place.path(), EngineKind::Journal).unwrap()).await;
    let (store, old) = (place.path().join("store.journal"), place.path().join("store.journal.unsealed"));
    fs::rename(&store, &old).unwrap();
    check(&*open(place.path(), EngineKind::Journal).unwrap()).await;
    assert!(!old.exists());
    fs::create_dir(&old).unwrap();
    fs::write(old.join("journal-1"), "planted.user").unwrap();
    check(&*open(place.path(), EngineKind::Journal).unwrap()).await;
    assert!(!old.exists(), "what the sealed store replaced is gone");
}

#[tokio::test]
async fn a_copy_of_a_sealed_store_is_sealed_and_needs_the_same_key() {
    let place = tempfile::tempdir().unwrap();
    let first = open_sealed(&place.path().join("first"), EngineKind::Journal, Some(&key(1))).unwrap();
    fill(&*first).await;
    let rows = super::copies::rows(&*first).await;
    let text: Vec<u8> =
        rows.iter().flat_map(|(_, key, value)| [key.clone(), value.clone()].concat()).collect();
    assert!(!text.windows(7).any(|part| part == b"planted"));
    let second = place.path().join("second");
    let mut importer = Importer::create(&second, EngineKind::Journal).unwrap();
    for (table, key, value) in &rows {
        importer.put(*table, key, value).unwrap();
    }
    let at: TimestampMs = 9;
    importer.finish(at, at).unwrap();
    assert!(matches!(open(&second, EngineKind::Journal).err(), Some(OpenError::KeyNeeded { .. })));
    check(&*open_sealed(&second, EngineKind::Journal, Some(&key(1))).unwrap()).await;
}
