//! House rules that a machine can check: dependency directions, file heads and lengths, who may name what.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Longest file, in lines before `mod tests`.
const FILE_LINES_MAX: usize = 500;

/// Who may depend on whom (normal dependencies).
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("storage", &["cercle-proto"]),
    ("server", &["cercle-proto", "cercle-storage"]),
    ("client-sdk", &["cercle-proto"]),
    ("client-sdk/cli", &["cercle-proto", "cercle-sdk", "cercle-server"]),
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
    let allowed = ["client-sdk", "docs", "loadtest", "proto", "server", "storage"];
    for path in entries(&root()).into_iter().filter(|path| path.is_dir()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        assert!(name.starts_with('.') || allowed.contains(&name.as_str()), "unexpected folder {name}");
    }
}

#[test]
fn every_file_says_what_it_is_and_is_short_enough_to_hold_one_idea() {
    let mut faults = Vec::new();
    for (path, text) in rust_files(&["proto", "storage", "server", "client-sdk", "loadtest"]) {
        if !text.starts_with("//!") {
            faults.push(format!("{path} must start with //! and say what it is"));
        }
        let lines = text.split("\n#[cfg(test)]\nmod tests").next().map_or(0, |code| code.lines().count());
        if lines > FILE_LINES_MAX && !path.contains("/tests") {
            faults.push(format!("{path} has {lines} lines, at most {FILE_LINES_MAX}"));
        }
    }
    none(&faults);
}

#[test]
fn server_and_storage_know_no_clinical_type() {
    let mut faults = Vec::new();
    for (path, text) in rust_files(&["server/src", "storage/src", "proto/src"]) {
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let line = line.to_lowercase();
            faults.extend(named(&path, &line, CLINICAL_WORDS));
        }
    }
    none(&faults);
}

#[test]
fn the_hub_never_touches_private_mls_state() {
    let private = ["MlsGroup", "StagedWelcome", "KeyPackageBundle", "create_message("];
    // Tests of the delivery service play members.
    let files = rust_files(&["server/src"]).into_iter().filter(|(path, _)| !path.contains("tests"));
    none(&files.flat_map(|(path, text)| named(&path, &text, &private)).collect::<Vec<_>>());
}

#[test]
fn engines_and_mls_stay_behind_their_doors() {
    let mut faults = Vec::new();
    for (path, text) in rust_files(&["storage/src", "server/src"]) {
        // Opening turns each engine's own error into one that says how to mend it.
        if !path.starts_with("storage/src/engine") && path != "storage/src/open.rs" {
            faults.extend(named(&path, &text, &["redb::", "sled::"]));
        }
    }
    for (path, text) in rust_files(&["proto/src", "storage/src", "loadtest/src", "client-sdk/cli/src"]) {
        faults.extend(named(&path, &text, &["openmls::"]));
    }
    none(&faults);
}

#[test]
fn nothing_waits_without_a_bound_and_no_task_is_left_without_a_number() {
    let words = ["unbounded_channel", "TODO", "FIXME", "XXX"];
    let files = rust_files(&["proto", "storage", "server", "client-sdk", "loadtest"]).into_iter();
    let files = files.filter(|(path, _)| !path.ends_with("tests/tidy.rs"));
    none(&files.flat_map(|(path, text)| named(&path, &text, &words)).collect::<Vec<_>>());
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let model = read(&root().join("docs/threat-model.md"));
    let files = rust_files(&["proto", "storage", "server", "client-sdk", "loadtest"]);
    // Whatever stands between backticks and reads as the name of a function of several words.
    let is_name = |text: &str| {
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        text.matches('_').count() >= 3 && text.bytes().all(is_word)
    };
    let named: Vec<&str> = model.split('`').skip(1).step_by(2).filter(|text| is_name(text)).collect();
    assert!(named.len() >= 60, "the threat model names the tests that show what holds: {}", named.len());
    let exists = |name: &str| files.iter().any(|(_, text)| text.contains(&format!("fn {name}(")));
    let missing: Vec<String> =
        named.into_iter().filter(|name| !exists(name)).map(|name| format!("no test {name}")).collect();
    none(&missing);
}

/// The words that the text names, as faults of this file.
fn named(path: &str, text: &str, words: &[&str]) -> Vec<String> {
    words.iter().filter(|word| text.contains(*word)).map(|word| format!("{path} names {word:?}")).collect()
}

fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
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
        for path in entries(&folder) {
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().into_owned();
                files.push((name, read(&path)));
            }
        }
    }
    assert!(!files.is_empty(), "no Rust file below {folders:?}");
    files
}

/// What lies in a folder, except build output.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let fault = |error| -> ! { panic!("{}: {error}", folder.display()) };
    let listed = fs::read_dir(folder).unwrap_or_else(|error| fault(error));
    let paths = listed.map(|entry| entry.unwrap_or_else(|error| fault(error)).path());
    paths.filter(|path| !path.ends_with("target")).collect()
}
