//! Every bound of the load generator, with its unit and its reason.

use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Clients that enrol at the same time: each makes 50 key packages, and more than the cores only wait for
/// each other.
pub(crate) const ENROLLING_MAX: usize = 4;
/// Users added by one commit while a group is set up; the hub lets one claim name 100.
pub(crate) const USERS_PER_INVITE: usize = 50;
/// Raw devices that enrol at the same time: enough to share the hub's disk writes.
pub(crate) const RAW_ENROLLING_MAX: usize = 32;
/// Raw founders that make groups at the same time: as many as there are cores in small machines.
pub(crate) const RAW_FOUNDING_MAX: usize = 4;
/// Devices that one commit adds while a raw group is filled: a frame of the hub's size holds them.
pub(crate) const USERS_PER_COMMIT: usize = 100;
/// Read buffer of a raw connection, bytes, as the hub's own.
pub(crate) const RAW_READ_BUFFER_BYTES: usize = 4_096;
/// Shortest time between two lines of progress, microseconds.
pub(crate) const PROGRESS_EVERY_US: u64 = 500_000;
/// Room that is made for one read from a peer, bytes: several messages of a burst.
pub(crate) const PLAIN_READ_BYTES: usize = 16 * 1024;
/// How often a peer is started again because its port was taken meanwhile.
pub(crate) const PORT_TRIES: u32 = 3;
/// How long a peer may take to become ready: the slowest loads hundreds of modules.
pub(crate) const PEER_PATIENCE: Duration = Duration::from_secs(120);
/// Messages that wait for one raw device to send them; then the pacer waits, and their latencies show it.
pub(crate) const COMMANDS_MAX: usize = 4_096;
/// Pause before a client that could not connect tries again, ms: shortest, and what is added at random.
pub(crate) const RETRY_MS: (u64, u64) = (100, 900);
/// Listeners in one group of an alert: with the publisher fewer than a group may have.
pub(crate) const ALERT_LISTENERS_PER_GROUP: usize = 450;
/// Of the devices of an alert, one in so many is away: 20 %.
pub(crate) const ALERT_AWAY_EVERY: u32 = 5;
/// Key packages of the raw publisher: one group of real clients adds it.
pub(crate) const ALERT_KEY_PACKAGES: usize = 5;
/// How long an alert of the run rings, ms: longer than the slowest run.
pub(crate) const ALERT_EXPIRES_MS: u64 = 6 * 60 * 60 * 1000;
/// How often a device tries to connect where that is not what is measured: a machine that is overloaded on
/// purpose may miss the hub's time limits for handshakes.
pub(crate) const JOIN_TRIES: u32 = 6;
/// How often a client of a storm tries before it counts as lost.
pub(crate) const RETRIES_MAX: u32 = 60;
/// Messages that wait for one member of the reference hub; then its sender waits.
pub(crate) const REFERENCE_QUEUE_MAX: usize = 4_096;
/// How long one client may take to enrol. An unreachable hub is retried for ever, a scenario is not.
pub(crate) const ENROL_PATIENCE: Duration = Duration::from_secs(60);
/// Pause of a coordinator who has made as many invitations as he may at once: a hub gives one more each minute.
pub(crate) const INVITE_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// How long one invitation may take then.
pub(crate) const INVITE_PATIENCE: Duration = Duration::from_secs(600);
/// How long one operation of a client may take on a machine that is overloaded on purpose.
pub(crate) const OPERATION_PATIENCE: Duration = Duration::from_secs(120);
/// How long after the last message was sent everything may take to arrive; what is missing then is lost.
pub(crate) const ARRIVAL_PATIENCE: Duration = Duration::from_secs(120);
/// How often is looked whether everything has arrived. Latencies are taken where a message arrives, so this
/// does not coarsen them.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(25);
/// How long a hub of its own may take to become ready or to end.
pub(crate) const HUB_PATIENCE: Duration = Duration::from_secs(30);
/// How long the demonstration may take.
pub(crate) const DEMO_PATIENCE: Duration = Duration::from_secs(120);
/// Messages read from a store at once: what the SDK gives at most.
pub(crate) const STORE_PAGE: usize = 10_000;
/// Longest latency that a histogram tells apart, microseconds: an hour. Longer ones count as this.
pub(crate) const LATENCY_US_MAX: u64 = 3_600_000_000;
/// Significant digits of a latency.
pub(crate) const LATENCY_DIGITS: u8 = 3;

/// Lets this process open as many files as the system allows: a client takes about eight.
///
/// # Errors
/// When the system refuses.
pub(crate) fn raise_descriptors() -> nix::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard { setrlimit(Resource::RLIMIT_NOFILE, hard, hard) } else { Ok(()) }
}
