//! Commands as processes: one that has ended, and one that stays.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Output},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::PATIENCE;

/// A command that has ended.
pub(crate) struct Finished {
    arguments: Vec<String>,
    pub(crate) exit: Option<i32>,
    pub(crate) lines: Vec<Value>,
    stderr: String,
}

impl std::fmt::Debug for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "cercle {} ended with {:?}", self.arguments.join(" "), self.exit)?;
        self.lines.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        f.write_str(&self.stderr)
    }
}

impl Finished {
    /// From what the process has printed.
    pub(super) fn of(arguments: &[&str], output: Output) -> Self {
        let stdout = String::from_utf8(output.stdout).unwrap();
        let parse = |line: &str| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("not one JSON object a line: {line}: {error}"))
        };
        Self {
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            exit: output.status.code(),
            lines: stdout.lines().map(parse).collect(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Requires this exit code.
    #[track_caller]
    pub(crate) fn expect_exit(&self, exit: i32) -> &Self {
        assert_eq!(self.exit, Some(exit), "{self:#?}");
        self
    }

    /// The lines of this type.
    pub(crate) fn of_type<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.lines.iter().filter(move |line| line["type"] == kind)
    }

    /// The texts of messages, in the order shown.
    pub(crate) fn texts(&self) -> Vec<&str> {
        self.of_type("message")
            .filter(|line| line["kind"] == "text")
            .filter_map(|line| line["text"].as_str())
            .collect()
    }
}

/// A command that stays; killed when dropped.
pub(crate) struct Running {
    process: Option<Child>,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
}

impl Running {
    /// A process that was started with its streams taken.
    pub(super) fn new(mut process: Child) -> Self {
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        let stdin = process.stdin.take();
        Self { process: Some(process), stdin, lines }
    }

    /// Writes a line to the process.
    pub(crate) fn write(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits for the next line that fits; lines before it are returned too.
    #[track_caller]
    pub(crate) fn until(&self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    let found = fits(&line);
                    seen.push(line);
                    if found {
                        return seen;
                    }
                }
                Err(error) => panic!("waited in vain ({error}) after {seen:#?}"),
            }
        }
    }

    /// Everything that the process has printed and is left to read, once it has ended.
    pub(crate) fn rest(&self) -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => seen.push(line),
                Err(RecvTimeoutError::Disconnected) => return seen,
                Err(RecvTimeoutError::Timeout) => panic!("the process goes on after {seen:#?}"),
            }
        }
    }

    /// Ends the standard input.
    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// The most memory that the process has taken, kB; `None` once it has ended.
    #[cfg(target_os = "linux")]
    pub(crate) fn peak_memory_kb(&self) -> Option<u64> {
        let id = self.process.as_ref().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// Ends the process as a power cut would.
    pub(crate) fn kill(mut self) {
        end(self.process.take().unwrap(), Signal::SIGKILL);
    }

    /// Presses Ctrl-C and waits.
    pub(crate) fn interrupt(mut self) -> Option<i32> {
        end(self.process.take().unwrap(), Signal::SIGINT)
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn wait(mut self) -> (Option<i32>, Vec<Value>) {
        self.stdin = None;
        let lines = self.rest();
        (self.process.take().unwrap().wait().unwrap().code(), lines)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            end(process, Signal::SIGKILL);
        }
    }
}

/// Sends a signal to a process that this test started, and waits for its end.
pub(super) fn end(mut process: Child, signal: Signal) -> Option<i32> {
    let id = Pid::from_raw(i32::try_from(process.id()).unwrap());
    // A process that has ended already is what is wanted.
    let _ = kill(id, signal);
    process.wait().unwrap().code()
}
