//! What the hub keeps, and survives with.
//!
//! - [`store`]: the operations, as traits: what the hub calls. Batches in, a verdict per item out; no
//!   transaction leaves this crate. `Ok` means durable on the engine's strongest promise.
//!
//! This crate knows ids and bytes. It knows no MLS, no frame and no clinical type.

pub mod store;
