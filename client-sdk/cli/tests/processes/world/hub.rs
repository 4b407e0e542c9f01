//! A hub as a process.

use std::{
    ffi::OsStr,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Output, Stdio},
    sync::mpsc,
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use super::{CERCLE, PATIENCE, command::end, person::Person};

/// A hub that can be killed and started again on the same port and data.
pub(crate) struct Hub {
    folder: TempDir,
    process: Option<Child>,
    observed: bool,
    /// `host:port` of the metrics, of a hub that is observed and runs.
    metrics: String,
}

impl Hub {
    /// Makes a new hub and starts it.
    pub(crate) fn start() -> Self {
        Self::start_with(false, &[])
    }

    /// As [`Hub::start`], with its metrics served and everything that it says kept, for
    /// [`Hub::everything`].
    pub(crate) fn start_observed() -> Self {
        Self::start_with(true, &[])
    }

    /// As [`Hub::start_observed`], with its disk left readable.
    pub(crate) fn start_unsealed() -> Self {
        Self::start_with(true, &["--unsealed"])
    }

    fn start_with(observed: bool, options: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), observed, options)
    }

    /// As [`Hub::start`], in this folder, made with these options.
    pub(crate) fn start_in(folder: TempDir, observed: bool, options: &[&str]) -> Self {
        let data = folder.path().join("data");
        let init = Command::new(server_binary())
            .args(["init", "--domain", "cpts.example", "--address", "127.0.0.1:0", "--data"])
            .arg(&data)
            .args(options)
            .output()
            .unwrap();
        assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
        let mut hub = Self { folder, process: None, observed, metrics: String::new() };
        hub.spawn();
        hub
    }

    /// Starts the process and waits until it takes connections.
    pub(crate) fn spawn(&mut self) {
        self.spawn_under(&[]);
    }

    /// As [`Hub::spawn`], as the child of a program that is called with these words and the hub's command line.
    pub(crate) fn spawn_under(&mut self, wrapper: &[&str]) {
        assert!(self.process.is_none(), "the hub runs already");
        let binary = server_binary();
        let mut words = wrapper.iter().map(|word| OsStr::new(*word)).chain([binary.as_os_str()]);
        let mut command = Command::new(words.next().expect("at least the hub itself"));
        command
            .args(words)
            .args(["serve", "--config"])
            .arg(self.data())
            .env("CERCLE_SERVER_LOG_FILTER", "warn")
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        if self.observed {
            let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
            command.env("CERCLE_SERVER_LOG_FILTER", "debug");
            command.env("CERCLE_SERVER_METRICS", "127.0.0.1:0").stderr(log);
        }
        let mut process = command.spawn().unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut line_of = |name: &str| loop {
            let mut line = String::new();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "the hub ended before it was ready");
            if let Some(said) = line.strip_prefix(name) {
                return said.trim().to_owned();
            }
        };
        line_of("ready ");
        if self.observed {
            self.metrics = line_of("metrics ");
        }
        // Whatever else it prints must not fill the pipe.
        thread::spawn(move || for _ in stdout.lines() {});
        self.process = Some(process);
    }

    /// Ends the process as a power cut would.
    pub(crate) fn kill(&mut self) {
        end(self.process.take().expect("the hub runs"), Signal::SIGKILL);
    }

    /// Sends a signal to the process.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.process.as_ref().expect("the hub runs").id();
        kill(Pid::from_raw(i32::try_from(id).unwrap()), signal).unwrap();
    }

    /// Waits until the process has ended by itself; whether it says that all was well.
    pub(crate) fn until_ended(&mut self) -> bool {
        let mut process = self.process.take().expect("the hub runs");
        let (sender, ended) = mpsc::channel();
        let id = process.id();
        thread::spawn(move || sender.send(process.wait().unwrap().success()));
        ended.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            let _ = kill(Pid::from_raw(i32::try_from(id).unwrap()), Signal::SIGKILL);
            panic!("the hub does not end")
        })
    }

    /// Starts the process where it cannot start; what it says.
    pub(crate) fn refuses_to_start(&self) -> String {
        let output = self.serve_to_its_end();
        assert!(!output.status.success(), "the hub said that all was well");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn serve_to_its_end(&self) -> Output {
        let data = self.data();
        let child = Command::new(server_binary())
            .args(["serve", "--config"])
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let id = child.id();
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
        ended.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            let _ = kill(Pid::from_raw(i32::try_from(id).unwrap()), Signal::SIGKILL);
            panic!("the hub serves where it should refuse to")
        })
    }

    /// Starts the process, which may refuse to serve; what it says on standard error, by then and later.
    pub(crate) fn try_spawn(&mut self) -> (bool, Said) {
        let mut process = Command::new(server_binary())
            .args(["serve", "--config"])
            .arg(self.data())
            .env("CERCLE_SERVER_LOG_FILTER", "warn")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Said::listen(process.stderr.take().unwrap());
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("ready ") {
            line.clear();
            if stdout.read_line(&mut line).unwrap() == 0 {
                assert!(!process.wait().unwrap().success(), "the hub ended and said that all was well");
                return (false, said);
            }
        }
        thread::spawn(move || for _ in stdout.lines() {});
        self.process = Some(process);
        (true, said)
    }

    /// Asks the process to end and waits until it has.
    pub(crate) fn stop(&mut self) {
        end(self.process.take().expect("the hub runs"), Signal::SIGTERM);
    }

    /// Asks the hub's operator interface.
    pub(crate) fn admin(&self, arguments: &[&str]) -> Value {
        let output = Command::new(server_binary())
            .args(["admin", "--json", "--config"])
            .arg(self.data())
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Imports files into the directory, as the operator does while the hub serves.
    pub(crate) fn import(&self, arguments: &[&str]) -> Value {
        let output = Command::new(server_binary())
            .args(["directory", "import", "--json"])
            .args(arguments)
            .arg("--config")
            .arg(self.data())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Changes the directory as the operator does.
    pub(crate) fn directory(&self, arguments: &[&str]) {
        let data = self.folder.path().join("data");
        let mut command = Command::new(server_binary());
        let output = command.arg("directory").args(arguments).arg("--config").arg(data).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs a command of the hub's program on its data.
    pub(crate) fn operate(&self, arguments: &[&str]) -> Output {
        let data = self.data();
        operate(&[arguments, &["--config", data.to_str().unwrap()]].concat())
    }

    /// Forgets what the hub has said, while it does not run.
    pub(crate) fn forget_log(&self) {
        assert!(self.process.is_none(), "a log is forgotten between two runs");
        std::fs::write(self.folder.path().join("log"), "").unwrap();
    }

    /// An invitation for a new user.
    pub(crate) fn invitation(&self, user: &str, more: &[&str]) -> String {
        let name = format!("{user} (test)");
        let answer = self.admin(&[&["invite", user, "--name", &name], more].concat());
        answer["link"].as_str().unwrap().to_owned()
    }

    /// Enrols a new user with a profile of his own.
    pub(crate) fn enrol(&self, user: &str) -> Person {
        let person = Person::new(user);
        person.run(&["enrol", "--no-recovery", &self.invitation(user, &[])]).expect_exit(0);
        person
    }

    /// As [`Hub::enrol`], by way of another address.
    pub(crate) fn enrol_at(&self, user: &str, address: &str) -> Person {
        let person = Person::new(user);
        person.run(&["enrol", "--no-recovery", &self.invitation_at(user, address)]).expect_exit(0);
        person
    }

    /// An invitation that leads to the hub by way of another address.
    pub(crate) fn invitation_at(&self, user: &str, address: &str) -> String {
        let link = self.invitation(user, &[]);
        let (_, rest) = link.trim_start_matches("cercle://").split_once('/').unwrap();
        format!("cercle://{address}/{rest}")
    }

    /// The folder with everything that the hub keeps.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Every byte that an observed hub keeps, has said, and tells whoever monitors it.
    pub(crate) fn everything(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap() {
                    kind if kind.is_dir() => folders.push(entry.path()),
                    kind if kind.is_file() => bytes.extend(std::fs::read(entry.path()).unwrap()),
                    _ => {}
                }
            }
        }
        assert!(self.observed, "what it says is kept of an observed hub only");
        let mut metrics = TcpStream::connect(&self.metrics).unwrap();
        metrics.write_all(b"GET /metrics HTTP/1.1\r\nHost: hub\r\n\r\n").unwrap();
        metrics.read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// `host:port` of the hub.
    pub(crate) fn address(&self) -> String {
        let link = self.invitation("nobody", &[]);
        link.trim_start_matches("cercle://").split('/').next().unwrap().to_owned()
    }
}

/// What a process says on its standard error.
pub(crate) struct Said(thread::JoinHandle<String>);

impl Said {
    fn listen(mut stderr: ChildStderr) -> Self {
        Self(thread::spawn(move || {
            let mut said = String::new();
            stderr.read_to_string(&mut said).unwrap();
            said
        }))
    }

    /// All of it, when the process has ended.
    pub(crate) fn all(self) -> String {
        self.0.join().unwrap()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            end(process, Signal::SIGKILL);
        }
    }
}

/// Runs the hub's program.
pub(crate) fn operate(arguments: &[&str]) -> Output {
    Command::new(server_binary()).args(arguments).output().unwrap()
}

fn server_binary() -> PathBuf {
    let path = Path::new(CERCLE).with_file_name("cercle-server");
    assert!(path.is_file(), "{} is missing; build it first: cargo build -p cercle-server", path.display());
    path
}
