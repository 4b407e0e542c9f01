//! The key files of a hub: CPTS root and hub certificate, each with its private key, PEM, in the data
//! directory. Written by `init`, read at start, looked at by `doctor`. Private keys must belong to the hub's
//! user alone.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use cercle_proto::id::TimestampMs;
use zeroize::Zeroizing;

use crate::{
    auth::authority::{AuthorityError, Issuer, KeyedCertificate},
    config::Config,
    delivery::HubSender,
};

/// File names in the data directory.
pub const ROOT_CERTIFICATE: &str = "root.pem";
/// See [`ROOT_CERTIFICATE`].
pub const ROOT_KEY: &str = "root.key";
/// See [`ROOT_CERTIFICATE`].
pub const HUB_CERTIFICATE: &str = "hub.pem";
/// See [`ROOT_CERTIFICATE`].
pub const HUB_KEY: &str = "hub.key";

/// What the hub signs with.
#[derive(Debug)]
pub struct Keys {
    root: KeyedCertificate,
    hub: KeyedCertificate,
}

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read or written.
    #[error("{path} cannot be used; `cercle-server init` makes the files of a new hub")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// It does not hold what it should.
    #[error("{path} holds no {expected} in PEM")]
    Content {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// Others may read it.
    #[error("{path} can be read by other users (mode {mode:o}): run chmod {wanted:o} {path}")]
    Permissions {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode it should have.
        wanted: u32,
    },
}

impl Keys {
    /// Reads the files of a hub.
    ///
    /// # Errors
    /// When one is missing, damaged, or can be read by others.
    pub fn load(config: &Config) -> Result<Self, KeyFileError> {
        let data = &config.data;
        check_private(data, 0o700)?;
        check_private(&config.tls_key, 0o600)?;
        Ok(Self {
            root: read(&data.join(ROOT_CERTIFICATE), &data.join(ROOT_KEY))?,
            hub: read(&data.join(HUB_CERTIFICATE), &data.join(HUB_KEY))?,
        })
    }

    /// The root at work.
    ///
    /// # Errors
    /// When root, hub certificate and domain do not belong together.
    pub fn issuer(&self, domain: &str, now: TimestampMs) -> Result<Issuer, AuthorityError> {
        Issuer::load(&self.root, self.hub.certificate.clone(), domain, now)
    }

    /// The hub's voice in groups.
    ///
    /// # Errors
    /// When its key cannot be used.
    pub fn hub_sender(&self) -> Result<HubSender, AuthorityError> {
        HubSender::new(&self.hub)
    }

    /// The root certificate, DER.
    #[must_use]
    pub fn root_der(&self) -> &[u8] {
        &self.root.certificate
    }
}

/// Makes a directory that belongs to this user alone.
///
/// # Errors
/// When it cannot be made.
pub fn make_directory(path: &Path) -> Result<(), KeyFileError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|cause| KeyFileError::Io { path: path.to_owned(), cause })
}

/// Writes a new file, durable, with this mode. An existing file is not touched.
///
/// # Errors
/// When it exists or cannot be written.
pub fn write_new(path: &Path, mode: u32, content: &[u8]) -> Result<(), KeyFileError> {
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|cause| KeyFileError::Io { path: path.to_owned(), cause })
}

/// Checks that a file or directory grants others no more than `wanted`.
///
/// # Errors
/// Says what to do about it.
pub fn check_private(path: &Path, wanted: u32) -> Result<(), KeyFileError> {
    let metadata = fs::metadata(path).map_err(|cause| KeyFileError::Io { path: path.to_owned(), cause })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & !wanted != 0 {
        return Err(KeyFileError::Permissions { path: path.to_owned(), mode, wanted });
    }
    Ok(())
}

fn read(certificate: &Path, key: &Path) -> Result<KeyedCertificate, KeyFileError> {
    check_private(key, 0o600)?;
    Ok(KeyedCertificate {
        certificate: pem(certificate, "certificate", "CERTIFICATE")?.to_vec(),
        key: pem(key, "private key", "PRIVATE KEY")?,
    })
}

fn pem(path: &Path, expected: &'static str, tag: &str) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let text = fs::read(path).map_err(|cause| KeyFileError::Io { path: path.to_owned(), cause })?;
    let text = Zeroizing::new(text);
    match pem::parse(text.as_slice()) {
        Ok(block) if block.tag() == tag => Ok(Zeroizing::new(block.into_contents())),
        _ => Err(KeyFileError::Content { path: path.to_owned(), expected }),
    }
}
