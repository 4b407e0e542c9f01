//! The hub through its port: real TLS, both transports, raw frames; and the real binary.
//!
//! One test binary, so that the hub is linked once. Everything stays on loopback.

#![expect(
    clippy::unwrap_used,
    clippy::large_futures,
    reason = "clippy does not see that the helpers of a test binary are tests; a failure is a panic here"
)]

#[path = "hub/support.rs"]
mod support;

#[path = "hub/push_service.rs"]
mod push_service;

#[path = "hub/acknowledgements.rs"]
mod acknowledgements;
#[path = "hub/alert_members.rs"]
mod alert_members;
#[path = "hub/alert_targets.rs"]
mod alert_targets;
#[path = "hub/alerts.rs"]
mod alerts;
#[path = "hub/binary.rs"]
mod binary;
#[path = "hub/blobs.rs"]
mod blobs;
#[path = "hub/blobs_killed.rs"]
mod blobs_killed;
#[path = "hub/directory.rs"]
mod directory;
#[path = "hub/hostile.rs"]
mod hostile;
#[path = "hub/operation.rs"]
mod operation;
#[path = "hub/push.rs"]
mod push;
#[path = "hub/reading.rs"]
mod reading;
#[path = "hub/registers.rs"]
mod registers;
#[path = "hub/sessions.rs"]
mod sessions;
