//! Documents on their way: prepared, sealed, carried to the hub and back (docs/protocol.md section 9).
//!
//! - [`name`], [`media_type`], [`photo`], [`thumbnail`]: what a file is, and what must not leave this machine;
//! - [`prepare`]: from a file to its ciphertext in the profile and the [`Document`](crate::message::Document);
//! - [`spool`]: the folder of ciphertexts; [`sink`]: where a download arrives;
//! - [`http`] and [`body`]: one HTTPS connection; [`upload`] and [`download`]: over as many as it takes;
//!   [`tries`]: when to try again; [`device`]: tickets, and what the app is told;
//! - [`history`]: parts of histories for newcomers, up and down;
//! - [`worker`]: the thread that carries out transfers and takes them up again.
//!
//! Apps use [`Client::attach`](crate::client::Client::attach) and
//! [`Client::fetch`](crate::client::Client::fetch).
//! The core knows only that an upload was begun and what its message says (`sync/transfers`).

mod body;
pub mod confidentiality;
mod device;
mod download;
mod error;
mod history;
pub(crate) mod http;
pub mod limits;
pub mod media_type;
pub mod name;
pub mod photo;
mod prepare;
mod sink;
mod spool;
pub mod thumbnail;
mod tries;
mod upload;
pub(crate) mod worker;

use std::path::PathBuf;

use cercle_proto::id::MessageId;

use crate::message::DocumentType;

pub(crate) use device::Device;
pub use error::TransferError;
pub(crate) use spool::Spool;

/// What is to be sent. `Debug` shows no path and no content.
pub enum Source {
    /// A file on this machine.
    File(PathBuf),
    /// Bytes in memory.
    Bytes(Vec<u8>),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File(_) => "File",
            Self::Bytes(_) => "Bytes",
        })
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<Vec<u8>> for Source {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

/// What is said about a document, and how it is prepared. `Debug` shows no word of it.
#[derive(Clone, Default)]
pub struct AttachOptions {
    /// File name to propose; `None`: that of the file.
    pub name: Option<String>,
    /// What it is; `None`: a photo if it is a picture, else something else.
    pub document_type: Option<DocumentType>,
    /// What a person wrote about it.
    pub title: String,
    /// Flags of [`confidentiality`].
    pub confidentiality: Vec<String>,
    /// The message that it answers.
    pub in_reply_to: Option<MessageId>,
    /// Send a picture with everything that the camera wrote into it, place and device too.
    pub keep_metadata: bool,
}

impl std::fmt::Debug for AttachOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AttachOptions").field("document_type", &self.document_type).finish_non_exhaustive()
    }
}

/// Where a document goes. `Debug` shows no path.
#[derive(Clone)]
pub struct Destination {
    /// A file, or a folder, in which the document's own name is used.
    pub path: PathBuf,
    /// Replace a file that is there.
    pub overwrite: bool,
}

impl std::fmt::Debug for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Destination").field("overwrite", &self.overwrite).finish_non_exhaustive()
    }
}
