//! The systems that scenarios are run against: a hub of ours, and others to compare it with.
//!
//! A scenario sets a stage (devices, and the groups that they are in), joins devices, posts, hears and counts;
//! it does not know which system it talks to.

pub(crate) mod cercle;
mod child;
mod ejabberd;
pub(crate) mod link;
mod mosquitto;
mod nats;
mod plain;
mod reference;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::{
    arguments::Target,
    hub::Usage,
    limits::{JOIN_TRIES, LOOK_EVERY},
    plan::Plan,
    progress::Progress,
    raw::{session::Session, wire::Socket},
};

pub(crate) use cercle::{Cercle, From};
use ejabberd::Ejabberd;
pub(crate) use link::{Heard, Link};
use mosquitto::Mosquitto;
use nats::Nats;
use reference::Reference;

/// Which system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// The hub under test.
    Cercle,
    /// A bare WebSocket hub over the same TLS and WebSocket libraries, which only relays.
    Reference,
    /// `ejabberd`, groups as rooms; without TLS.
    Ejabberd,
    /// `mosquitto`, MQTT with QoS 1; without TLS, acknowledges before it has written.
    Mosquitto,
    /// `nats-server`, its core; where messages must be safe JetStream with a sync of every write; without TLS.
    Nats,
}

/// What a scenario asks of a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skill {
    /// To pass messages on.
    Relay,
    /// To accept a message only when it is on the disk.
    Safe,
    /// To keep messages for a device that is away.
    Store,
    /// To bear readers that do not read, and lose nothing.
    Patience,
}

/// A system that runs.
pub(crate) enum System {
    Cercle(Box<Cercle>),
    Reference(Box<Reference>),
    Ejabberd(Box<Ejabberd>),
    Mosquitto(Box<Mosquitto>),
    Nats(Box<Nats>),
}

/// A device's connection before it reads.
pub(crate) enum Opened {
    Cercle(Box<Session>),
    Reference(Box<Socket>),
    /// Of a system where connecting and reading are one step.
    Nothing,
}

/// What [`System::start_all`] found.
pub(crate) struct Started {
    pub(crate) systems: Vec<System>,
    /// What did not start, each with the reason.
    pub(crate) skipped: Vec<String>,
}

impl Kind {
    /// All but the hub under test.
    pub(crate) const OTHERS: [Self; 4] = [Self::Reference, Self::Ejabberd, Self::Mosquitto, Self::Nats];

    /// Which of these can play a scenario, and which not, with the reason.
    pub(crate) fn who_can(others: &[Self], skill: Skill) -> (Vec<Self>, Vec<String>) {
        let can = |kind: &&Self| kind.lacks(skill).is_none();
        let cannot = |kind: &Self| kind.lacks(skill).map(|why| format!("{}: {why}", kind.name()));
        (others.iter().filter(can).copied().collect(), others.iter().filter_map(cannot).collect())
    }

    const fn lacks(self, skill: Skill) -> Option<&'static str> {
        match (self, skill) {
            (Self::Cercle, _) | (_, Skill::Relay) | (Self::Ejabberd | Self::Nats, Skill::Safe) => None,
            (Self::Nats, Skill::Store) => None,
            (Self::Reference, _) => Some("it keeps nothing"),
            (Self::Mosquitto, _) => Some("it acknowledges before it has written"),
            (Self::Ejabberd, Skill::Store) => {
                Some("its archive is read by pages; there is no adapter for that")
            }
            (_, Skill::Patience) => Some("it drops or stops what a slow reader is owed"),
        }
    }

    /// Whether a device that comes back reads on where it was.
    pub(crate) const fn remembers(self) -> bool {
        matches!(self, Self::Cercle)
    }

    /// Its name in reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cercle => "cercle",
            Self::Reference => "reference",
            Self::Ejabberd => "ejabberd",
            Self::Mosquitto => "mosquitto",
            Self::Nats => "nats",
        }
    }
}

impl System {
    /// Starts each of these systems; the hub under test is the first.
    ///
    /// # Errors
    /// When the hub under test does not start.
    pub(crate) async fn start_all(target: &Target, others: &[Kind], place: &Path) -> anyhow::Result<Started> {
        let cercle = Cercle::start(target, place).await?;
        let (mut systems, mut skipped) = (Vec::new(), Vec::new());
        for kind in others {
            match Self::start_other(*kind, &cercle, target, place).await {
                Ok(system) => systems.push(system),
                Err(error) => skipped.push(format!("{}: {error:#}", kind.name())),
            }
        }
        systems.insert(0, Self::Cercle(Box::new(cercle)));
        Ok(Started { systems, skipped })
    }

    async fn start_other(kind: Kind, cercle: &Cercle, target: &Target, place: &Path) -> anyhow::Result<Self> {
        match kind {
            Kind::Cercle => bail!("it is measured anyway"),
            Kind::Reference => {
                let data = cercle.hub().data();
                let data = data.context("it borrows the certificate of a hub of our own: --target self")?;
                let root = cercle.hub().invitation().root_fingerprint;
                Ok(Self::Reference(Box::new(Reference::start(data, root).await?)))
            }
            Kind::Ejabberd => Ok(Self::Ejabberd(Box::new(Ejabberd::find(target, place)?))),
            Kind::Mosquitto => Ok(Self::Mosquitto(Box::new(Mosquitto::start(target, place).await?))),
            Kind::Nats => Ok(Self::Nats(Box::new(Nats::start(target, place).await?))),
        }
    }

