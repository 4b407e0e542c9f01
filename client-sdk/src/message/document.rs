//! A file: its bytes lie on the hub, encrypted; its key and hash travel in the message.
//!
//! A message by itself, and a part of others (an image with a question).

use cercle_proto::id::BlobId;
use serde::{Deserialize, Serialize};

use super::{
    Kind, Language,
    kind::{Wire, at_most, bounded, hidden, required},
    wire,
};
use crate::{error::Error, limits};

/// A file on the hub, and what opens it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Its bytes on the hub.
    #[serde(with = "super::kind::hex_id")]
    pub blob: BlobId,
    /// Key of the content, used for this document only. Not in the JSON form.
    #[serde(skip)]
    pub key: [u8; 32],
    /// Bytes of the content.
    pub size: u64,
    /// SHA-256 of the content.
    #[serde(with = "super::kind::hex_bytes")]
    pub sha256: [u8; 32],
    /// File name to propose, without folders.
    pub name: String,
    /// Media type (RFC 6838).
    pub media_type: String,
    /// What it is.
    pub document_type: DocumentType,
    /// What a person wrote about it; may be empty.
    pub title: String,
    /// Confidentiality flags of the Ségur mail profile: `MASQUE_PS`, `INVISIBLE_PATIENT` and so on.
    pub confidentiality: Vec<String>,
    /// A small picture, JPEG or PNG; may be empty. Not in the JSON form.
    #[serde(skip)]
    pub thumbnail: Vec<u8>,
}

hidden!(Document);

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentType {
    /// Ordonnance.
    Prescription,
    /// Compte rendu.
    Report,
    /// Lettre de liaison.
    DischargeLetter,
    /// Résultats de biologie.
    Laboratory,
    /// Photo.
    Photo,
    /// Autre.
    #[default]
    Other,
    /// Messages handed over to a newcomer.
    History,
}

impl DocumentType {
    /// Its name for a person.
    #[must_use]
    pub const fn label(self, language: Language) -> &'static str {
        match self {
            Self::Prescription => language.pick("ordonnance", "prescription"),
            Self::Report => language.pick("compte rendu", "report"),
            Self::DischargeLetter => language.pick("lettre de liaison", "discharge letter"),
            Self::Laboratory => language.pick("biologie", "laboratory results"),
            Self::Photo => language.pick("photo", "photo"),
            Self::Other => language.pick("document", "document"),
            Self::History => language.pick("historique", "history"),
        }
    }
}

impl Kind for Document {
    fn check(&self) -> Result<(), Error> {
        required("name", &self.name, limits::NAME_BYTES_MAX)?;
        if self.name.contains(['/', '\\', '\0']) || matches!(self.name.as_str(), "." | "..") {
            return Err(Error::Field {
                field: "name",
                problem: "must be a file name without folders".into(),
            });
        }
        required("media_type", &self.media_type, limits::CODE_BYTES_MAX)?;
        bounded("title", &self.title, limits::TITLE_BYTES_MAX)?;
        at_most("confidentiality", &self.confidentiality, limits::CODES_MAX)?;
        for flag in &self.confidentiality {
            required("confidentiality", flag, limits::CODE_BYTES_MAX)?;
        }
        if self.size > limits::DOCUMENT_BYTES_MAX {
            return Err(Error::Field { field: "size", problem: "is above 100 MB".into() });
        }
        at_most("thumbnail", &self.thumbnail, limits::THUMBNAIL_BYTES_MAX)
    }

    fn render(&self, language: Language) -> String {
        let title = if self.title.is_empty() { &self.name } else { &self.title };
        format!("[{}] {title}", self.document_type.label(language))
    }

    fn blobs(&self) -> Vec<BlobId> {
        vec![self.blob]
    }
}

impl Wire for Document {
    type Message = wire::Document;

    fn to_wire(&self) -> wire::Document {
        wire::Document {
            blob: self.blob.as_bytes().to_vec(),
            key: self.key.to_vec(),
            size: self.size,
            sha256: self.sha256.to_vec(),
            name: self.name.clone(),
            media_type: self.media_type.clone(),
            r#type: type_to_wire(self.document_type).into(),
            title: self.title.clone(),
            confidentiality: self.confidentiality.clone(),
            thumbnail: self.thumbnail.clone(),
        }
    }

    fn from_wire(message: wire::Document) -> Option<Self> {
        Some(Self {
            blob: BlobId::try_from(message.blob.as_slice()).ok()?,
            key: message.key.as_slice().try_into().ok()?,
            sha256: message.sha256.as_slice().try_into().ok()?,
            document_type: type_from_wire(message.r#type()),
            size: message.size,
            name: message.name,
            media_type: message.media_type,
            title: message.title,
            confidentiality: message.confidentiality,
            thumbnail: message.thumbnail,
        })
    }
}

const fn type_to_wire(kind: DocumentType) -> wire::DocumentType {
    match kind {
        DocumentType::Prescription => wire::DocumentType::Prescription,
        DocumentType::Report => wire::DocumentType::Report,
        DocumentType::DischargeLetter => wire::DocumentType::DischargeLetter,
        DocumentType::Laboratory => wire::DocumentType::Laboratory,
        DocumentType::Photo => wire::DocumentType::Photo,
        DocumentType::Other => wire::DocumentType::Other,
        DocumentType::History => wire::DocumentType::History,
    }
}

const fn type_from_wire(kind: wire::DocumentType) -> DocumentType {
    match kind {
        wire::DocumentType::Prescription => DocumentType::Prescription,
        wire::DocumentType::Report => DocumentType::Report,
        wire::DocumentType::DischargeLetter => DocumentType::DischargeLetter,
        wire::DocumentType::Laboratory => DocumentType::Laboratory,
        wire::DocumentType::Photo => DocumentType::Photo,
        wire::DocumentType::History => DocumentType::History,
        wire::DocumentType::Unspecified | wire::DocumentType::Other => DocumentType::Other,
    }
}
