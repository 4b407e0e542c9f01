//! Checks an export: signature, certificate, and the hash of every file. Needs no profile and no hub.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Component, Path, PathBuf},
};

use cercle_proto::certificate::DeviceIdentity;

use super::{
    MANIFEST_FILE, SIGNATURE_FILE,
    folder::hash_file,
    manifest::{FORMAT, Manifest, SignatureFault, Signed},
};
use crate::limits;

/// What holds of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Who vouches for it.
    pub exporter: DeviceIdentity,
    /// SHA-256 of the root certificate that vouches for the exporter: compare it with the one that is known
    /// from elsewhere, unless it was given.
    pub root_fingerprint: [u8; 32],
    /// When it was exported, by the exporter's clock.
    pub exported_at_ms: u64,
    /// How many messages are in it.
    pub messages: u64,
    /// How many files were checked.
    pub files: u64,
}

/// What is wrong with an export.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportFault {
    /// A file of the export is not there.
    Missing(String),
    /// A file cannot be read.
    Unreadable(String),
    /// A file is not as it was exported.
    Changed(String),
    /// A file is not part of the export.
    Unexpected(String),
    /// The signature or what it rests on.
    Signature(SignatureFault),
    /// The manifest is not one of this program.
    Manifest,
}

impl std::fmt::Debug for ExportFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(_) => f.write_str("Missing"),
            Self::Unreadable(_) => f.write_str("Unreadable"),
            Self::Changed(_) => f.write_str("Changed"),
            Self::Unexpected(_) => f.write_str("Unexpected"),
            Self::Signature(fault) => write!(f, "Signature({fault:?})"),
            Self::Manifest => f.write_str("Manifest"),
        }
    }
}

/// Checks an export: its folder, or any file at its top. With a fingerprint, the export must rest on the root
/// that has it; else the root is the one inside, to be compared by whoever reads.
///
/// # Errors
/// Everything that is wrong, the graver first.
pub fn verify(path: &Path, expected_root: Option<[u8; 32]>) -> Result<Verified, Vec<ExportFault>> {
    let folder = folder_of(path);
    let manifest = read(&folder, MANIFEST_FILE).map_err(|fault| vec![fault])?;
    let signature = read(&folder, SIGNATURE_FILE).map_err(|fault| vec![fault])?;
    let mut faults = Vec::new();
    let signed = check_signature(&signature, &manifest, expected_root);
    if let Err(fault) = &signed {
        faults.push(fault.clone());
    }
    let Some(manifest) = parse(&manifest) else {
        faults.push(ExportFault::Manifest);
        return Err(faults);
    };
    check_files(&folder, &manifest, &mut faults);
    match signed {
        Ok((exporter, root_fingerprint)) if faults.is_empty() => Ok(Verified {
            exporter,
            root_fingerprint,
            exported_at_ms: manifest.exported_at_ms,
            messages: manifest.messages,
            files: manifest.files.len() as u64,
        }),
        _ => Err(faults),
    }
}

fn folder_of(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.to_owned();
    }
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => path.to_owned(),
    }
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, ExportFault> {
    let path = folder.join(name);
    let length = fs::metadata(&path).map(|metadata| metadata.len());
    match length {
        Ok(length) if length <= limits::EXPORT_MANIFEST_BYTES_MAX => {
            fs::read(&path).map_err(|_| ExportFault::Unreadable(name.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ExportFault::Missing(name.to_owned())),
        Ok(_) | Err(_) => Err(ExportFault::Unreadable(name.to_owned())),
    }
}

fn check_signature(
    signature: &[u8],
    manifest: &[u8],
    expected_root: Option<[u8; 32]>,
) -> Result<(DeviceIdentity, [u8; 32]), ExportFault> {
    let malformed = || ExportFault::Signature(SignatureFault::Malformed);
    let signed: Signed = serde_json::from_slice(signature).map_err(|_| malformed())?;
    // Written otherwise than this program writes it: somebody has changed it, be it a space.
    if signed.encode().map_err(|_| malformed())? != signature {
        return Err(malformed());
    }
    signed.check(manifest, expected_root).map_err(ExportFault::Signature)
}

fn parse(manifest: &[u8]) -> Option<Manifest> {
    let manifest: Manifest = serde_json::from_slice(manifest).ok()?;
    let stays_inside = |path: &str| {
        !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
    };
    let sound = manifest.format == FORMAT && manifest.files.iter().all(|file| stays_inside(&file.path));
    sound.then_some(manifest)
}

fn check_files(folder: &Path, manifest: &Manifest, faults: &mut Vec<ExportFault>) {
    let mut known = BTreeSet::from([MANIFEST_FILE.to_owned(), SIGNATURE_FILE.to_owned()]);
    for file in &manifest.files {
        known.insert(file.path.clone());
        match hash_file(&folder.join(&file.path)) {
            Ok((size, sha256)) if size == file.size && sha256 == file.sha256 => {}
            Ok(_) => faults.push(ExportFault::Changed(file.path.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                faults.push(ExportFault::Missing(file.path.clone()));
            }
            Err(_) => faults.push(ExportFault::Unreadable(file.path.clone())),
        }
    }
    for path in present(folder, "") {
        if !known.contains(&path) {
            faults.push(ExportFault::Unexpected(path));
        }
    }
}

/// Every file of a folder and of the folders in it, with `/` between. An export has one level of folders.
fn present(folder: &Path, prefix: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths = Vec::new();
    for entry in entries.flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if prefix.is_empty() && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            paths.extend(present(&entry.path(), &format!("{name}/")));
        } else {
            paths.push(name);
        }
    }
    paths.sort();
    paths
}
