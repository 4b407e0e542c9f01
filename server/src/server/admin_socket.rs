//! Listens on the operator's Unix socket. Lines of JSON, see [`crate::admin`].

use std::{
    fs, io,
    os::unix::{fs::PermissionsExt, net::UnixStream as BlockingStream},
    path::{Path, PathBuf},
    sync::Arc,
};

use cercle_proto::ErrorCode;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::timeout,
};

use super::StartError;
use crate::{
    admin::{self, Answer},
    backup,
    error::Refusal,
    limits,
    session::actor::Services,
};

/// Binds the socket and serves it until the shutdown, then removes it.
pub(super) fn start(path: &Path, services: &Services, source: backup::Source) -> Result<(), StartError> {
    let failed = |cause| StartError::Bind {
        what: "the operator's socket",
        place: path.display().to_string(),
        mend: "check that its directory exists and belongs to this user, and that its path is below 100 bytes",
        cause,
    };
    remove_stale(path).map_err(failed)?;
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    services.tracker.spawn(serve(listener, services.clone(), source, RemovedOnDrop(path.to_owned())));
    Ok(())
}

/// Removes the socket that a killed hub left behind. One that somebody listens on stays: binding then fails.
fn remove_stale(path: &Path) -> io::Result<()> {
    match BlockingStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Ok(()),
    }
}

struct RemovedOnDrop(PathBuf);

impl Drop for RemovedOnDrop {
    fn drop(&mut self) {
        // If it is gone already, all the better.
        let _ = fs::remove_file(&self.0);
    }
}

async fn serve(listener: UnixListener, services: Services, source: backup::Source, _remove: RemovedOnDrop) {
    let places = Arc::new(Semaphore::new(limits::ADMIN_CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            biased;
            () = services.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (Ok((stream, _)), Ok(place)) = (accepted, places.clone().acquire_owned().await) else {
            tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            continue;
        };
        let (shutdown, tracker) = (services.shutdown.clone(), services.tracker.clone());
        let (services, source) = (services.clone(), source.clone());
        tracker.spawn(async move {
            let _ = shutdown.run_until_cancelled(converse(stream, services, source)).await;
            drop(place);
        });
    }
}

/// Answers line after line until the other end closes, is silent for too long, or sends too long a line.
async fn converse(stream: UnixStream, services: Services, source: backup::Source) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read);
    loop {
        let mut line = String::new();
        let mut bounded = (&mut lines).take(limits::ADMIN_LINE_BYTES_MAX);
        let reading = bounded.read_line(&mut line);
        let Ok(read) = timeout(limits::ADMIN_WAIT, reading).await else { return Ok(()) };
        if read? == 0 || !line.ends_with('\n') {
            return Ok(());
        }
        let answer = match serde_json::from_str(&line) {
            Ok(command) => admin::execute(command, &services.dispatch, &services.store, &source).await,
            Err(error) => Answer::error(&Refusal::new(ErrorCode::InvalidField, error.to_string())),
        };
        let mut line = serde_json::to_string(&answer).expect("an answer is made of JSON values");
        line.push('\n');
        write.write_all(line.as_bytes()).await?;
    }
}