    /// Which it is.
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Cercle(_) => Kind::Cercle,
            Self::Reference(_) => Kind::Reference,
            Self::Ejabberd(_) => Kind::Ejabberd,
            Self::Mosquitto(_) => Kind::Mosquitto,
            Self::Nats(_) => Kind::Nats,
        }
    }

    /// Makes the plan's devices and groups known.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) async fn set(&mut self, plan: &Plan, progress: &Progress) -> anyhow::Result<()> {
        match self {
            Self::Cercle(cercle) => cercle.set(plan, progress).await,
            Self::Reference(reference) => {
                reference.set(plan);
                Ok(())
            }
            Self::Ejabberd(ejabberd) => ejabberd.set(plan, progress).await,
            Self::Mosquitto(mosquitto) => {
                mosquitto.set(plan);
                Ok(())
            }
            Self::Nats(nats) => nats.set(plan).await,
        }
    }

    /// Gives the system the memory of one that has served nobody, as far as it keeps its stage.
    ///
    /// # Errors
    /// When it does not start again.
    pub(crate) async fn refresh(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Cercle(cercle) => cercle.restart().await,
            Self::Reference(reference) => reference.restart().await,
            _ => Ok(()),
        }
    }

    /// Connects a device, and authenticates it where that is something.
    ///
    /// # Errors
    /// When it cannot.
    pub(crate) async fn open(&self, device: usize) -> anyhow::Result<Opened> {
        match self {
            Self::Cercle(cercle) => Ok(Opened::Cercle(Box::new(cercle.open(device).await?))),
            Self::Reference(reference) => Ok(Opened::Reference(Box::new(reference.open().await?))),
            _ => Ok(Opened::Nothing),
        }
    }

    /// Lets a connected device read its groups.
    ///
    /// # Errors
    /// When it cannot.
    pub(crate) async fn enter(&self, device: usize, opened: Opened, from: From<'_>) -> anyhow::Result<Link> {
        match (self, opened) {
            (Self::Cercle(cercle), Opened::Cercle(session)) => {
                Ok(Link::Cercle(Box::new(cercle.enter(*session, from).await?)))
            }
            (Self::Reference(reference), Opened::Reference(socket)) => {
                Ok(Link::Reference(Box::new(reference.enter(device, *socket).await?)))
            }
            (Self::Ejabberd(ejabberd), _) => Ok(Link::Ejabberd(Box::new(ejabberd.join(device).await?))),
            (Self::Mosquitto(mosquitto), _) => Ok(Link::Mosquitto(Box::new(mosquitto.join(device).await?))),
            (Self::Nats(nats), _) => {
                let from_store = matches!(from, From::Acknowledged) && nats.keeps();
                Ok(Link::Nats(Box::new(nats.join(device, from_store).await?)))
            }
            (Self::Cercle(_) | Self::Reference(_), _) => bail!("a connection of another system"),
        }
    }

    /// Connects a device and lets it read its groups.
    ///
    /// # Errors
    /// When it cannot.
    pub(crate) async fn join(&self, device: usize, from: From<'_>) -> anyhow::Result<Link> {
        let opened = self.open(device).await?;
        self.enter(device, opened, from).await
    }

    /// The same, again and again where it does not come about in time.
    ///
    /// # Errors
    /// When it cannot at last.
    pub(crate) async fn join_insistently(&self, device: usize, from: From<'_>) -> anyhow::Result<Link> {
        let mut tries = 1;
        loop {
            match self.join(device, from).await {
                Err(_) if tries < JOIN_TRIES => tries += 1,
                done => return done,
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What its processes have used up to now; `None` if they run elsewhere.
    ///
    /// # Errors
    /// When there is no such process.
    pub(crate) fn usage(&self) -> anyhow::Result<Option<Usage>> {
        match self {
            Self::Cercle(cercle) => cercle.usage(),
            Self::Reference(reference) => reference.usage().map(Some),
            Self::Ejabberd(ejabberd) => ejabberd.usage().map(Some),
            Self::Mosquitto(mosquitto) => mosquitto.usage().map(Some),
            Self::Nats(nats) => nats.usage().map(Some),
        }
    }

    /// Ends what was started for it.
    ///
    /// # Errors
    /// When it does not end well.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::Cercle(cercle) => cercle.stop().await,
            _ => Ok(()),
        }
    }

    /// The reader has so many more messages: systems that do not count them themselves begin there next time.
    pub(crate) fn has_read(&self, count: u64) {
        if let Self::Nats(nats) = self {
            nats.read_on(count);
        }
    }
}

/// A program of another system: in the folders of the arguments, in PATH, or where daemons are.
///
/// # Errors
/// When it is not installed.
fn find_program(name: &str, target: &Target) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let daemons = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let folders = target.programs.iter().cloned().chain(std::env::split_paths(&path)).chain(daemons);
    let found = folders.map(|folder| folder.join(name)).find(|program| program.is_file());
    found.with_context(|| format!("{name} is not installed"))
}
