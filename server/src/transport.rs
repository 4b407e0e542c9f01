//! The one TLS port: accepts connections under limits, and hands their frames to sessions. Adapters only: no
//! request is looked at here.
//!
//! accept → [`admission`] → [`tls`] → [`listener`] drives HTTP → [`http`] routes → [`ws`] or [`grpc`] →
//! [`crate::session::actor`], or → [`blobs`] → [`crate::attachments`], or → [`lanes`] → [`crate::lane`].
//!
//! - [`activity`]: whether anything is going on on a connection. [`allowance`]: how much a peer may send before
//!   it is authenticated. [`rate`]: how often a device may ask and an address may connect.

pub mod activity;
pub mod admission;
pub mod allowance;
pub mod blobs;
pub mod grpc;
pub mod http;
pub mod lanes;
pub mod listener;
pub mod rate;
pub mod tls;
pub mod ws;
