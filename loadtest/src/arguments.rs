//! The command line.

use std::path::PathBuf;

use cercle_proto::invitation::Invitation;
use clap::{Args, Parser, Subcommand};

/// Measures a Cercle hub with real end-to-end-encrypted clients, and fails if one message is lost,
/// duplicated or out of order.
#[derive(Debug, Parser)]
#[command(name = "cercle-loadtest", version)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print one JSON object instead of a table.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
}

/// Which hub is measured, and where the clients live.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// One-time invitation of a coordinator on a running hub. The scenario's users stay on that hub: use one
    /// made for tests.
    #[arg(long, global = true, value_parser = Invitation::parse, conflicts_with = "self_hosted")]
    pub(crate) invitation: Option<Invitation>,
    /// Start a `cercle-server` of its own on loopback, and measure its processor time and memory.
    #[arg(long, global = true)]
    pub(crate) self_hosted: bool,
    /// Process id of the hub behind `--invitation`, if it runs on this machine: measures its processor time
    /// and memory.
    #[arg(long, global = true, requires = "invitation")]
    pub(crate) hub_pid: Option<u32>,
    /// Folder for the stores of clients and hub, thrown away afterwards. Must lie on a disk: in memory a
    /// durable write costs nothing. Default: the system's temporary folder.
    #[arg(long, global = true)]
    pub(crate) folder: Option<PathBuf>,
}

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Scenario {
    /// One client was offline while others wrote; how long until it has read everything?
    CatchUp(CatchUp),
    /// One group, messages at a fixed rate; how long until each is accepted and delivered?
    GroupChat(GroupChat),
    /// One group under message load whose keys and members change all the time; how long does a change take?
    CommitChurn(CommitChurn),
    /// One sender to many raw members, at a fixed rate and at saturation: what does a delivery cost?
    FanOut(FanOut),
    /// The reference of `fan-out --reference`, as a process of its own.
    #[command(hide = true)]
    ReferenceHub {
        /// Folder of a hub whose TLS certificate it shows.
        #[arg(long)]
        data: PathBuf,
    },
    /// How long until an empty hub is ready and the demonstration shows its first message?
    Startup(Startup),
}

/// Options of `catch-up`.
#[derive(Debug, Args)]
pub(crate) struct CatchUp {
    /// Messages written while the reader is offline.
    #[arg(long, default_value_t = 1_200, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) messages: u32,
    /// Groups they are spread over.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) groups: u32,
    /// Commits among them: half joins and removals, half key updates.
    #[arg(long, default_value_t = 40)]
    pub(crate) commits: u32,
    /// Clients that write; each is in every group.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) writers: u32,
    /// Bytes of text in a message.
    #[arg(long, default_value_t = 256)]
    pub(crate) bytes: usize,
    /// How often the reader goes offline and comes back.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: u32,
}

/// Options of `group-chat`.
#[derive(Debug, Args)]
pub(crate) struct GroupChat {
    /// Members, each a client of its own.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) members: u32,
    #[command(flatten)]
    pub(crate) load: Load,
}

/// A message load at a fixed rate, whatever the answers do (open loop).
#[derive(Debug, Clone, Args)]
pub(crate) struct Load {
    /// Messages per second, over all senders.
    #[arg(long, default_value_t = 20.0, value_parser = positive)]
    pub(crate) rate: f64,
    /// How long, seconds.
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    pub(crate) seconds: f64,
    /// Members that send, in turn.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) senders: u32,
    /// Bytes of text in a message.
    #[arg(long, default_value_t = 256)]
    pub(crate) bytes: usize,
}

/// Options of `commit-churn`.
#[derive(Debug, Args)]
pub(crate) struct CommitChurn {
    /// Members, each a client of its own; one more joins and leaves.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) members: u32,
    /// Milliseconds from one commit to the next.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) interval_ms: u32,
    #[command(flatten)]
    pub(crate) load: Load,
}

/// Options of `fan-out`.
#[derive(Debug, Args)]
pub(crate) struct FanOut {
    /// Groups, each with a sender of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) groups: u32,
    /// Members that listen, in each group.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) members: u32,
    /// Bytes of a message.
    #[arg(long, default_value_t = 1_024)]
    pub(crate) bytes: usize,
    /// Deliveries per second over all groups, at the fixed rate.
    #[arg(long, default_value_t = 10_000.0, value_parser = positive)]
    pub(crate) rate: f64,
    /// Messages that the slowest member may be behind, at saturation.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) window: u32,
    /// Length of one round, seconds.
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    pub(crate) seconds: f64,
    /// Rounds of each kind.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: u32,
    /// Alternate with a hub that only relays, over the same TLS and WebSocket libraries.
    #[arg(long)]
    pub(crate) reference: bool,
}

/// Options of `startup`.
#[derive(Debug, Args)]
pub(crate) struct Startup {
    /// How often.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: u32,
    /// Seconds after which the memory of the idle hub is read.
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    pub(crate) idle_seconds: f64,
}

/// Reads a rate or a time of at most a day.
fn positive(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    if (0.001..=86_400.0).contains(&value) { Ok(value) } else { Err("it must be 0.001 to 86400".to_owned()) }
}
