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
use crate::{error::Error, limits, transfer::confidentiality};

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
    /// Confidentiality flags ([`FLAGS`](crate::transfer::confidentiality::FLAGS)), newer ones too.
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

    /// Its LOINC code and display, as in the value set of document types `TRE_A05` where that has one (photos:
    /// LOINC alone). `None`: no code says what it is.
    #[must_use]
    pub const fn code(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Prescription => Some(("57833-6", "Prescription de produits de santé")),
            Self::Report => Some(("11488-4", "CR ou fiche de consultation ou de visite")),
            Self::DischargeLetter => {
                Some(("11490-0", "Lettre de liaison à la sortie d'un établissement de soins"))
            }
            Self::Laboratory => Some(("11502-2", "CR d'examens biologiques")),
            Self::Photo => Some(("72170-4", "Photographic image")),
            Self::Other | Self::History => None,
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
        for (field, text) in [("name", &self.name), ("media_type", &self.media_type), ("title", &self.title)]
        {
            if text.chars().any(char::is_control) {
                return Err(Error::Field {
                    field,
                    problem: "must be one line without control characters".into(),
                });
            }
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
        let (kind, size) = (self.document_type.label(language), size(self.size, language));
        let mut text = format!("[{kind}] {title} ({size})");
        for flag in &self.confidentiality {
            let known = confidentiality::FLAGS.iter().find(|known| known.code == flag);
            text.push_str(" · ");
            text.push_str(known.map_or(flag, |known| known.label(language)));
        }
        text
    }

    fn documents(&self) -> Vec<&Self> {
        vec![self]
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

/// A size for a person: in the largest unit that gives at least one.
fn size(bytes: u64, language: Language) -> String {
    let byte = language.pick("o", "B");
    match bytes {
        0..1_000 => format!("{bytes} {byte}"),
        1_000..1_000_000 => format!("{} k{byte}", bytes.div_ceil(1_000)),
        _ => format!("{},{} M{byte}", bytes / 1_000_000, bytes / 100_000 % 10)
            .replace(',', language.pick(",", ".")),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        Document {
            blob: BlobId::new([1; 16]),
            key: [2; 32],
            size: 1_250_000,
            sha256: [3; 32],
            name: "scan.pdf".into(),
            media_type: "application/pdf".into(),
            document_type: DocumentType::Prescription,
            title: String::new(),
            confidentiality: vec!["MASQUE_PS".into(), "NOUVEAU".into()],
            thumbnail: Vec::new(),
        }
    }

    fn refused(document: &Document) -> Option<&'static str> {
        match document.check() {
            Err(Error::Field { field, .. }) => Some(field),
            _ => None,
        }
    }

    #[test]
    fn a_person_reads_what_it_is_its_size_and_its_flags() {
        let french = "[ordonnance] scan.pdf (1,2 Mo) · masqué aux professionnels de santé · NOUVEAU";
        assert_eq!(document().render(Language::French), french);
        let report = Document { title: "Bilan".into(), size: 999, confidentiality: Vec::new(), ..document() };
        assert_eq!(report.render(Language::English), "[prescription] Bilan (999 B)");
    }

    #[test]
    fn what_breaks_a_rule_is_named() {
        for name in ["", "a/b", "..", "a\\b", "a\0", "a\u{1b}[2J"] {
            assert_eq!(refused(&Document { name: name.into(), ..document() }), Some("name"), "{name:?}");
        }
        assert_eq!(refused(&Document { size: limits::DOCUMENT_BYTES_MAX + 1, ..document() }), Some("size"));
        let thumbnail = vec![0; limits::THUMBNAIL_BYTES_MAX + 1];
        assert_eq!(refused(&Document { thumbnail, ..document() }), Some("thumbnail"));
        assert_eq!(refused(&document()), None);
    }

    #[test]
    fn the_json_form_has_neither_key_nor_picture() {
        let json = serde_json::to_value(Document { thumbnail: vec![1], ..document() }).unwrap();
        assert_eq!(json["blob"], "01".repeat(16));
        assert_eq!(json["document_type"], "prescription");
        assert!(json.get("key").is_none() && json.get("thumbnail").is_none());
    }
}
