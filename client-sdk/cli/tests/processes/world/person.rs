//! People as profiles, each in a folder of its own.

use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    CERCLE,
    command::{Finished, Running},
    copy_folder,
};

/// A profile in a folder of its own.
pub(crate) struct Person {
    pub(crate) name: String,
    home: TempDir,
}

impl Person {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), home: tempfile::tempdir().unwrap() }
    }

    /// A copy of his profile, for something that must not happen to himself.
    pub(crate) fn copy_of(person: &Self) -> Self {
        let copy = Self::new(&person.name);
        copy_folder(&person.profile(), &copy.profile());
        copy
    }

    /// The folder of the profile.
    pub(crate) fn profile(&self) -> PathBuf {
        self.home.path().join("default")
    }

    /// A `cercle` command for this profile, with nothing of the test's own surroundings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.human_command(&["--json", "--timeout", "30"]);
        command.args(arguments);
        command
    }

    /// The same, with results as sentences.
    pub(crate) fn human_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(CERCLE);
        for name in [
            "CERCLE_ACTING_STRUCTURE",
            "CERCLE_LANG",
            "CERCLE_PASSPHRASE",
            "CERCLE_PROFILE",
            "CERCLE_TEST_IDENTITIES",
            "LANG",
            "LC_ALL",
            "LC_MESSAGES",
        ] {
            command.env_remove(name);
        }
        if let Ok(filter) = std::env::var("CERCLE_TEST_LOG") {
            command.env("CERCLE_LOG", filter);
        }
        command.env("CERCLE_HOME", self.home.path()).args(arguments);
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        Finished::of(arguments, self.command(arguments).stdin(Stdio::null()).output().unwrap())
    }

    /// Runs a command that may use identities of tests.
    pub(crate) fn run_with_test_identities(&self, arguments: &[&str]) -> Finished {
        self.run_among(&[("CERCLE_TEST_IDENTITIES", "1")], arguments)
    }

    /// Runs a command with these variables around it.
    pub(crate) fn run_among(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Finished {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied()).stdin(Stdio::null());
        Finished::of(arguments, command.output().unwrap())
    }

    /// Runs a command with this standard input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Finished {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Finished::of(arguments, child.wait_with_output().unwrap())
    }

    /// Starts a command that stays.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        Running::new(command.spawn().unwrap())
    }

    /// Everything that the device has kept of a group: `(seq, sender, text)`.
    pub(crate) fn history(&self, group: &str) -> Vec<(u64, String, String)> {
        let finished = self.run(&["--offline", "recv", "--all", group]);
        let text = |line: &Value, field: &str| line[field].as_str().unwrap().to_owned();
        finished
            .of_type("message")
            .filter(|line| line["kind"] == "text")
            .map(|line| (line["seq"].as_u64().unwrap(), text(line, "sender"), text(line, "text")))
            .collect()
    }

    /// Epoch and epoch authenticator of a group, after catching up.
    pub(crate) fn epoch(&self, group: &str) -> (u64, String) {
        let finished = self.run(&["status", group]);
        let line = finished.expect_exit(0).of_type("group").next().unwrap().clone();
        (line["epoch"].as_u64().unwrap(), line["epoch_authenticator"].as_str().unwrap().to_owned())
    }
}
