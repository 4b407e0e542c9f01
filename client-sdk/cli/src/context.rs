//! What every command starts with: which profile, how patient, and a client that is opened once.

use std::{path::PathBuf, time::Duration};

use cercle_sdk::{
    client::{Client, Session},
    connection::Failure as LinkFailure,
    core::{Identity, Settings},
    profile::{self, Profile},
};
use tokio::time::timeout;

use crate::{arguments::Invocation, failure::Failure, limits::CLOSING, output::Output, passphrase};

/// The surroundings of one command.
pub(crate) struct Context<'a> {
    pub(crate) output: &'a Output,
    pub(crate) patience: Duration,
    offline: bool,
    home: Option<PathBuf>,
    profile: String,
}

/// An enrolled identity with its client.
pub(crate) struct Enrolled {
    pub(crate) client: Client,
    pub(crate) identity: Identity,
}

impl<'a> Context<'a> {
    pub(crate) fn new(invocation: &Invocation, output: &'a Output) -> Self {
        Self {
            output,
            patience: Duration::from_secs(invocation.timeout_seconds),
            offline: invocation.offline,
            home: invocation.home.clone(),
            profile: invocation.profile.clone(),
        }
    }

    /// The folder of the profile that the command line names.
    pub(crate) fn folder(&self) -> Result<PathBuf, Failure> {
        let home = self.home.clone().map_or_else(profile::default_home, Ok)?;
        Ok(profile::folder_of(&home, &self.profile)?)
    }

    /// Opens an existing profile.
    pub(crate) async fn open_profile(&self) -> Result<Profile, Failure> {
        let folder = self.folder()?;
        let language = self.output.language();
        // Deriving a key from a passphrase takes long enough to hold up a runtime.
        let opened =
            tokio::task::spawn_blocking(move || Profile::open(&folder, || passphrase::existing(language)));
        Ok(opened.await.map_err(|error| Failure::fault(&error))??)
    }

    /// Opens the client of an enrolled profile; nothing is sent.
    pub(crate) async fn enrolled(&self) -> Result<Enrolled, Failure> {
        let client = Client::open(self.open_profile().await?, settings()).await?;
        match client.identity().await? {
            Some(identity) => Ok(Enrolled { client, identity }),
            None => {
                client.close().await;
                Err(Failure::not_enrolled())
            }
        }
    }

    /// Connects and waits until every group is read.
    pub(crate) async fn online(&self, enrolled: &Enrolled) -> Result<(), Failure> {
        let Enrolled { client, identity } = enrolled;
        if client.session() == Session::CaughtUp {
            return Ok(());
        }
        if self.offline {
            return Err(Failure::unreachable(&identity.address, None));
        }
        client.connect().await?;
        let address = &identity.address;
        let what = text!("Connexion à {address}…"; "Connecting to {address}…");
        let mut link = client.watch_link();
        let ready = async {
            tokio::select! {
                biased;
                caught_up = client.caught_up() => caught_up.map_err(Failure::from),
                // Nothing but the user can mend these, so there is no point in waiting for the time limit.
                failed = link.wait_for(|link| matches!(link.failure, Some(LinkFailure::Untrusted | LinkFailure::NotAHub))) => {
                    Err(Failure::unreachable(&identity.address, failed.ok().and_then(|link| link.failure)))
                }
            }
        };
        match self.output.waiting(&what, Box::pin(timeout(self.patience, ready))).await {
            Ok(result) => result,
            Err(_) => Err(Failure::unreachable(&identity.address, client.link().failure)),
        }
    }

    /// Like [`Context::online`] for commands that can also show what the device already has: says that it is
    /// not up to date, instead of failing.
    pub(crate) async fn online_if_possible(&self, enrolled: &Enrolled) -> Result<bool, Failure> {
        match self.online(enrolled).await {
            Ok(()) => Ok(true),
            Err(failure) if failure.exit == crate::exit::Exit::Unreachable => {
                self.output.note(&text!(
                    "(hors ligne : état de la dernière connexion)";
                    "(offline: as of the last connection)"
                ));
                Ok(false)
            }
            Err(failure) => Err(failure),
        }
    }
}

impl Enrolled {
    /// Sends what still waits, tells the hub what is stored, closes everything, within a time limit.
    pub(crate) async fn close(self) {
        // Whatever is not told today is told at the next connection; the same goes for the backup.
        let _ = timeout(CLOSING, self.outbox_empty()).await;
        if self.client.session() == Session::CaughtUp {
            let _ = timeout(CLOSING, self.client.back_up()).await;
        }
        let _ = timeout(CLOSING, self.client.close()).await;
    }

    /// Waits until nothing waits to be sent, as long as there is a connection: a command can have more to
    /// say than its user has written, the title of a group or its history for newcomers.
    async fn outbox_empty(&self) {
        let mut events = self.client.events();
        while self.client.session() == Session::CaughtUp
            && (self.client.outbox().await.is_ok_and(|outbox| !outbox.is_empty())
                || self.client.history_waits().await.unwrap_or(false)
                || self.client.own_state_waits().await.unwrap_or(false))
            && events.next().await.is_some()
        {}
    }
}

/// Behaviour of every client of this program. `CERCLE_TEST_IDENTITIES=1` takes the identities of tests, for
/// demonstrations and training; in production they are refused.
pub(crate) fn settings() -> Settings {
    let test_identities = std::env::var("CERCLE_TEST_IDENTITIES").is_ok_and(|value| value == "1");
    Settings { test_identities, ..Settings::default() }
}
