//! Profiles in throw-away folders.

use super::*;

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned())
}

#[test]
fn a_profile_with_a_key_file_opens_again_with_the_same_key() {
    let home = tempfile::tempdir().unwrap();
    let folder = folder_of(home.path(), "ide-durand").unwrap();
    let key = *Profile::create(&folder, Protection::KeyFile).unwrap().key();
    let opened = Profile::open(&folder, || panic!("no passphrase is needed")).unwrap();
    assert_eq!(*opened.key(), key);
}

#[test]
fn a_passphrase_gives_the_same_key_again_and_another_one_another() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("p");
    let key =
        *Profile::create(&folder, Protection::Passphrase(passphrase("quatre mots au hasard"))).unwrap().key();
    assert_eq!(*Profile::open(&folder, || Some(passphrase("quatre mots au hasard"))).unwrap().key(), key);
    assert_ne!(*Profile::open(&folder, || Some(passphrase("quatre mots"))).unwrap().key(), key);
    assert!(matches!(Profile::open(&folder, || None), Err(ProfileError::PassphraseNeeded)));
    assert!(!folder.join("key").exists(), "nothing on disk opens the store");
}

#[test]
fn a_profile_in_use_is_refused_until_it_is_released() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("p");
    let first = Profile::create(&folder, Protection::KeyFile).unwrap();
    assert!(matches!(Profile::open(&folder, || None), Err(ProfileError::InUse(_))));
    drop(first);
    Profile::open(&folder, || None).unwrap();
}

#[test]
fn a_profile_is_not_made_twice() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("p");
    drop(Profile::create(&folder, Protection::KeyFile).unwrap());
    assert!(matches!(Profile::create(&folder, Protection::KeyFile), Err(ProfileError::Exists(_))));
}

#[test]
fn a_missing_profile_is_named() {
    let home = tempfile::tempdir().unwrap();
    assert!(matches!(Profile::open(&home.path().join("p"), || None), Err(ProfileError::Missing(_))));
}

#[test]
fn a_name_cannot_lead_out_of_home() {
    for name in ["", ".", "..", "../x", "a/b", ".hidden", "a\\b", "é", &"x".repeat(65)] {
        assert!(matches!(folder_of(Path::new("/home"), name), Err(ProfileError::Name)), "{name}");
    }
}

#[cfg(unix)]
#[test]
fn files_are_private_and_loose_ones_are_refused() {
    use std::{fs, os::unix::fs::PermissionsExt};
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("p");
    let profile = Profile::create(&folder, Protection::KeyFile).unwrap();
    profile.store_path().unwrap();
    drop(profile);
    for file in ["", "lock", "key", "profile.json", "store.db"] {
        let mode = fs::metadata(folder.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}: {mode:o}");
    }
    fs::set_permissions(folder.join("key"), fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(Profile::open(&folder, || None), Err(ProfileError::Permissions(_))));
}

#[test]
fn a_damaged_description_is_reported_not_replaced() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("p");
    drop(Profile::create(&folder, Protection::KeyFile).unwrap());
    let path = folder.join("profile.json");
    let huge = r#"{"format":1,"key":{"source":"argon2id","salt":"00","memory_kib":4294967295,"passes":1,"lanes":1}}"#;
    for content in ["", "{}", r#"{"format":2,"key":{"source":"file"}}"#, huge] {
        std::fs::write(&path, content).unwrap();
        let error = Profile::open(&folder, || Some(passphrase("x"))).unwrap_err();
        assert!(matches!(error, ProfileError::Damaged { .. }), "{content}: {error}");
    }
}
