//! Sends a command to a running hub, from the command line.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time::timeout,
};

use super::{Answer, Command};
use crate::limits;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Nobody listens, or the socket is not ours.
    #[error("no hub answers at {path}: is it running (cercle-server serve), and are you its user?")]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The hub did not answer in time, or not in our words.
    #[error("the hub at {path} gave no answer that can be read")]
    NoAnswer {
        /// The socket.
        path: PathBuf,
    },
    /// The hub refused.
    #[error("refused ({code}): {message}")]
    Refused {
        /// Number of the error code.
        code: u32,
        /// What is wrong.
        message: String,
    },
}

/// Sends a command and returns what the hub says.
///
/// # Errors
/// As [`AdminError`] says.
pub async fn send(socket: &Path, command: &Command) -> Result<serde_json::Value, AdminError> {
    send_within(socket, command, limits::ADMIN_WAIT).await
}

/// Sends a command whose answer may take so long.
///
/// # Errors
/// As [`AdminError`] says.
pub async fn send_within(
    socket: &Path,
    command: &Command,
    patience: Duration,
) -> Result<serde_json::Value, AdminError> {
    let path = || socket.to_owned();
    let stream =
        UnixStream::connect(socket).await.map_err(|cause| AdminError::Unreachable { path: path(), cause })?;
    let line = serde_json::to_string(command).expect("a command is made of JSON values");
    let exchange = async {
        let (read, mut write) = stream.into_split();
        write.write_all(format!("{line}\n").as_bytes()).await?;
        let mut answer = String::new();
        BufReader::new(read).take(limits::ADMIN_ANSWER_BYTES_MAX).read_line(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let Ok(Ok(answer)) = timeout(patience, exchange).await else {
        return Err(AdminError::NoAnswer { path: path() });
    };
    match serde_json::from_str(&answer) {
        Ok(Answer::Ok(value)) => Ok(value),
        Ok(Answer::Error { code, message }) => Err(AdminError::Refused { code, message }),
        Err(_) => Err(AdminError::NoAnswer { path: path() }),
    }
}
