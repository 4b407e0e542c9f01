//! Every decoder that takes bytes from outside, as a function of bytes: what the fuzzing binaries beside this file
//! run without end, and a test of the SDK runs with the corpus and some thousand changes of it.
//!
//! A target may refuse its input; it may not panic, run away, or break the property that it asserts.

use std::{
    path::Path,
    sync::{LazyLock, Mutex},
};

use bytes::Bytes;
use cercle_proto::{
    certificate::{self, Root, Validity},
    frame, id,
    invitation::Invitation,
    mls_message, policy, receipt,
    signing::sha256,
    v1,
};
use cercle_sdk::{
    export, fhir,
    message::cap::Cap,
    transfer::{media_type, name, photo, thumbnail},
    untrusted,
};
use cercle_server::{
    auth::authority,
    backup::{self, Manifest, Repository},
    directory::import,
    dispatch::request,
};
use openmls::prelude::{
    Ciphersuite, MlsMessageBodyIn, MlsMessageIn, ProtocolVersion, PublicGroup, RatchetTreeIn,
    tls_codec::Deserialize as _,
};
use openmls_rust_crypto::{OpenMlsRustCrypto, RustCrypto};

/// What is run on bytes.
pub type Decode = fn(&[u8]);

/// Names, as folders of the corpus, and what they run.
pub const TARGETS: &[(&str, Decode)] = &[
    ("client_frame", client_frame),
    ("server_frame", server_frame),
    ("mls_message", mls_message),
    ("group_info_and_tree", group_info_and_tree),
    ("certificate", certificate),
    ("invitation", invitation),
    ("policy_and_receipt", policy_and_receipt),
    ("content", untrusted::content),
    ("history", untrusted::history),
    ("cap", cap),
    ("fhir", fhir),
    ("export", export),
    ("directory_import", directory_import),
    ("picture", picture),
    ("backup", backup),
    ("linking", untrusted::linking),
];

/// Runs a target by its name.
///
/// # Panics
/// When there is none of this name, or the target finds something.
pub fn run(name: &str, data: &[u8]) {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.expect("a target of this name").1(data);
}

/// A frame of a device, as the hub reads it before and after it knows whose it is.
fn client_frame(data: &[u8]) {
    let Ok(read) = frame::decode_client(Bytes::copy_from_slice(data)) else { return };
    let again = frame::decode_client(frame::encode(&read)).expect("what was read can be written");
    assert_eq!(again, read);
    let _ = request::read(read);
}

/// A frame of the hub, as a device reads it.
fn server_frame(data: &[u8]) {
    let Ok(read) = frame::decode_server(Bytes::copy_from_slice(data)) else { return };
    let again = frame::decode_server(frame::encode(&read)).expect("what was read can be written");
    assert_eq!(again, read);
    if let Some(v1::server_frame::Body::Entries(entries)) = &read.body {
        for entry in &entries.entries {
            let _ = mls_message::read_header(&entry.mls);
        }
    }
}

/// An MLS message, as hub and devices parse and judge it: the header without opening it agrees with openmls.
fn mls_message(data: &[u8]) {
    let header = mls_message::read_header(data);
    let Ok(message) = MlsMessageIn::tls_deserialize_exact(data) else { return };
    let crypto = RustCrypto::default();
    match message.extract() {
        MlsMessageBodyIn::KeyPackage(package) => {
            if let Ok(package) = package.validate(&crypto, ProtocolVersion::Mls10) {
                let content = package.leaf_node().credential().serialized_content();
                let _ = certificate::decode_credential(content);
            }
        }
        MlsMessageBodyIn::PublicMessage(message) => {
            if let Ok(mls_message::Header::Public { group, epoch, .. }) = &header {
                assert_eq!(message.group_id().as_slice(), group.as_bytes());
                assert_eq!(message.epoch().as_u64(), *epoch);
            }
            let group = FIXTURE.lock().expect("no target has failed");
            let _ = group.process_message(&crypto, message);
        }
        MlsMessageBodyIn::PrivateMessage(message) => {
            if let Ok(mls_message::Header::Private { group, epoch, .. }) = &header {
                assert_eq!(message.group_id().as_slice(), group.as_bytes());
                assert_eq!(message.epoch().as_u64(), *epoch);
            }
        }
        MlsMessageBodyIn::GroupInfo(_) | MlsMessageBodyIn::Welcome(_) => {}
    }
}

