//! The public test vectors of RFC 9420 through the SDK's openmls: its provider over a sealed store, its join
//! settings, its ciphersuite. docs/testing.md says which vectors the public interface of openmls cannot run.
//!
//! Suites other than the SDK's own are run where its provider has them (1, 2 and 3), because they cover more
//! trees and commits; the others are counted as skipped.

use std::{io::Read as _, path::Path, sync::Arc};

use cercle_proto::mls_message::{Header, read_header};
use openmls::{
    group::{MlsGroupJoinConfig, ProcessedWelcome},
    messages::group_info::GroupInfo,
    prelude::{
        Ciphersuite, KeyPackage, KeyPackageIn, MIXED_PLAINTEXT_WIRE_FORMAT_POLICY, MlsGroup,
        MlsMessageBodyIn, MlsMessageIn, OpenMlsCrypto as _, ProcessedMessageContent, RatchetTreeIn,
        StagedWelcome, Verifiable as _,
    },
    schedule::psk::PreSharedKeyId,
};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{
    OpenMlsProvider as _,
    storage::{CURRENT_VERSION, Entity, StorageProvider as _, traits},
    types::HpkePrivateKey,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tls_codec::{Deserialize as _, Serialize as _, VLBytes};

use super::{profile, provider::Provider};
use crate::store::{Store, StoreKey};

/// Bytes as the vectors write them.
#[derive(Clone)]
struct Hex(Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).map_err(serde::de::Error::custom);
        (0..text.len()).step_by(2).map(digit).collect::<Result<_, _>>().map(Self)
    }
}

fn read<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/mls").join(format!("{name}.json.gz"));
    let mut bytes = Vec::new();
    std::fs::File::open(&path).unwrap().read_to_end(&mut bytes).unwrap();
    // RFC 1952: ten bytes, no optional field, deflate, eight bytes.
    assert_eq!(bytes[..4], [0x1f, 0x8b, 8, 0], "{} has a header with options", path.display());
    let json = miniz_oxide::inflate::decompress_to_vec(&bytes[10..bytes.len() - 8]).unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// The suite, if the provider has it.
fn suite(number: u16) -> Option<Ciphersuite> {
    let suite = Ciphersuite::try_from(number).ok()?;
    RustCrypto::default().supports(suite).is_ok().then_some(suite)
}

#[test]
fn lengths_of_vectors_are_read_as_the_standard_says() {
    #[derive(Deserialize)]
    struct Case {
        vlbytes_header: Hex,
        length: usize,
    }
    let cases = read::<Case>("deserialization");
    for case in &cases {
        // The content of the longest case would be a GiB; what counts is how much of it is asked for.
        let length = case.length.min(4 * 1024 * 1024);
        let bytes = [case.vlbytes_header.0.as_slice(), &vec![7; length]].concat();
        let read = VLBytes::tls_deserialize_exact(&bytes);
        if length == case.length {
            assert_eq!(read.unwrap().as_slice().len(), case.length);
        } else {
            assert!(read.is_err(), "it is longer than what is there");
        }
    }
    assert_eq!(cases.len(), 14);
}

#[test]
fn messages_of_every_kind_are_read_whole_and_not_otherwise() {
    #[derive(Deserialize)]
    struct Case {
        mls_welcome: Hex,
        mls_group_info: Hex,
        mls_key_package: Hex,
        ratchet_tree: Hex,
        public_message_application: Hex,
        public_message_proposal: Hex,
        public_message_commit: Hex,
        private_message: Hex,
    }
    let mut framed = 0;
    for case in read::<Case>("messages") {
        let tree = RatchetTreeIn::tls_deserialize_exact(&case.ratchet_tree.0).unwrap();
        assert_eq!(tree.tls_serialize_detached().unwrap(), case.ratchet_tree.0);
        for bytes in [&case.mls_welcome, &case.mls_group_info, &case.mls_key_package] {
            exactly(&bytes.0);
        }
        for bytes in [&case.public_message_proposal, &case.public_message_commit, &case.private_message] {
            let message = exactly(&bytes.0).try_into_protocol_message().unwrap();
            // What hub and client read without opening: the same, or nothing because a group id of ours
            // has 16 bytes.
            match read_header(&bytes.0) {
                Ok(Header::Public { group, epoch, .. } | Header::Private { group, epoch, .. }) => {
                    assert_eq!(message.group_id().as_slice(), group.as_bytes());
                    assert_eq!(message.epoch().as_u64(), epoch);
                    framed += 1;
                }
                Ok(other) => panic!("{other:?}"),
                Err(_) => assert_ne!(message.group_id().as_slice().len(), 16),
            }
        }
        // RFC 9420 section 6.2 forbids it, so it may be refused already here.
        let _ = MlsMessageIn::tls_deserialize_exact(&case.public_message_application.0);
    }
    assert!(framed > 0, "no header could be compared");
}

