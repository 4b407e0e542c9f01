//! From a file to its ciphertext in the spool and what a message says about it.
//!
//! Called by [`super::worker`] on a thread that may block. Memory: one chunk, or a whole picture, which is
//! cleaned first.

use std::{
    fs::File,
    io::{self, Cursor, Read, Write},
    path::PathBuf,
};

use cercle_proto::id::BlobId;

use super::{
    AttachOptions, Source, TransferError, confidentiality,
    limits::{HEAD_BYTES, PICTURE_BYTES_MAX},
    media_type, name,
    photo::{self, PhotoError, Treatment},
    spool::Spool,
    thumbnail,
};
use crate::{
    limits::DOCUMENT_BYTES_MAX,
    message::{Document, DocumentType, Kind as _},
    sealing::{CHUNK_BYTES, Sealer},
};

/// Prepares a document and seals it into the spool. On an error nothing is left there.
///
/// # Errors
/// When the source cannot be read, may not be sent, or the disk fails.
pub(super) fn prepare(
    spool: &Spool,
    blob: BlobId,
    source: Source,
    options: &AttachOptions,
) -> Result<Document, TransferError> {
    confidentiality::check(&options.confidentiality)?;
    let named = options.name.clone().unwrap_or_else(|| file_name(&source));
    let mut content = Content::open(source)?;
    let head = content.head().map_err(TransferError::Unreadable)?;
    let media_type = media_type::of(&head);
    let mut small = Vec::new();
    let treatment = photo::treatment(media_type);
    match treatment {
        Treatment::Refuse if !options.keep_metadata => return Err(PhotoError::Format.into()),
        Treatment::Clean => {
            let mut picture = content.into_memory()?;
            if !options.keep_metadata {
                picture = photo::clean(media_type, &picture)?;
            }
            small = thumbnail::of(&picture).unwrap_or_default();
            content = Content::Memory(Cursor::new(picture));
        }
        Treatment::Refuse | Treatment::None => {}
    }
    let by_content = if treatment == Treatment::None { DocumentType::Other } else { DocumentType::Photo };
    let document = Document {
        blob,
        key: random_key(),
        size: 0,
        sha256: [0; 32],
        name: name::safe(&named),
        media_type: media_type.to_owned(),
        document_type: options.document_type.unwrap_or(by_content),
        title: options.title.clone(),
        confidentiality: options.confidentiality.clone(),
        thumbnail: small,
    };
    document.check()?;
    match seal(spool, &document, content) {
        Ok((size, sha256)) => Ok(Document { size, sha256, ..document }),
        Err(error) => {
            spool.delete(blob);
            Err(error)
        }
    }
}

/// Where content comes from.
enum Content {
    File(File, Vec<u8>),
    Memory(Cursor<Vec<u8>>),
}

impl Content {
    /// Opens the source and looks at its size, before anything is read.
    fn open(source: Source) -> Result<Self, TransferError> {
        let (content, size) = match source {
            Source::File(path) => {
                let file = File::open(path).map_err(TransferError::Unreadable)?;
                let about = file.metadata().map_err(TransferError::Unreadable)?;
                if !about.is_file() {
                    return Err(TransferError::Unreadable(io::ErrorKind::IsADirectory.into()));
                }
                (Self::File(file, Vec::new()), about.len())
            }
            Source::Bytes(bytes) => {
                let size = bytes.len() as u64;
                (Self::Memory(Cursor::new(bytes)), size)
            }
        };
        match size {
            0 => Err(TransferError::Empty),
            size if size > DOCUMENT_BYTES_MAX => Err(too_large()),
            _ => Ok(content),
        }
    }

    /// The first bytes; reading still begins with them.
    fn head(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::File(file, head) => {
                file.take(HEAD_BYTES as u64).read_to_end(head)?;
                Ok(head.clone())
            }
            Self::Memory(bytes) => {
                let bytes = bytes.get_ref();
                Ok(bytes[..bytes.len().min(HEAD_BYTES)].to_vec())
            }
        }
    }

    /// All of it: a picture.
    fn into_memory(mut self) -> Result<Vec<u8>, TransferError> {
        let mut bytes = Vec::new();
        let taken = self.by_ref().take(PICTURE_BYTES_MAX + 1).read_to_end(&mut bytes);
        taken.map_err(TransferError::Unreadable)?;
        if bytes.len() as u64 > PICTURE_BYTES_MAX {
            return Err(PhotoError::TooLarge.into());
        }
        Ok(bytes)
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file, head) if head.is_empty() => file.read(buffer),
            Self::File(_, head) => {
                let count = head.len().min(buffer.len());
                buffer[..count].copy_from_slice(&head[..count]);
                head.drain(..count);
                Ok(count)
            }
            Self::Memory(bytes) => bytes.read(buffer),
        }
    }
}

/// Writes the ciphertext; returns length and SHA-256 of the content.
fn seal(spool: &Spool, document: &Document, mut content: Content) -> Result<(u64, [u8; 32]), TransferError> {
    let mut file = spool.create(document.blob).map_err(TransferError::Disk)?;
    let mut sealer = Sealer::new(&document.key);
    let mut sealed = 0;
    let mut chunk = next_chunk(&mut content)?;
    loop {
        let next = next_chunk(&mut content)?;
        sealed += chunk.len() as u64;
        // A file may have grown since it was looked at.
        if sealed > DOCUMENT_BYTES_MAX {
            return Err(too_large());
        }
        let last = next.is_empty();
        sealer.seal(&mut chunk, last);
        file.write_all(&chunk).map_err(TransferError::Disk)?;
        if last {
            break;
        }
        chunk = next;
    }
    spool.settle(&file).map_err(TransferError::Disk)?;
    Ok(sealer.finish())
}

/// A whole chunk, or what is left.
fn next_chunk(content: &mut Content) -> Result<Vec<u8>, TransferError> {
    let mut chunk = Vec::with_capacity(crate::sealing::SEALED_CHUNK_BYTES);
    content.take(CHUNK_BYTES as u64).read_to_end(&mut chunk).map_err(TransferError::Unreadable)?;
    Ok(chunk)
}

fn too_large() -> TransferError {
    TransferError::TooLarge { max: DOCUMENT_BYTES_MAX }
}

fn file_name(source: &Source) -> String {
    let path: Option<&PathBuf> = match source {
        Source::File(path) => Some(path),
        Source::Bytes(_) => None,
    };
    path.and_then(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    getrandom::fill(&mut key).expect("the operating system has randomness: the store was opened with it");
    key
}
