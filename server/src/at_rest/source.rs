//! Where the wrapping key comes from: a file, or a program of the operator's key service.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use cercle_proto::id::{from_hex, to_hex};
use cercle_storage::DataKey;
use zeroize::Zeroizing;

use super::{AtRestError, limits};
use crate::server::keys::{check_private, write_new};

/// What a program is named by in the configuration.
const COMMAND: &str = "command:";

/// Where the wrapping key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file that holds it as 64 hexadecimal digits.
    File(PathBuf),
    /// A program that prints it in the same form; runs at each start, within 30 s.
    Command(PathBuf),
}

/// The key that the hub's data key is wrapped with.
pub struct WrappingKey(DataKey);

impl fmt::Debug for WrappingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrappingKey").finish_non_exhaustive()
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Command(program) => write!(f, "{COMMAND}{}", program.display()),
        }
    }
}

impl KeySource {
    /// As the operator writes it: a path, relative to `directory`, or `command:` and the absolute path of a program.
    /// Empty: none.
    ///
    /// # Errors
    /// When the path of the program is not absolute.
    pub fn parse(text: &str, directory: &Path) -> Result<Option<Self>, AtRestError> {
        match text.strip_prefix(COMMAND).map(Path::new) {
            _ if text.is_empty() => Ok(None),
            Some(program) if program.is_absolute() => Ok(Some(Self::Command(program.to_owned()))),
            Some(_) => Err(AtRestError::Source),
            // Components, so that "./" leaves no trace in messages.
            None => Ok(Some(Self::File(directory.join(text).components().collect()))),
        }
    }

    /// Reads the key.
    ///
    /// # Errors
    /// When there is none, others can read it, or the program fails or takes too long.
    pub fn read(&self) -> Result<WrappingKey, AtRestError> {
        let text = match self {
            Self::File(path) => {
                check_private(path, 0o600).map_err(AtRestError::File)?;
                let unreadable = |cause| AtRestError::Unreadable { path: path.clone(), cause };
                text_of(File::open(path).map_err(unreadable)?).map_err(unreadable)?
            }
            Self::Command(program) => {
                ask(program).map_err(|what| AtRestError::Command { program: program.clone(), what })?
            }
        };
        WrappingKey::parse(&text).ok_or_else(|| AtRestError::NoKey { from: self.to_string() })
    }
}

impl WrappingKey {
    fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(from_hex(text.trim())?);
        Some(Self(DataKey::new(bytes.as_slice().try_into().ok()?)))
    }

    /// Makes a key and writes it into a new file, mode 0600.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub fn make(file: &Path) -> Result<Self, AtRestError> {
        let key = Self(DataKey::generate()?);
        let text = Zeroizing::new(format!("{}\n", to_hex(key.0.as_bytes())));
        write_new(file, 0o600, text.as_bytes()).map_err(AtRestError::File)?;
        Ok(key)
    }

    pub(super) fn key(&self) -> &DataKey {
        &self.0
    }
}

fn text_of(from: impl Read) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    from.take(limits::KEY_TEXT_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Runs a program and takes what it prints. One that does not end in time is ended.
fn ask(program: &Path) -> Result<Zeroizing<String>, String> {
    let started = Command::new(program).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = started.map_err(|error| format!("does not start: {error}"))?;
    let answer = answer(&mut child);
    if answer.is_err() {
        // It is gone already, or ends now.
        let _ = child.kill();
        let _ = child.wait();
    }
    answer
}

fn answer(child: &mut Child) -> Result<Zeroizing<String>, String> {
    let late = || format!("did not answer within {} s", limits::KEY_COMMAND.as_secs());
    let stdout = child.stdout.take().ok_or("has no output")?;
    let (sender, receiver) = mpsc::sync_channel(1);
    // It ends with the output, at the latest when the program is ended.
    thread::spawn(move || drop(sender.send(text_of(stdout))));
    let text = receiver.recv_timeout(limits::KEY_COMMAND).map_err(|_| late())?;
    let mut looks = limits::KEY_COMMAND.as_millis() / limits::KEY_COMMAND_LOOK.as_millis();
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if looks == 0 => return Err(late()),
            None => {
                looks -= 1;
                thread::sleep(limits::KEY_COMMAND_LOOK);
            }
        }
    };
    if !status.success() {
        return Err(format!("ended with {status}"));
    }
    text.map_err(|error| format!("gave no text: {error}"))
}