fn exactly(bytes: &[u8]) -> MlsMessageIn {
    let cut = MlsMessageIn::tls_deserialize_exact(&bytes[..bytes.len() - 1]);
    assert!(cut.is_err(), "a message that is cut short was read");
    let longer = MlsMessageIn::tls_deserialize_exact([bytes, &[0]].concat());
    assert!(longer.is_err(), "a message with a byte too many was read");
    MlsMessageIn::tls_deserialize_exact(bytes).unwrap()
}

#[test]
fn leaves_of_every_tree_verify_and_no_changed_one_does() {
    #[derive(Deserialize)]
    struct Case {
        cipher_suite: u16,
        tree: Hex,
        group_id: Hex,
    }
    let (mut run, mut skipped) = (0, 0);
    let crypto = RustCrypto::default();
    for case in read::<Case>("tree-validation") {
        let Some(suite) = suite(case.cipher_suite) else {
            skipped += 1;
            continue;
        };
        let group = openmls::prelude::GroupId::from_slice(&case.group_id.0);
        let tree = RatchetTreeIn::tls_deserialize_exact(&case.tree.0).unwrap();
        assert_eq!(tree.tls_serialize_detached().unwrap(), case.tree.0);
        let updated = tree.leaves().count() > 0;
        let other = openmls::prelude::GroupId::from_slice(b"another group");
        let elsewhere = tree.clone().into_verified(suite, &crypto, &other);
        tree.into_verified(suite, &crypto, &group).unwrap();
        // Only leaves of commits and updates sign the group; a tree of key packages verifies anywhere.
        assert!(updated || elsewhere.is_err());
        let mut changed = case.tree.0.clone();
        let last = changed.len() - 1;
        changed[last] ^= 1;
        let changed = RatchetTreeIn::tls_deserialize_exact(&changed);
        let verified = changed.is_ok_and(|tree| tree.into_verified(suite, &crypto, &group).is_ok());
        assert!(!verified, "a tree with a changed signature verified");
        run += 1;
    }
    assert!(run >= 42, "{run} run, {skipped} skipped");
}

#[derive(Deserialize)]
struct PassiveCase {
    cipher_suite: u16,
    external_psks: Vec<Psk>,
    key_package: Hex,
    encryption_priv: Hex,
    init_priv: Hex,
    welcome: Hex,
    ratchet_tree: Option<Hex>,
    initial_epoch_authenticator: Hex,
    epochs: Vec<Epoch>,
}

#[derive(Deserialize)]
struct Psk {
    psk_id: Hex,
    psk: Hex,
}

#[derive(Deserialize)]
struct Epoch {
    proposals: Vec<Hex>,
    commit: Hex,
    epoch_authenticator: Hex,
}

/// A key package with its private keys in the form in which openmls stores one. openmls makes bundles only
/// with keys of its own; those of the vectors come in through the store.
#[derive(Serialize, Deserialize)]
struct Bundle {
    key_package: KeyPackage,
    private_init_key: HpkePrivateKey,
    private_encryption_key: EncryptionPrivateKey,
}

#[derive(Serialize, Deserialize)]
struct EncryptionPrivateKey {
    key: HpkePrivateKey,
}

impl Entity<CURRENT_VERSION> for Bundle {}
impl traits::KeyPackage<CURRENT_VERSION> for Bundle {}

fn store() -> Store {
    Store::open(rusqlite::Connection::open_in_memory().unwrap(), &StoreKey::new([1; 32])).unwrap()
}

fn inject(provider: &Provider<'_>, key_package: &[u8], init: &Hex, encryption: &Hex) {
    let message = MlsMessageIn::tls_deserialize_exact(key_package).unwrap();
    let MlsMessageBodyIn::KeyPackage(package) = message.extract() else { panic!("no key package") };
    let package = key_package_of(package);
    let reference = package.hash_ref(provider.crypto()).unwrap();
    let bundle = Bundle {
        key_package: package,
        private_init_key: init.0.clone().into(),
        private_encryption_key: EncryptionPrivateKey { key: encryption.0.clone().into() },
    };
    provider.storage().write_key_package(&reference, &bundle).unwrap();
}

/// The lifetimes of the vectors are of the day they were made, so the key package is taken as it is stored,
/// not validated; its signatures are checked with the tree.
fn key_package_of(package: KeyPackageIn) -> KeyPackage {
    let mut bytes = Vec::new();
    ciborium::into_writer(&package, &mut bytes).unwrap();
    ciborium::from_reader(bytes.as_slice()).unwrap()
}

/// The SDK's settings, except that handshakes may be private, as in many vectors.
fn settings() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(MIXED_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(true)
        .number_of_resumption_psks(16)
        .build()
}

