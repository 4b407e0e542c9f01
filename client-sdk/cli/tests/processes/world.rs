//! A hub as a process, people as profiles, commands as processes.

#[path = "world/command.rs"]
mod command;
#[path = "world/hub.rs"]
mod hub;
#[path = "world/person.rs"]
mod person;

use std::{path::Path, time::Duration};

use serde_json::Value;

pub(crate) use self::{
    command::{Finished, Running},
    hub::{Hub, operate},
    person::Person,
};

/// Longer than anything here takes on a loaded machine; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

const CERCLE: &str = env!("CARGO_BIN_EXE_cercle");

/// Copies a folder with everything in it and its mode.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy_folder(&entry.path(), &target),
            _ => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// A group of these people, made by the first.
pub(crate) fn group(people: &[&Person], title: &str) {
    people[0].run(&["new", title]).expect_exit(0);
    let others: Vec<&str> = people[1..].iter().map(|person| person.name.as_str()).collect();
    if !others.is_empty() {
        people[0].run(&[&["invite", title], others.as_slice()].concat()).expect_exit(0);
    }
}

/// Asks until it is so; each time asks a process, so this waits by itself.
pub(crate) fn until(is_so: impl Fn() -> bool) {
    const TRIES: usize = 1_000;
    assert!((0..TRIES).any(|_| is_so()), "it never was so");
}

/// Whether this is a message with this text.
pub(crate) fn says(line: &Value, text: &str) -> bool {
    line["type"] == "message" && line["text"] == text
}
