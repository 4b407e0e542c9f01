//! Keys that fit, and keys that do not.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn config(data: &Path, key: &str) -> Config {
    let text = format!("domain = \"b.example\"\npublic_address = \"h:1\"\nat_rest_key = \"{key}\"\n");
    Config::parse(&text, [], data).unwrap()
}

fn open(config: &Config) -> Result<Arc<dyn Store>, AtRestError> {
    AtRest::load(config)?.open_store(config)
}

fn program(folder: &Path, body: &str) -> String {
    let path = folder.join("kms");
    // Renamed into place: nobody runs a file that is still open for writing.
    fs::write(folder.join("kms.new"), format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(folder.join("kms.new"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(folder.join("kms.new"), &path).unwrap();
    format!("command:{}", path.display())
}

#[tokio::test]
async fn only_the_key_of_the_hub_opens_it_and_a_refusal_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let (data, keys) = (place.path().join("hub"), place.path());
    fs::create_dir(&data).unwrap();
    for name in ["right", "wrong"] {
        WrappingKey::make(&keys.join(name)).unwrap();
    }
    let right = config(&data, "../right");
    drop(open(&right).unwrap());
    let wrapped = fs::read(data.join(WRAPPED_KEY)).unwrap();
    let refused = |config: &Config| open(config).err().unwrap();
    assert!(matches!(refused(&config(&data, "../wrong")), AtRestError::OtherKey { .. }));
    assert!(matches!(refused(&config(&data, "../none")), AtRestError::File(_)));
    assert!(matches!(refused(&config(&data, "")), AtRestError::NotConfigured));
    fs::write(keys.join("text"), "no key\n").unwrap();
    fs::set_permissions(keys.join("text"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(refused(&config(&data, "../text")), AtRestError::NoKey { .. }));
    fs::set_permissions(keys.join("right"), fs::Permissions::from_mode(0o644)).unwrap();
    let readable = refused(&right);
    assert!(matches!(&readable, AtRestError::File(KeyFileError::Permissions { .. })), "{readable:?}");
    fs::set_permissions(keys.join("right"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(fs::read(data.join(WRAPPED_KEY)).unwrap(), wrapped);
    drop(open(&right).unwrap());
}

#[tokio::test]
async fn a_program_gives_the_key_and_one_that_fails_is_named() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("hub");
    fs::create_dir(&data).unwrap();
    let digits = "5a".repeat(32);
    let source = program(place.path(), &format!("echo {digits}"));
    drop(open(&config(&data, &source)).unwrap());
    drop(open(&config(&data, &source)).unwrap());
    for (body, what) in [("exit 3", "exit status: 3"), ("echo hello", "64 hexadecimal")] {
        let source = program(place.path(), body);
        let refused = open(&config(&data, &source)).err().unwrap().to_string();
        assert!(refused.contains(what), "{refused}");
    }
    fs::remove_file(place.path().join("kms")).unwrap();
    let refused = open(&config(&data, &source)).err().unwrap();
    assert!(matches!(refused, AtRestError::Command { .. }), "{refused}");
    assert!(matches!(KeySource::parse("command:kms", &data), Err(AtRestError::Source)));
}

#[tokio::test]
async fn another_wrapping_key_takes_over_and_the_old_one_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("hub");
    fs::create_dir(&data).unwrap();
    WrappingKey::make(&place.path().join("old")).unwrap();
    let old = config(&data, "../old");
    let store = open(&old).unwrap();
    let incarnation = store.incarnation();
    drop(store);
    rewrap(&old, &KeySource::File(place.path().join("new"))).unwrap();
    assert!(matches!(open(&old).err().unwrap(), AtRestError::OtherKey { .. }));
    assert_eq!(open(&config(&data, "../new")).unwrap().incarnation(), incarnation);
}

#[tokio::test]
async fn a_hub_that_was_made_without_is_sealed_by_one_command_and_refuses_until_then() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("hub");
    fs::create_dir(&data).unwrap();
    drop(open(&config(&data, "")).unwrap());
    let folder = Place::from(&data.join("directory"));
    LocalFolder::of(&folder).put_card("planted@b.example", &Default::default()).unwrap();
    let sealed = config(&data, "../key");
    WrappingKey::make(&place.path().join("key")).unwrap();
    assert!(matches!(open(&sealed).err().unwrap(), AtRestError::NotSealed(_)));
    fs::remove_file(place.path().join("key")).unwrap();
    let done = seal(&sealed).unwrap();
    assert!(done.key_made && done.rows >= 2 && done.files == 1, "{done:?}");
    let again = seal(&sealed).unwrap();
    assert!(!again.key_made && again.rows == 0 && again.files == 0, "{again:?}");
    let at_rest = AtRest::load(&sealed).unwrap();
    let store = at_rest.open_store(&sealed).unwrap();
    let cards = LocalFolder::of(&at_rest.directory(&sealed)).cards().unwrap();
    assert!(cards.contains_key("planted@b.example"));
    assert!(LocalFolder::of(&folder).cards().unwrap().is_empty(), "nothing readable is left");
    assert!(matches!(seal(&sealed).err().unwrap(), AtRestError::Store(OpenError::InUse { .. })));
    drop(store);
}
