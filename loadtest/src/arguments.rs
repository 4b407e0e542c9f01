//! The command line.

mod options;

use std::path::PathBuf;

use cercle_proto::invitation::{Invitation, InvitationError};
use clap::{Args, Parser, Subcommand};

use crate::system::Kind;

pub(crate) use options::{
    AlertBroadcast, Attachments, CatchUp, ColdReader, CommitChurn, DurableIngest, FanOut, GroupChat,
    IdleFleet, Load, ManyGroups, MixedDay, OneToOne, ReconnectStorm, SlowReaders, Startup,
};

/// Measures a Cercle hub and what it is compared with, and fails if one message is lost, duplicated or out of
/// order. Exit status: 0 clean and within the budgets, 1 not, 2 wrong arguments, 3 could not be run.
#[derive(Debug, Parser)]
#[command(name = "cercle-loadtest", version)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) output: Output,
    /// How often everything is played; systems alternate. Default: as the scenario says.
    #[arg(long, global = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: Option<u32>,
    /// Systems to compare with, in one run, alternating.
    #[arg(long, global = true, value_delimiter = ',')]
    pub(crate) with: Vec<Kind>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a scenario against a hub.
    Run {
        #[command(subcommand)]
        scenario: Scenario,
    },
    /// Run a scenario against a hub and other systems, alternating, and print the ratios. Without `--with`:
    /// all that can play it and are installed.
    Compare {
        #[command(subcommand)]
        scenario: Scenario,
    },
    /// The reference of `compare`, as a process of its own.
    #[command(hide = true)]
    ReferenceHub {
        /// Folder of a hub whose TLS certificate it shows.
        #[arg(long)]
        data: PathBuf,
    },
    /// `run` may be left out.
    #[command(flatten)]
    Short(Scenario),
}

/// Which hub is measured, and where the clients live.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// `self`: start a `cercle-server` on loopback, and measure its processor time and memory. Else a
    /// coordinator's one-time invitation on a running hub: the users made by the scenario stay there, so use
    /// a hub that is made for tests.
    #[arg(long, global = true, value_parser = Hub::parse, value_name = "self|INVITATION")]
    pub(crate) target: Option<Hub>,
    /// The same as `--target self`.
    #[arg(long, global = true, conflicts_with_all = ["target", "invitation"])]
    pub(crate) self_hosted: bool,
    /// The same as `--target <invitation>`.
    #[arg(long, global = true, value_parser = Invitation::parse, conflicts_with = "target")]
    pub(crate) invitation: Option<Invitation>,
    /// Process id of a running hub, if it runs on this machine: measures its processor time and memory.
    #[arg(long, global = true)]
    pub(crate) hub_pid: Option<u32>,
    /// Folder for the stores of clients and hub, thrown away afterwards. Must lie on a disk: in memory a
    /// durable write costs nothing. Default: the system's temporary folder.
    #[arg(long, global = true)]
    pub(crate) folder: Option<PathBuf>,
    /// A further setting of a hub that is started here, as its configuration names it (`engine=sled`);
    /// repeatable.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Folders in which the programs of other systems are looked for before PATH; repeatable.
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) programs: Vec<PathBuf>,
}

/// A hub to measure.
#[derive(Debug, Clone)]
pub(crate) enum Hub {
    /// One that is started here.
    Own,
    /// A running one.
    Invited(Box<Invitation>),
}

impl Hub {
    fn parse(text: &str) -> Result<Self, InvitationError> {
        if text == "self" { Ok(Self::Own) } else { Ok(Self::Invited(Box::new(Invitation::parse(text)?))) }
    }
}

impl Target {
    /// The hub that is named, if one is.
    pub(crate) fn hub(&self) -> Option<Hub> {
        let invited = || self.invitation.clone().map(|invitation| Hub::Invited(Box::new(invitation)));
        self.target.clone().or_else(invited).or_else(|| self.self_hosted.then_some(Hub::Own))
    }
}

/// Where the findings go.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Print one JSON object instead of a table.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Write a report with plots: one HTML file that needs nothing else.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Compare the figures with a file of budgets; exit status 1 if one is exceeded.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) budgets: Option<PathBuf>,
    /// Say on standard error what the run is doing, even if that is no terminal.
    #[arg(long, global = true)]
    pub(crate) progress: bool,
}

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Scenario {
    /// Many authenticated connections that do nothing: memory and connect time (raw clients).
    IdleFleet(IdleFleet),
    /// All clients drop at once and come back (raw clients).
    ReconnectStorm(ReconnectStorm),
    /// One sender to many members, at a fixed rate and at saturation: what does a delivery cost (raw clients)?
    FanOut(FanOut),
    /// Pairs at a fixed rate (raw clients).
    OneToOne(OneToOne),
    /// Many small groups among few devices, at a fixed rate (raw clients).
    ManyGroups(ManyGroups),
    /// One sender with many messages on their way, no reader: how fast are they safe (raw clients)?
    DurableIngest(DurableIngest),
    /// One device was away while others wrote: how fast is it handed everything (raw clients)?
    ColdReader(ColdReader),
    /// Some members do not read for a while; do the others feel it (raw clients)?
    SlowReaders(SlowReaders),
    /// A working day of a CPTS, shortened (raw clients).
    MixedDay(MixedDay),
    /// One client was offline while others wrote; how long until it has read everything (real clients)?
    CatchUp(CatchUp),
    /// One group, messages at a fixed rate; how long until each is accepted and delivered (real clients)?
    GroupChat(GroupChat),
    /// One group under message load whose keys and members change all the time; how long does a change take
    /// (real clients)?
    CommitChurn(CommitChurn),
    /// Documents of some megabytes, fetched by everybody else (real clients).
    Attachments(Attachments),
    /// An alert to many devices, some of them away: how long until everybody has it, is rung and has
    /// acknowledged, and is the tally right (raw clients, real ones among them)?
    AlertBroadcast(AlertBroadcast),
    /// How long until an empty hub is ready and the demonstration shows its first message?
    Startup(Startup),
}
