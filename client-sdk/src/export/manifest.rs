//! The list of an export's files with their hashes, and the exporter's signature over it.

use cercle_proto::{
    certificate::{DeviceIdentity, Root, Subject, Validity, read_device},
    id::{from_hex, to_hex},
    signing,
};
use serde::{Deserialize, Serialize};

/// What the signature of an export begins with.
const LABEL: &[u8] = b"cercle export v1\0";
/// Version of both files.
pub(crate) const FORMAT: u32 = 1;

/// Content of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this form.
    pub format: u32,
    /// The group, hexadecimal.
    pub group: String,
    /// When it was exported, by the exporter's clock.
    pub exported_at_ms: u64,
    /// How many messages.
    pub messages: u64,
    /// Every other file, except the signature.
    pub files: Vec<FileHash>,
}

/// One file of an export.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileHash {
    /// Where it lies, with `/` between folder and name.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

impl std::fmt::Debug for FileHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileHash").field("size", &self.size).finish_non_exhaustive()
    }
}

/// Content of `signature.json`: who vouches for the manifest, and how to check that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// Version of this form.
    pub format: u32,
    /// SHA-256 of `manifest.json`, hexadecimal.
    pub manifest_sha256: String,
    /// Device certificate of the exporter, DER, hexadecimal.
    pub certificate: String,
    /// Root certificate under which it was issued, DER, hexadecimal.
    pub root: String,
    /// Ed25519 over "cercle export v1", a zero byte, and SHA-256 of the manifest; hexadecimal.
    pub signature: String,
}

/// What is wrong with a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureFault {
    /// The file is not one of this program, or has another version.
    Malformed,
    /// The manifest is not the one that was signed.
    OtherManifest,
    /// The certificate was not issued under the root.
    Certificate,
    /// The root is not the one that was expected.
    OtherRoot,
    /// The signature does not fit.
    Signature,
}

/// The signed bytes.
#[must_use]
pub(crate) fn to_be_signed(manifest: &[u8]) -> Vec<u8> {
    [LABEL, &signing::sha256(manifest)].concat()
}

impl Signed {
    /// From a signature over [`to_be_signed`].
    pub(crate) fn new(manifest: &[u8], certificate: &[u8], root: &[u8], signature: &[u8]) -> Self {
        Self {
            format: FORMAT,
            manifest_sha256: to_hex(&signing::sha256(manifest)),
            certificate: to_hex(certificate),
            root: to_hex(root),
            signature: to_hex(signature),
        }
    }

    /// The one way to write it, so that every changed byte shows.
    ///
    /// # Errors
    /// Never in practice: it holds text and numbers only.
    pub fn encode(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec_pretty(self)
    }

    /// Checks it against a manifest. Gives the exporter and the fingerprint of the root that vouches for him.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(
        &self,
        manifest: &[u8],
        expected_root: Option<[u8; 32]>,
    ) -> Result<(DeviceIdentity, [u8; 32]), SignatureFault> {
        // Written in one way only, in small digits, so that a changed byte is never the same signature.
        let bytes = |text: &str| {
            from_hex(text).filter(|bytes| to_hex(bytes) == text).ok_or(SignatureFault::Malformed)
        };
        if self.format != FORMAT {
            return Err(SignatureFault::Malformed);
        }
        if self.manifest_sha256 != to_hex(&signing::sha256(manifest)) {
            return Err(SignatureFault::OtherManifest);
        }
        let (certificate, signature) = (bytes(&self.certificate)?, bytes(&self.signature)?);
        let root = Root::from_der(&bytes(&self.root)?).map_err(|_| SignatureFault::Certificate)?;
        if expected_root.is_some_and(|expected| expected != root.fingerprint()) {
            return Err(SignatureFault::OtherRoot);
        }
        let claimed = read_device(&certificate).map_err(|_| SignatureFault::Certificate)?;
        // A certificate ends after some weeks; an export is to be checked for years.
        match root.verify(&[certificate], &claimed.public_key, Validity::Ignore) {
            Ok(Subject::Device(exporter))
                if signing::verify(&exporter.public_key, &to_be_signed(manifest), &signature) =>
            {
                Ok((exporter, root.fingerprint()))
            }
            Ok(Subject::Device(_)) => Err(SignatureFault::Signature),
            Ok(Subject::Hub(_)) | Err(_) => Err(SignatureFault::Certificate),
        }
    }
}
