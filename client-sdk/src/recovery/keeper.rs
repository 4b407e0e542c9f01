//! Keeps the vault up to date and takes back what is in it, by itself: a task of the transfer thread.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::{
    client::{Client, ClientError, Notice},
    event::Event,
};

/// Pause after something has happened: what comes at once goes into one backup.
const PAUSE: Duration = Duration::from_millis(800);
/// Pause after a failure; a new event ends it.
const RETRY: Duration = Duration::from_secs(30);

/// Runs until the client is closed.
pub(crate) async fn run(client: Client) {
    let mut events = client.events();
    loop {
        let done = round(&client).await;
        if matches!(done, Err(ClientError::Closed)) {
            return;
        }
        let something = async {
            loop {
                match events.next().await {
                    Some(Notice::Event(event)) if concerns(&event) => return true,
                    Some(Notice::Missed(_)) => return true,
                    Some(Notice::Event(_)) => {}
                    None => return false,
                }
            }
        };
        let goes_on = match done {
            Ok(()) => something.await,
            Err(_) => timeout(RETRY, something).await.unwrap_or(true),
        };
        if !goes_on {
            return;
        }
        sleep(PAUSE).await;
    }
}

async fn round(client: &Client) -> Result<(), ClientError> {
    while client.take_back().await? {}
    if client.query(|core| core.is_returning()).await?? {
        // What is not back must not be taken for what is not there.
        return Ok(());
    }
    client.back_up().await
}

/// Whether there may be something to put into the vault, or to take back.
fn concerns(event: &Event) -> bool {
    matches!(
        event,
        Event::CaughtUp
            | Event::MessageReceived(_)
            | Event::MessageAccepted { .. }
            | Event::GroupsJoined
            | Event::GroupJoined { .. }
            | Event::GroupChanged { .. }
            | Event::GroupLeft { .. }
            | Event::HistoryImported { .. }
            | Event::RecoveryChanged
    )
}
