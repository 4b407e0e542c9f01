//! House rules that a machine can check: dependency directions, file heads and lengths, who may name what.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Longest file, in lines before `mod tests`.
const FILE_LINES_MAX: usize = 500;
/// Longest line of Rust.
const LINE_CHARACTERS_MAX: usize = 120;

/// Who may depend on whom (normal dependencies).
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("storage", &["cercle-proto"]),
    ("server", &["cercle-proto", "cercle-storage"]),
    ("client-sdk", &["cercle-proto"]),
    ("client-sdk/cli", &["cercle-sdk", "cercle-server"]),
    ("loadtest", &["cercle-proto", "cercle-sdk"]),
];

/// Words of the clinical domain: the hub and its store must know none of them.
const CLINICAL_WORDS: &[&str] = &[
    "patient",
    "referral",
    "adressage",
    "expertise",
    "ordonnance",
    "prescription",
    "diagnos",
    "clinical",
    "discharge",
    "care_circle",
    "care_plan",
    "cercle_de_soins",
];

#[test]
fn crates_depend_only_in_the_allowed_directions() {
    for (folder, allowed) in DIRECTIONS {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        let dependencies = manifest.split("[dependencies]").nth(1).expect("every crate has dependencies");
        let own = dependencies.split("\n[").next().unwrap_or_default();
        for line in own.lines().filter(|line| line.starts_with("cercle-")) {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            assert!(allowed.contains(&name), "{folder} must not depend on {name}");
        }
    }
}

#[test]
fn only_the_folders_of_the_design_stand_at_the_top() {
    let allowed = ["client-sdk", "docs", "loadtest", "proto", "server", "storage", "target"];
    for entry in fs::read_dir(root()).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let is_folder = entry.file_type().unwrap().is_dir();
        assert!(
            !is_folder || name.starts_with('.') || allowed.contains(&name.as_str()),
            "unexpected folder {name}"
        );
    }
}

#[test]
fn every_file_says_what_it_is_and_is_short_enough_to_hold_one_idea() {
    for (path, text) in rust_files(&["proto", "storage", "server", "client-sdk", "loadtest"]) {
        assert!(text.starts_with("//!"), "{path} must start with //! and say what it is");
        let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let is_test = path.contains("/tests");
        let lines = code.lines().count();
        assert!(is_test || lines <= FILE_LINES_MAX, "{path} has {lines} lines, at most {FILE_LINES_MAX}");
        for (number, line) in text.lines().enumerate() {
            let long = line.chars().count() > LINE_CHARACTERS_MAX && !line.contains("http");
            assert!(!long, "{path}:{} is too long", number + 1);
        }
    }
}

#[test]
fn server_and_storage_know_no_clinical_type() {
    for (path, text) in rust_files(&["server/src", "storage/src", "proto/src"]) {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for (number, line) in code.enumerate() {
            let line = line.to_lowercase();
            for word in CLINICAL_WORDS {
                assert!(!line.contains(word), "{path}, code line {}: names {word:?}", number + 1);
            }
        }
    }
}

#[test]
fn the_hub_never_touches_private_mls_state() {
    for (path, text) in rust_files(&["server/src"]) {
        // Tests of the delivery service play members.
        if path.contains("tests") || path.contains("test_") {
            continue;
        }
        for word in ["MlsGroup", "StagedWelcome", "KeyPackageBundle", "create_message("] {
            assert!(!text.contains(word), "{path} names {word}: a member's private state");
        }
    }
}

#[test]
fn engines_and_mls_stay_behind_their_doors() {
    for (path, text) in rust_files(&["storage/src", "client-sdk/src"]) {
        let engine_file = path.starts_with("storage/src/engine") || path == "storage/src/lib.rs";
        for engine in ["redb::", "sled::"] {
            assert!(engine_file || !text.contains(engine), "{path} names {engine}");
        }
    }
    for (path, text) in rust_files(&["proto/src", "storage/src", "loadtest/src", "client-sdk/cli/src"]) {
        assert!(!text.contains("openmls::"), "{path} names openmls");
    }
}

#[test]
fn nothing_waits_without_a_bound() {
    for (path, text) in rust_files(&["proto/src", "storage/src", "server/src", "client-sdk", "loadtest"]) {
        assert!(path.contains("tidy") || !text.contains("unbounded_channel"), "{path}: an unbounded channel");
    }
}

#[test]
fn no_task_is_left_without_a_number() {
    for (path, text) in rust_files(&["proto", "storage", "server", "client-sdk", "loadtest"]) {
        for word in ["TODO", "FIXME", "XXX"] {
            assert!(path.ends_with("tests/tidy.rs") || !text.contains(word), "{path}: {word}");
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file below the folders, with its path from the root of the workspace.
fn rust_files(folders: &[&str]) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut waiting: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                if entry.file_name() != "target" {
                    waiting.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                files.push((name, read(&path)));
            }
        }
    }
    assert!(!files.is_empty(), "no Rust file below {folders:?}");
    files
}
