//! Opening a store on disk: what is kept, and what is refused with which words.

#![expect(clippy::unwrap_used, reason = "a failure of the test's own world is a failed test")]

use cercle_storage::{EngineKind, OpenError, open, store::AuditEntry};

#[path = "open/copies.rs"]
mod copies;
#[path = "open/formats.rs"]
mod formats;
#[path = "open/sealed.rs"]
mod sealed;

fn entry(action: &str) -> AuditEntry {
    AuditEntry { at: 1, actor: "operator".into(), action: action.into(), object: String::new() }
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening_with_the_same_incarnation() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("store");
    let store = open(&path, EngineKind::Redb).unwrap();
    let incarnation = store.incarnation();
    assert_eq!(store.record(entry("first")).await, Ok(1));
    drop(store);
    let store = open(&path, EngineKind::Redb).unwrap();
    assert_eq!(store.incarnation(), incarnation);
    assert_eq!(store.record(entry("second")).await, Ok(2));
    assert_eq!(store.audit(0, 10).await.unwrap().len(), 2);
    assert!(store.caps().power_loss_durable && store.is_healthy());
}

#[tokio::test]
async fn a_store_in_use_is_refused_until_it_is_let_go() {
    let place = tempfile::tempdir().unwrap();
    let first = open(place.path(), EngineKind::Redb).unwrap();
    let refused = open(place.path(), EngineKind::Redb).err().unwrap();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    assert!(refused.to_string().contains("stop the other process"));
    drop(first);
    assert!(open(place.path(), EngineKind::Redb).is_ok());
}

#[test]
fn a_directory_without_a_parent_is_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let refused = open(&place.path().join("a/b"), EngineKind::Redb).err().unwrap();
    assert!(matches!(refused, OpenError::Io { .. }));
    assert!(refused.to_string().contains("a/b"));
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("store.redb"), [7; 10_000]).unwrap();
    let refused = open(place.path(), EngineKind::Redb).err().unwrap();
    assert!(matches!(refused, OpenError::Engine { .. }), "{refused}");
}

#[test]
fn what_an_interrupted_creation_left_is_made_anew() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("store.redb.new"), [7; 10_000]).unwrap();
    assert!(open(place.path(), EngineKind::Redb).is_ok());
    assert!(!place.path().join("store.redb.new").exists());
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_look_into_the_directory() {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("store");
    let _store = open(&path, EngineKind::Redb).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_store_keeps_the_engine_that_made_it() {
    let place = tempfile::tempdir().unwrap();
    let old = place.path().join("old");
    assert_eq!(EngineKind::found_in(&old), None);
    let store = open(&old, EngineKind::Redb).unwrap();
    store.record(entry("first")).await.unwrap();
    drop(store);
    assert_eq!(EngineKind::found_in(&old), Some(EngineKind::Redb));
    let refused = open(&old, EngineKind::default()).err().unwrap();
    assert!(matches!(refused, OpenError::OtherEngine { found: "redb", .. }), "{refused}");
    let store = open(&old, EngineKind::found_in(&old).unwrap_or_default()).unwrap();
    assert_eq!(store.audit(0, 9).await.unwrap().len(), 1);

    let new = place.path().join("new");
    let store = open(&new, EngineKind::found_in(&new).unwrap_or_default()).unwrap();
    assert_eq!(store.caps().name, "journal");
    drop(store);
    let refused = open(&new, EngineKind::Redb).err().unwrap();
    assert!(matches!(refused, OpenError::OtherEngine { found: "journal", .. }), "{refused}");
}

#[tokio::test]
async fn a_journal_is_there_after_reopening_and_damage_is_named() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("store");
    let store = open(&path, EngineKind::Journal).unwrap();
    let incarnation = store.incarnation();
    for number in 0..3 {
        store.record(entry(&number.to_string())).await.unwrap();
    }
    drop(store);
    let store = open(&path, EngineKind::Journal).unwrap();
    assert_eq!(store.incarnation(), incarnation);
    assert_eq!(store.audit(0, 9).await.unwrap().len(), 3);
    assert!(store.caps().power_loss_durable && store.is_healthy());
    drop(store);
    let journal = path.join("store.journal/journal-00000000");
    let mut content = std::fs::read(&journal).unwrap();
    content[4_096 + 200] ^= 1;
    std::fs::write(&journal, content).unwrap();
    let refused = open(&path, EngineKind::Journal).err().unwrap();
    assert!(matches!(refused, OpenError::Engine { .. }), "{refused}");
    assert!(refused.to_string().contains("journal record 2 is damaged or gone"), "{refused}");
}

#[cfg(feature = "sled")]
#[test]
fn a_directory_of_another_engine_is_refused() {
    let place = tempfile::tempdir().unwrap();
    drop(open(place.path(), EngineKind::Sled).unwrap());
    let refused = open(place.path(), EngineKind::Redb).err().unwrap();
    assert!(matches!(refused, OpenError::OtherEngine { found: "sled", .. }), "{refused}");
}

#[cfg(not(feature = "sled"))]
#[test]
fn an_engine_that_was_not_built_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let refused = open(place.path(), EngineKind::Sled).err().unwrap();
    assert!(matches!(refused, OpenError::NotBuilt { engine: "sled" }), "{refused}");
}
