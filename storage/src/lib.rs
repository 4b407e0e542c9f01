//! What the hub keeps, and survives with.
//!
//! - [`store`]: the operations, as traits: what the hub calls. Batches in, a verdict per item out; no
//!   transaction leaves this crate. `Ok` means durable on the engine's strongest promise.
//! - [`open()`], [`open_memory`]: the way in. [`Importer`]: a store from the rows of a copy.
//! - [`embedded`]: the operations over a byte-level engine: one writer that commits in groups.
//! - [`engine`]: the byte level, small enough to carry several engines; [`table`] has the key layout.
//! - [`model`]: the operations once more, as plainly as possible: the truth that engines are compared with.
//!
//! - [`DataKey`], [`Sealer`]: what identifies people is sealed at rest, above every engine (ADR 0015).
//!
//! This crate knows ids and bytes. It knows no MLS, no frame and no clinical type.

pub mod embedded;
pub mod engine;
pub mod limits;
pub mod model;
pub mod store;
pub mod table;

#[cfg(test)]
mod conformance;
mod format;
mod import;
mod open;
mod record;
mod seal;
mod sealing;

pub use embedded::Embedded;
pub use format::{FORMAT, FormatError};
pub use import::{ImportError, Importer};
pub use model::Model;
pub use open::{EngineKind, OpenError, UnknownEngine, open, open_engine, open_memory, open_sealed};
pub use seal::{DataKey, NoRandomness, Sealer};
pub use sealing::{is_sealed, seal_store};
