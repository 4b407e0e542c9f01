//! The hub: delivery service and authentication service (RFC 9750) of one CPTS, in one process on one port.
//!
//! A request goes transport → session → dispatch → service → store → disk, and back out through fanout.
//!
//! - [`config`]: the whole configuration. [`limits`]: every bound, with its reason.
//! - [`server`]: builds the parts in dependency order, owns their tasks, drains them.
//! - [`transport`]: TLS, WebSocket, gRPC, health: adapters only.
//! - [`session`]: one connected device. [`dispatch`]: one request → one service call → one reply.
//! - [`auth`]: authentication service. [`delivery`]: delivery service. [`fanout`]: from the log to sessions.
//! - [`register`]: first-wins registers. [`attachments`]: ciphertext of documents.
//! - [`lane`]: where two devices of one user meet. [`vault`]: what a user comes back with.
//! - [`directory`]: who there is and how to reach them.
//! - [`alert`]: alerts until they are acknowledged. [`push`]: wake-ups for devices without a session.
//! - [`at_rest`]: what lies sealed on the disk. [`audit`]: who did what, and for how long that is kept.
//! - [`admin`]: what the operator does over the local socket. [`init`]: first start. [`doctor`]: what is wrong.
//!   [`health`]: asks a running hub. [`telemetry`]: logs and metrics.
//!
//! Invariant: nothing here knows a patient, a thread, a referral or any other clinical type, and no private
//! MLS key of a member ever exists in this process.

pub mod admin;
pub mod alert;
pub mod at_rest;
pub mod attachments;
pub mod audit;
pub mod auth;
pub mod backup;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod directory;
pub mod dispatch;
pub mod doctor;
pub mod error;
pub mod fanout;
pub mod health;
mod held;
pub mod holdings;
pub mod init;
pub mod joining;
pub mod lane;
pub mod limits;
pub mod membership;
pub mod push;
pub mod register;
pub mod server;
pub mod session;
pub mod telemetry;
pub mod transport;
pub mod vault;
