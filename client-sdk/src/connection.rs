//! Connects, resumes, gives up: pure state driven by a thin shell.
//!
//! [`state`] decides when to dial, wait or stop and never touches a socket; [`backoff`] decides how long to
//! wait; [`trust`] decides which hub certificate is believed; [`ws`] carries frames over one WebSocket;
//! [`driver`] is the task that lets the first decide and the last do. [`crate::client`] starts the driver.

pub mod backoff;
pub(crate) mod driver;
pub mod limits;
pub mod state;
pub mod trust;
pub(crate) mod ws;

pub use driver::{Failure, Link};
pub use state::{Retry, Status};

#[cfg(test)]
mod tests;
