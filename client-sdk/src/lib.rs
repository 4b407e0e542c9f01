//! What an app links to take part in Cercle: everything that needs keys.
//!
//! Two layers:
//! - the **core** ([`core`], `sync`, `mls`, [`store`], [`message`]): pure state machines over a SQLite
//!   connection; time comes in as an argument; no sockets, files, threads or clock.
//! - the **shell** ([`client`], [`connection`], [`profile`]): tokio, TLS, WebSocket, the profile folder.
//!
//! Apps, the `cercle` command line and bridges use [`client::Client`] and nothing below it.

pub mod client;
pub mod connection;
pub mod core;
pub mod error;
pub mod event;
pub mod limits;
pub mod message;
mod mls;
pub mod profile;
pub mod store;
mod sync;