/// A group as the hub keeps one, to judge messages against.
static FIXTURE: LazyLock<Mutex<PublicGroup>> = LazyLock::new(|| {
    use openmls::prelude::{BasicCredential, CredentialWithKey, MlsGroup};
    let provider = OpenMlsRustCrypto::default();
    let suite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
    let keys = openmls_basic_credential::SignatureKeyPair::new(suite.signature_algorithm()).expect("keys");
    let credential = CredentialWithKey {
        credential: BasicCredential::new(b"fixture".to_vec()).into(),
        signature_key: keys.public().into(),
    };
    let made = MlsGroup::builder()
        .with_group_id(openmls::group::GroupId::from_slice(&[1; 16]))
        .ciphersuite(suite)
        .build(&provider, &keys, credential)
        .expect("a group of one");
    let info = made.export_group_info(&RustCrypto::default(), &keys, false).expect("a group info");
    let info = info.to_bytes().expect("encoded");
    let info = MlsMessageIn::tls_deserialize_exact(&info).expect("decoded");
    let MlsMessageBodyIn::GroupInfo(info) = info.extract() else { unreachable!("it was a group info") };
    let tree = made.export_ratchet_tree().into();
    let store = openmls_rust_crypto::MemoryStorage::default();
    let built = PublicGroup::from_external(&RustCrypto::default(), &store, tree, info, Default::default());
    Mutex::new(built.expect("a public group").0)
});

/// What a device uploads when it makes a group: two bytes of length, the tree, the group info.
fn group_info_and_tree(data: &[u8]) {
    let Some((length, rest)) = data.split_at_checked(2) else { return };
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    let Some((tree, info)) = rest.split_at_checked(length) else { return };
    let Ok(tree) = RatchetTreeIn::tls_deserialize_exact(tree) else { return };
    let Ok(info) = MlsMessageIn::tls_deserialize_exact(info) else { return };
    if let MlsMessageBodyIn::GroupInfo(info) = info.extract() {
        let store = openmls_rust_crypto::MemoryStorage::default();
        let crypto = RustCrypto::default();
        let _ = PublicGroup::from_external(&crypto, &store, tree, info, Default::default());
    }
}

/// The root that certificates are verified against.
static ROOT: LazyLock<Root> = LazyLock::new(|| {
    let made = authority::make_root("cpts.example", 1_700_000_000_000).expect("a root");
    Root::from_der(&made.certificate).expect("a root")
});

/// A certificate, alone and as the credential of a leaf.
fn certificate(data: &[u8]) {
    let _ = Root::from_der(data);
    let _ = certificate::read_device(data);
    let _ = ROOT.verify_device(data, &[7; 32], Validity::Ignore);
    let _ = ROOT.verify_hub(data, Validity::At(1_700_000_000_000));
    if let Ok(chain) = certificate::decode_credential(data) {
        assert!(certificate::encode_credential(&chain).len() <= data.len());
        let _ = ROOT.verify(&chain, &[7; 32], Validity::Ignore);
    }
}

/// An invitation link, and the ids that come with links and files.
fn invitation(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(read) = Invitation::parse(text) {
        let again = Invitation::parse(&read.to_link()).expect("what was read can be written");
        assert_eq!(again.to_link(), read.to_link());
    }
    if let Ok(user) = id::UserId::parse(text) {
        assert_eq!(id::UserId::parse(user.as_str()), Ok(user));
    }
    let _ = id::GroupId::from_hex(text);
}

/// The policy in a group context, and the hub's receipt in a claim.
fn policy_and_receipt(data: &[u8]) {
    use prost::Message as _;
    if let Ok(read) = policy::Policy::decode(data) {
        assert_eq!(policy::Policy::decode(&read.encode()), Ok(read));
    }
    if let Ok(read) = v1::ClaimReceipt::decode(data) {
        let _ = receipt::Receipt::verify(&read, &ROOT);
    }
}

/// An alert as CAP in XML: what was read and written again says the same.
fn cap(data: &[u8]) {
    let Ok(read) = Cap::from_xml(data) else { return };
    let written = read.to_xml();
    let again = Cap::from_xml(written.as_bytes()).expect("what this program writes it reads");
    assert_eq!(again, read);
}

/// A FHIR text from a practice software.
fn fhir(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = fhir::import(text);
    }
}

/// A folder for what is read from files, in memory where there is one.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder")
}

/// An export that somebody sent: two bytes of length, the manifest, the signature.
fn export(data: &[u8]) {
    let Some((length, rest)) = data.split_at_checked(2) else { return };
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    let Some((manifest, signature)) = rest.split_at_checked(length) else { return };
    let folder = folder();
    std::fs::write(folder.path().join(export::MANIFEST_FILE), manifest).expect("written");
    std::fs::write(folder.path().join(export::SIGNATURE_FILE), signature).expect("written");
    assert!(export::verify::verify(folder.path(), Some(ROOT.fingerprint())).is_err(), "nobody signed it");
}

/// An extraction of the national directory, in any layout that is known.
fn directory_import(data: &[u8]) {
    let folder = folder();
    let file = folder.path().join("extraction");
    std::fs::write(&file, data).expect("written");
    let options = import::Options { files: vec![file], now_ms: 1, ..import::Options::default() };
    let target = folder.path().join("directory");
    std::fs::create_dir(&target).expect("made");
    let _ = import::run(&target, &options, &mut |_| {});
}

