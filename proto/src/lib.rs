//! The wire between a device and the hub, and what both ends must understand alike.
//!
//! - [`v1`]: the frames, generated from `cercle/hub/v1/*.proto` (those files are the reference).
//! - [`id`]: validated identifiers; nothing else in the project holds a raw id.
//! - [`error_code`]: the stable numbers of [`v1::Error`].
//! - [`frame`]: encoding, decoding and size bound of a frame.
//! - [`mls_message`]: reads the header of an MLS message without opening it.
//! - [`certificate`]: device certificates and the MLS credential that carries them.
//! - [`policy`]: the group policy inside the MLS group context, and who may do what under it.
//! - [`signing`]: the exact bytes that devices sign to enrol and to open a session.
//! - [`receipt`]: what the hub signs of a claimed register.
//! - [`recovery`]: what is printed beside a recovery code.
//! - [`invitation`]: the link that enrols a device. [`link`]: the code that links one to another.
//!
//! This crate depends on none of the others and does no input or output.

pub mod certificate;
pub mod error_code;
pub mod frame;
pub mod id;
pub mod invitation;
pub mod link;
pub mod mls_message;
pub mod policy;
pub mod receipt;
pub mod recovery;
pub mod signing;
pub mod v1;

pub use error_code::ErrorCode;