/// Joins by the welcome and follows every epoch; whether the lifetime of an added leaf stopped it.
fn follow(case: &PassiveCase) -> bool {
    let store = store();
    let tx = store.begin().unwrap();
    let provider = Provider::new(&Arc::new(RustCrypto::default()), &tx);
    for psk in &case.external_psks {
        PreSharedKeyId::external(psk.psk_id.0.clone(), vec![]).store(&provider, &psk.psk.0).unwrap();
    }
    inject(&provider, &case.key_package.0, &case.init_priv, &case.encryption_priv);
    let message = MlsMessageIn::tls_deserialize_exact(&case.welcome.0).unwrap();
    let MlsMessageBodyIn::Welcome(welcome) = message.extract() else { panic!("no welcome") };
    let settings = if case.epochs.is_empty() { profile::join_config() } else { settings() };
    let mut join =
        StagedWelcome::build_from_welcome(&provider, &settings, welcome).unwrap().skip_lifetime_validation();
    if let Some(tree) = &case.ratchet_tree {
        join = join.with_ratchet_tree(RatchetTreeIn::tls_deserialize_exact(&tree.0).unwrap());
    }
    let mut group = join.build().unwrap().into_group(&provider).unwrap();
    assert_eq!(group.epoch_authenticator().as_slice(), case.initial_epoch_authenticator.0);
    for epoch in &case.epochs {
        for message in epoch.proposals.iter().chain([&epoch.commit]) {
            if !take(&provider, &mut group, &message.0) {
                return false;
            }
        }
        assert_eq!(group.epoch_authenticator().as_slice(), epoch.epoch_authenticator.0);
        // What is in the store is what is in memory.
        let loaded = MlsGroup::load(provider.storage(), group.group_id()).unwrap().unwrap();
        assert_eq!(loaded.epoch_authenticator().as_slice(), epoch.epoch_authenticator.0);
    }
    true
}

fn take(provider: &Provider<'_>, group: &mut MlsGroup, message: &[u8]) -> bool {
    let message = MlsMessageIn::tls_deserialize_exact(message).unwrap();
    let message = message.try_into_protocol_message().unwrap();
    let processed = match group.process_message(provider, message) {
        Ok(processed) => processed,
        Err(error) if error.to_string().contains("ifetime") => return false,
        Err(error) => panic!("{error:?}"),
    };
    match processed.into_content() {
        ProcessedMessageContent::ProposalMessage(proposal) => {
            group.store_pending_proposal(provider.storage(), *proposal).unwrap();
        }
        ProcessedMessageContent::StagedCommitMessage(staged) => {
            group.merge_staged_commit(provider, *staged).unwrap();
        }
        other => panic!("{other:?}"),
    }
    true
}

fn follow_all(name: &str) -> (usize, usize, usize) {
    let (mut whole, mut stopped, mut skipped) = (0, 0, 0);
    for case in read::<PassiveCase>(name) {
        match suite(case.cipher_suite) {
            None => skipped += 1,
            Some(_) if follow(&case) => whole += 1,
            Some(_) => stopped += 1,
        }
    }
    (whole, stopped, skipped)
}

#[test]
fn welcomes_lead_to_the_epoch_that_the_vectors_say() {
    let (whole, stopped, skipped) = follow_all("passive-client-welcome");
    assert_eq!((whole, stopped, skipped), (24, 0, 32));
}

#[test]
fn commits_lead_to_the_epochs_that_the_vectors_say() {
    let (whole, stopped, skipped) = follow_all("passive-client-handling-commit");
    assert_eq!((whole, stopped, skipped), (39, 0, 52));
}

#[test]
fn a_welcome_opens_with_its_key_and_its_group_info_verifies_with_the_signer_s() {
    #[derive(Deserialize)]
    struct Case {
        cipher_suite: u16,
        init_priv: Hex,
        key_package: Hex,
        signer_pub: Hex,
        welcome: Hex,
    }
    let mut run = 0;
    for case in read::<Case>("welcome") {
        let Some(suite) = suite(case.cipher_suite) else { continue };
        let store = store();
        let tx = store.begin().unwrap();
        let provider = Provider::new(&Arc::new(RustCrypto::default()), &tx);
        // The vector has no leaf key: it is not needed before the tree is.
        inject(&provider, &case.key_package.0, &case.init_priv, &Hex(vec![1; 32]));
        let message = MlsMessageIn::tls_deserialize_exact(&case.welcome.0).unwrap();
        let MlsMessageBodyIn::Welcome(welcome) = message.extract() else { panic!("no welcome") };
        let opened = ProcessedWelcome::new_from_welcome(&provider, &profile::join_config(), welcome).unwrap();
        let info = opened.unverified_group_info().clone();
        let key = |bytes: &[u8]| {
            openmls::prelude::OpenMlsSignaturePublicKey::new(bytes.into(), suite.signature_algorithm())
                .unwrap()
        };
        let mut wrong = case.signer_pub.0.clone();
        wrong[5] ^= 1;
        let verify =
            |bytes: &[u8]| -> Result<GroupInfo, _> { info.clone().verify(provider.crypto(), &key(bytes)) };
        verify(&case.signer_pub.0).unwrap();
        assert!(verify(&wrong).is_err());
        run += 1;
    }
    assert_eq!(run, 3);
}
