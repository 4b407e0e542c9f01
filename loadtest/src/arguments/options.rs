//! Options of the scenarios.

use clap::Args;

/// Options of `idle-fleet`.
#[derive(Debug, Args)]
pub(crate) struct IdleFleet {
    /// Connections, each of a device of its own.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) clients: u32,
    /// Connections that are being opened at the same time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) at_once: u32,
    /// Pause after the last connection, before anything is read, seconds.
    #[arg(long, default_value_t = 2.0, value_parser = positive)]
    pub(crate) settle_seconds: f64,
    /// How long the connections then are held, seconds.
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    pub(crate) hold_seconds: f64,
}

/// Options of `reconnect-storm`.
#[derive(Debug, Args)]
pub(crate) struct ReconnectStorm {
    /// Clients, each with a connection.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) clients: u32,
    /// Connections that are being opened at the same time.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) at_once: u32,
    /// Groups among which the clients are spread; 0: none.
    #[arg(long, default_value_t = 20)]
    pub(crate) groups: u32,
    /// Members of a group at most.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) group_members_max: u32,
}

/// Options of `one-to-one`.
#[derive(Debug, Args)]
pub(crate) struct OneToOne {
    /// Pairs.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pairs: u32,
    /// Bytes of a message.
    #[arg(long, default_value_t = 1_024)]
    pub(crate) bytes: usize,
    /// Messages per second over all pairs.
    #[arg(long, default_value_t = 500.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Length of one round, seconds.
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    pub(crate) seconds: f64,
}

/// Options of `many-groups`.
#[derive(Debug, Args)]
pub(crate) struct ManyGroups {
    /// Groups.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) groups: u32,
    /// Devices, each in about as many groups.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) devices: u32,
    /// Members of a group.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) members: u32,
    /// Further devices that are connected and do nothing.
    #[arg(long, default_value_t = 0)]
    pub(crate) idle: u32,
    /// Bytes of a message.
    #[arg(long, default_value_t = 1_024)]
    pub(crate) bytes: usize,
    /// Deliveries per second over all groups.
    #[arg(long, default_value_t = 5_000.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Length of one round, seconds.
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    pub(crate) seconds: f64,
}

/// Options of `durable-ingest`.
#[derive(Debug, Args)]
pub(crate) struct DurableIngest {
    /// Senders, each in a group of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) senders: u32,
    /// Messages of one sender that are on their way at the same time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) window: u32,
    /// Bytes of a message.
    #[arg(long, default_value_t = 1_024)]
    pub(crate) bytes: usize,
    /// Length of one round, seconds.
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    pub(crate) seconds: f64,
}

/// Options of `cold-reader`.
#[derive(Debug, Args)]
pub(crate) struct ColdReader {
    /// Messages written while the reader is away.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) messages: u32,
    /// Groups they are spread over.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) groups: u32,
    /// Bytes of a message.
    #[arg(long, default_value_t = 256)]
    pub(crate) bytes: usize,
    /// Messages that the writer has on their way at the same time, over all groups.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) window: u32,
}

/// Options of `slow-readers`.
#[derive(Debug, Args)]
pub(crate) struct SlowReaders {
    /// Members that listen.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) members: u32,
    /// Of these, how many do not read while the load lasts.
    #[arg(long, default_value_t = 5)]
    pub(crate) slow: u32,
    /// Bytes of a message.
    #[arg(long, default_value_t = 1_024)]
    pub(crate) bytes: usize,
    /// Deliveries per second.
    #[arg(long, default_value_t = 5_000.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// How long, seconds.
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    pub(crate) seconds: f64,
}

/// Options of `mixed-day`.
#[derive(Debug, Args)]
pub(crate) struct MixedDay {
    /// Professionals of the CPTS.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) professionals: u32,
    /// Length of the day.
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    pub(crate) hours: f64,
    /// Messages that one professional writes in it.
    #[arg(long, default_value_t = 20.0, value_parser = positive)]
    pub(crate) messages_each: f64,
    /// How many times faster than in reality everything happens.
    #[arg(long, default_value_t = 600.0, value_parser = positive)]
    pub(crate) speed_up: f64,
    /// How long a professional on the road stays connected, seconds of the run.
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    pub(crate) connection_seconds: f64,
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
    #[arg(long, default_value_t = 20.0, value_parser = rate)]
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
    /// Further members, who are added while the load runs.
    #[arg(long, default_value_t = 0)]
    pub(crate) joining: u32,
    /// How many of them one commit adds.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) join_batch: u32,
    #[command(flatten)]
    pub(crate) load: Load,
}

/// Options of `alert-broadcast`.
#[derive(Debug, Args)]
pub(crate) struct AlertBroadcast {
    /// Devices, each of a user of its own; one in five is away and is woken.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(10..=15_000))]
    pub(crate) devices: u32,
    /// Of these, clients with an MLS state and a store; the first writes the alert.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=150))]
    pub(crate) real: u32,
    /// Kill the hub (`SIGKILL`) when half of those connected have acknowledged, and start it again.
    #[arg(long)]
    pub(crate) kill: bool,
}

/// Options of `attachments`.
#[derive(Debug, Args)]
pub(crate) struct Attachments {
    /// Members, each a client of its own; the first shares.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) members: u32,
    /// Size of a document.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) megabytes: u32,
    /// Documents in a round.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) documents: u32,
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
    #[arg(long, default_value_t = 10_000.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Messages that the slowest member may be behind, at saturation.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) window: u32,
    /// Length of one round, seconds.
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    pub(crate) seconds: f64,
    /// Only one kind of round.
    #[arg(long)]
    pub(crate) only: Option<FanOutRound>,
    /// One sender for all groups: how more members are reached than one group may have.
    #[arg(long)]
    pub(crate) one_sender: bool,
    /// The same as `--with reference`.
    #[arg(long)]
    pub(crate) reference: bool,
}

/// A kind of round of `fan-out`.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum FanOutRound {
    /// At the fixed rate.
    Fixed,
    /// As fast as the slowest member takes it.
    Saturated,
}

impl FanOutRound {
    /// As reports call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed rate",
            Self::Saturated => "saturated",
        }
    }
}

/// Options of `startup`.
#[derive(Debug, Args)]
pub(crate) struct Startup {
    /// Seconds after which the memory of the idle hub is read.
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    pub(crate) idle_seconds: f64,
}

/// Seconds, up to a day, and other amounts.
fn positive(text: &str) -> Result<f64, String> {
    within(text, 86_400.0)
}

/// Messages or deliveries per second: more than any machine moves.
fn rate(text: &str) -> Result<f64, String> {
    within(text, 10_000_000.0)
}

fn within(text: &str, max: f64) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    if (0.001..=max).contains(&value) { Ok(value) } else { Err(format!("it must be 0.001 to {max}")) }
}
