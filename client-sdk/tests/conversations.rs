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
#[path = "conversations/interop_peer.rs"]
mod interop_peer;
#[path = "conversations/link.rs"]
mod link;
#[path = "conversations/numbers.rs"]
mod numbers;

#[path = "conversations/alerts.rs"]
mod alerts;
#[path = "conversations/client_circle.rs"]
mod client_circle;
#[path = "conversations/client_directory.rs"]
mod client_directory;
#[path = "conversations/client_documents.rs"]
mod client_documents;
#[path = "conversations/client_documents_refused.rs"]
mod client_documents_refused;
#[path = "conversations/client_kinds.rs"]
mod client_kinds;
#[path = "conversations/client_leaving.rs"]
mod client_leaving;
#[path = "conversations/client_linking.rs"]
mod client_linking;
#[path = "conversations/client_recovery.rs"]
mod client_recovery;
#[path = "conversations/client_restored_hub.rs"]
mod client_restored_hub;
#[path = "conversations/client_shell.rs"]
mod client_shell;
#[path = "conversations/client_talk.rs"]
mod client_talk;
#[path = "conversations/core_basics.rs"]
mod core_basics;
#[path = "conversations/core_chat.rs"]
mod core_chat;
#[path = "conversations/core_chat_random.rs"]
mod core_chat_random;
#[path = "conversations/core_circle.rs"]
mod core_circle;
#[path = "conversations/core_crashes.rs"]
mod core_crashes;
#[path = "conversations/core_direct.rs"]
mod core_direct;
#[path = "conversations/core_documents.rs"]
mod core_documents;
#[path = "conversations/core_history.rs"]
mod core_history;
#[path = "conversations/core_hostile_hub.rs"]
mod core_hostile_hub;
#[path = "conversations/core_kind.rs"]
mod core_kind;
#[path = "conversations/core_membership.rs"]
mod core_membership;
#[path = "conversations/core_own_devices.rs"]
mod core_own_devices;
#[path = "conversations/core_random.rs"]
mod core_random;
#[path = "conversations/core_recovery.rs"]
mod core_recovery;
#[path = "conversations/core_requests.rs"]
mod core_requests;
#[path = "conversations/core_requests_random.rs"]
mod core_requests_random;
#[path = "conversations/core_requests_wide.rs"]
mod core_requests_wide;
#[path = "conversations/core_restored_hub.rs"]
mod core_restored_hub;
#[path = "conversations/core_rules.rs"]
mod core_rules;
#[path = "conversations/interop.rs"]
mod interop;
#[path = "conversations/simulation.rs"]
mod simulation;
