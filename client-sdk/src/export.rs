//! A group on paper: every message, the documents, and a signature that anybody can check without a profile.
//!
//! - [`record`]: what is exported, the content of `circle.json`;
//! - [`page`]: the same to read and print, `index.html`;
//! - [`manifest`]: hashes of all files, and the exporter's signature over them;
//! - [`folder`]: writes an export; [`mod@verify`]: checks one.
//!
//! The signature is the exporter's word that the messages were so on his device: MLS authenticates a message
//! to the members of its epoch, and to nobody later (RFC 9420 section 16.2). docs/storage-format.md
//! describes the files.

pub mod folder;
pub mod manifest;
pub mod page;
pub mod record;
pub mod verify;

pub use folder::{ExportError, Exported};
pub use manifest::Signed;
pub use record::ExportRecord;
pub use verify::{ExportFault, Verified, verify};

/// Everything that was said, field by field.
pub const RECORD_FILE: &str = "circle.json";
/// The same, to read.
pub const PAGE_FILE: &str = "index.html";
/// Hashes of all the others.
pub const MANIFEST_FILE: &str = "manifest.json";
/// Signature over the manifest.
pub const SIGNATURE_FILE: &str = "signature.json";
/// Folder of the documents.
pub const DOCUMENTS_FOLDER: &str = "documents";
