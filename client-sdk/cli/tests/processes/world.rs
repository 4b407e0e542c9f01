//! A hub as a process, people as profiles, commands as processes.

use std::{
    ffi::OsStr,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything here takes on a loaded machine; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

const CERCLE: &str = env!("CARGO_BIN_EXE_cercle");

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
    fn listen(mut stderr: std::process::ChildStderr) -> Self {
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
        let mut command = self.command(arguments);
        command.env("CERCLE_TEST_IDENTITIES", "1").stdin(Stdio::null());
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
    fn of(arguments: &[&str], output: Output) -> Self {
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
    fn new(mut process: Child) -> Self {
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
fn end(mut process: Child, signal: Signal) -> Option<i32> {
    let id = Pid::from_raw(i32::try_from(process.id()).unwrap());
    // A process that has ended already is what is wanted.
    let _ = kill(id, signal);
    process.wait().unwrap().code()
}

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

fn server_binary() -> PathBuf {
    let path = Path::new(CERCLE).with_file_name("cercle-server");
    assert!(path.is_file(), "{} is missing; build it first: cargo build -p cercle-server", path.display());
    path
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