/// A backup that lay with somebody: what came is the manifest of one, with a checksum that fits, and a chunk of
/// rows of another.
fn backup(data: &[u8]) {
    let (folder, named) = (folder(), id::to_hex(&sha256(data)));
    let chunks = folder.path().join("chunks").join(&named[..2]);
    std::fs::create_dir_all(&chunks).expect("made");
    std::fs::create_dir(folder.path().join("backups")).expect("made");
    let chunk = [&[0], data].concat();
    std::fs::write(chunks.join(&named), &chunk).expect("written");
    std::fs::write(folder.path().join("cercle-backups.json"), r#"{"format":1,"recipient":null}"#)
        .expect("written");
    let around = serde_json::json!({
        "format": 1, "name": "b", "created_at_ms": 1, "version": "1", "domain": "cpts.example",
        "engine": "redb", "incarnation": "", "sealed": false, "tables": {}, "rows": [named], "files": [],
        "chunks": { &named: { "bytes": chunk.len(), "sha256": id::to_hex(&sha256(&chunk)) } }, "checksum": "",
    });
    let around = serde_json::to_vec(&around).expect("JSON");
    let repository = Repository::open(folder.path()).expect("a repository");
    for manifest in [data, around.as_slice()] {
        let whole = serde_json::from_slice::<Manifest>(manifest).ok().and_then(|mut manifest| {
            manifest.checksum.clear();
            manifest.checksum = id::to_hex(&sha256(&serde_json::to_vec(&manifest).ok()?));
            serde_json::to_vec(&manifest).ok()
        });
        let file = folder.path().join("backups/b.json");
        std::fs::write(file, whole.as_deref().unwrap_or(manifest)).expect("written");
        if let Ok(backups) = repository.backups() {
            let _ = backups.iter().map(Manifest::bytes).max();
        }
        let _ = backup::verify(&repository, None, None);
    }
}

/// A picture to be cleaned and shown small, and the name that came with it.
fn picture(data: &[u8]) {
    for kind in ["image/jpeg", "image/png", "image/webp"] {
        if let Ok(clean) = photo::clean(kind, data) {
            assert!(
                photo::clean(kind, &clean).is_ok_and(|again| again == clean),
                "a clean picture stays as it is"
            );
        }
    }
    let _ = thumbnail::of(data);
    let _ = media_type::of(data);
    let shown = name::safe(&String::from_utf8_lossy(data));
    assert!(!shown.contains(['/', '\\', '\0']) && !shown.is_empty());
}

#[cfg(test)]
#[path = "../tests/conversations/numbers.rs"]
mod numbers;

#[cfg(test)]
mod tests {
    use super::{numbers::Numbers, *};

    /// Changes of each file of the corpus; some thousand runs in all. `CERCLE_FUZZ_CHANGES` asks for more, and
    /// `CERCLE_SEED` for others.
    const CHANGES: u64 = 60;
    /// One change of so many for targets that take long: an index is built for each import, a picture decoded.
    const SLOWNESS: u64 = 15;
    const SLOW: &[&str] = &["directory_import", "picture"];

    fn number_from_environment(name: &str) -> Option<u64> {
        std::env::var(name).ok().and_then(|value| value.parse().ok())
    }

    fn change(numbers: &mut Numbers, data: &[u8]) -> Vec<u8> {
        let mut changed = data.to_vec();
        for _ in 0..=numbers.below(4) {
            let at = numbers.below(changed.len());
            match numbers.below(5) {
                0 => changed.truncate(at),
                1 if at < changed.len() => changed[at] ^= 1 << numbers.below(8),
                2 if at < changed.len() => changed[at] = [0, 0xff, 0x7f, 0x80][numbers.below(4)],
                3 => {
                    let end = (at + numbers.below(16)).min(changed.len());
                    let piece = changed[at.min(end)..end].to_vec();
                    let to = numbers.below(changed.len());
                    changed.splice(to..to, piece);
                }
                _ => {
                    let end = (at + numbers.below(16)).min(changed.len());
                    changed.drain(at.min(end)..end);
                }
            }
        }
        changed
    }

    /// The targets are alive, and what was found once is not found again.
    #[test]
    fn every_file_of_the_corpus_and_changes_of_it_pass_every_decoder() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        let wanted = number_from_environment("CERCLE_FUZZ_CHANGES").unwrap_or(CHANGES);
        let seed = number_from_environment("CERCLE_SEED").unwrap_or(7);
        for (target, decode) in TARGETS {
            let mut files: Vec<_> = std::fs::read_dir(corpus.join(target))
                .unwrap_or_else(|error| panic!("corpus of {target}: {error}"))
                .map(|entry| entry.unwrap().path())
                .collect();
            files.sort();
            assert!(!files.is_empty(), "{target} has no corpus");
            let mut numbers = Numbers(seed);
            for file in files {
                let data = std::fs::read(&file).unwrap();
                let attempt = |data: &[u8], what: &str| {
                    let ran = std::panic::catch_unwind(|| decode(data));
                    assert!(ran.is_ok(), "{target}: {} {what}: {}", file.display(), id::to_hex(data));
                };
                attempt(&data, "itself");
                let changes = if SLOW.contains(target) { wanted / SLOWNESS } else { wanted };
                for _ in 0..changes {
                    attempt(&change(&mut numbers, &data), "changed");
                }
            }
        }
    }
}
