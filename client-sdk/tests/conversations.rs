//! Conversations between devices over the real services and sessions of a hub.
//!
//! `core_*`: several cores and a hub in one process, frames handed over in memory, time by hand, so that
//! answers can be lost, stores set back and devices stopped at any point.
//!
//! `client_*`: clients with threads, profiles and sockets, and a hub on loopback.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failure of the test's own world is a failed test"
)]

#[path = "conversations/client_world.rs"]
mod client_world;
#[path = "conversations/core_world.rs"]
mod core_world;

#[path = "conversations/alerts.rs"]
mod alerts;
#[path = "conversations/client_shell.rs"]
mod client_shell;
#[path = "conversations/core_basics.rs"]
mod core_basics;
#[path = "conversations/core_crashes.rs"]
mod core_crashes;
#[path = "conversations/core_membership.rs"]
mod core_membership;
#[path = "conversations/core_random.rs"]
mod core_random;
#[path = "conversations/core_recovery.rs"]
mod core_recovery;
