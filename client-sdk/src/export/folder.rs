//! Writes an export into a folder: documents, record, page, manifest, and last the signature.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use cercle_proto::{
    id::{GroupId, to_hex},
    signing,
};
use ring::digest::{Context, SHA256};
use tokio::time::timeout;

use super::{
    DOCUMENTS_FOLDER, MANIFEST_FILE, PAGE_FILE, RECORD_FILE, SIGNATURE_FILE,
    manifest::{FORMAT, FileHash, Manifest},
    page,
    record::ExportedDocument,
};
use crate::{
    client::{Client, ClientError, now_ms},
    message::Document,
    transfer::Destination,
};

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The folder is there and not empty: name another.
    #[error("the folder is not empty")]
    NotEmpty,
    /// The disk cannot be written.
    #[error("the disk cannot be written")]
    Disk(#[from] io::Error),
    /// The device refused it.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Messages.
    pub messages: u64,
    /// Documents that are in the folder.
    pub documents: u64,
    /// Documents that could not be fetched.
    pub missing: u64,
    /// SHA-256 of the manifest, which names everything else by its hash.
    pub manifest_sha256: [u8; 32],
}

impl Client {
    /// Exports a group into a folder that does not exist or is empty. A document that is not there after
    /// `patience` is named as missing.
    ///
    /// # Errors
    /// When the folder is not empty, the disk cannot be written, or the group is unknown.
    pub async fn export(
        &self,
        group: GroupId,
        folder: &Path,
        patience: Duration,
    ) -> Result<Exported, ExportError> {
        prepare(folder)?;
        let at_ms = now_ms();
        let (mut record, documents) =
            self.query(move |core| core.export(group, at_ms)).await?.map_err(ClientError::from)?;
        let mut files = Vec::new();
        for (entry, document) in record.documents.iter_mut().zip(documents) {
            match self.export_document(folder, entry, &document, patience).await? {
                Some(file) => files.push(file),
                None => entry.missing = true,
            }
        }
        let json = serde_json::to_vec_pretty(&record).map_err(io::Error::from)?;
        files.push(write(folder, RECORD_FILE, &json)?);
        files.push(write(folder, PAGE_FILE, page::render(&record).as_bytes())?);
        files.sort_by(|one, other| one.path.cmp(&other.path));
        let missing = record.documents.iter().filter(|document| document.missing).count() as u64;
        let messages = record.messages.len() as u64;
        let manifest =
            Manifest { format: FORMAT, group: group.to_hex(), exported_at_ms: at_ms, messages, files };
        let manifest = serde_json::to_vec_pretty(&manifest).map_err(io::Error::from)?;
        write(folder, MANIFEST_FILE, &manifest)?;
        let manifest_sha256 = signing::sha256(&manifest);
        let signed = self.query(move |core| core.sign_export(&manifest)).await?.map_err(ClientError::from)?;
        write(folder, SIGNATURE_FILE, &signed.encode().map_err(io::Error::from)?)?;
        let documents = record.documents.len() as u64 - missing;
        Ok(Exported { messages, documents, missing, manifest_sha256 })
    }

    async fn export_document(
        &self,
        folder: &Path,
        entry: &ExportedDocument,
        document: &Document,
        patience: Duration,
    ) -> Result<Option<FileHash>, ExportError> {
        let path = folder.join(&entry.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let destination = Destination { path: path.clone(), overwrite: false };
        match timeout(patience, self.fetch(document, destination)).await {
            Ok(Ok(_)) => {
                let (size, sha256) = hash_file(&path)?;
                Ok(Some(FileHash { path: entry.path.clone(), size, sha256 }))
            }
            Ok(Err(_)) | Err(_) => {
                discard_parts(folder)?;
                Ok(None)
            }
        }
    }
}

/// Size and SHA-256 of a file, read piece by piece.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn hash_file(path: &Path) -> io::Result<(u64, String)> {
    let mut file = fs::File::open(path)?;
    let mut context = Context::new(&SHA256);
    let mut piece = vec![0; 64 * 1024];
    let mut size = 0;
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok((size, to_hex(context.finish().as_ref())));
        }
        size += read as u64;
        context.update(&piece[..read]);
    }
}

fn prepare(folder: &Path) -> Result<(), ExportError> {
    fs::create_dir_all(folder)?;
    if fs::read_dir(folder)?.next().is_some() {
        return Err(ExportError::NotEmpty);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn write(folder: &Path, name: &str, content: &[u8]) -> Result<FileHash, ExportError> {
    fs::write(folder.join(name), content)?;
    let sha256 = to_hex(&signing::sha256(content));
    Ok(FileHash { path: name.to_owned(), size: content.len() as u64, sha256 })
}

/// Deletes what an interrupted transfer has left: an export has nothing in it that is not in its manifest.
fn discard_parts(folder: &Path) -> io::Result<()> {
    let documents: PathBuf = folder.join(DOCUMENTS_FOLDER);
    for entry in fs::read_dir(&documents)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "part") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
