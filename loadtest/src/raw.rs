//! Raw protocol clients: real devices with real certificates, key packages and sessions, whose application
//! messages are a valid MLS header around opaque bytes.
//!
//! The hub cannot tell them from any other device and does all its work for them; they cost the generator a
//! hundredth of a client with MLS state, so that the generator is not the limit.
//!
//! - [`wire`]: TLS and WebSocket;
//! - [`crowd`]: enrolling many devices and making groups of them;
//! - [`operator`]: who invites: the operator's socket or a coordinator;
//! - [`session`]: an authenticated session;
//! - [`payload`]: what a message carries.

pub(crate) mod crowd;
pub(crate) mod operator;
pub(crate) mod payload;
pub(crate) mod session;
pub(crate) mod wire;
