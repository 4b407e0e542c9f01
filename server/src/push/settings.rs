//! The operator's file about push services (`push.toml`): without it, Web Push and UnifiedPush work and Apple
//! and Firebase do not. Keys are named by path; the file itself holds no secret.

use std::path::{Path, PathBuf};

use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde::Deserialize;

use super::{
    Providers,
    apns::{self, Apns},
    fcm::{self, Fcm},
    http_client::HttpClient,
    token::SigningKey,
    web_push::WebPush,
};
use crate::server::keys;

/// File in the data directory with the key by which push services know this hub.
pub const PUSH_KEY: &str = "push.key";

/// The file's content.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PushSettings {
    /// How push services reach the operator: a `mailto:` or `https:` URL (RFC 8292 section 2.1).
    pub contact: String,
    /// Push services may be at private addresses: for a distributor inside the operator's network, and tests.
    pub allow_private: bool,
    /// PEM file of roots to trust besides those of the public web.
    pub roots: Option<PathBuf>,
    /// Apple.
    pub apns: Option<ApnsSettings>,
    /// Firebase.
    pub fcm: Option<FcmSettings>,
}

/// Apple.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApnsSettings {
    /// The `.p8` file.
    pub key_file: PathBuf,
    /// Id of the key.
    pub key_id: String,
    /// Id of the team.
    pub team_id: String,
    /// Bundle id of the app.
    pub topic: String,
    /// Another address than the usual one: the sandbox.
    pub endpoint: Option<String>,
}

/// Firebase.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FcmSettings {
    /// JSON file of the service account.
    pub service_account: PathBuf,
    /// Another address than the usual one.
    pub endpoint: Option<String>,
}

/// The parts of a service account's file that count.
#[derive(Deserialize)]
struct ServiceAccount {
    project_id: String,
    client_email: String,
    private_key: String,
    token_uri: String,
}

/// Why the push services cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file cannot be read, or others may read it.
    #[error(transparent)]
    File(#[from] keys::KeyFileError),
    /// It does not hold what it should.
    #[error("{path} cannot be used: {wrong}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        wrong: String,
    },
}

impl PushSettings {
    /// Reads the file; one that does not exist says nothing.
    ///
    /// # Errors
    /// When it cannot be read or does not fit.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|error| content(path, error.message())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(cause) => Err(keys::KeyFileError::Io { path: path.to_owned(), cause }.into()),
        }
    }

    /// Addresses of the push services whose address is known beforehand: those that accounts are set up for.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        let apns = self.apns.as_ref().map(|apns| apns.endpoint.as_deref().unwrap_or(apns::ENDPOINT));
        let fcm = self.fcm.as_ref().map(|fcm| fcm.endpoint.as_deref().unwrap_or(fcm::ENDPOINT));
        apns.into_iter().chain(fcm).map(str::to_owned).collect()
    }

    /// The push services; relative paths count from `directory`. Makes the key of the hub if there is none.
    ///
    /// # Errors
    /// Names the file that cannot be used.
    pub(crate) fn providers(&self, directory: &Path) -> Result<(Providers, HttpClient), SettingsError> {
        let roots = match &self.roots {
            None => Vec::new(),
            Some(path) => {
                let path = directory.join(path);
                let read = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect);
                read.map_err(|error| content(&path, &error.to_string()))?
            }
        };
        let http = HttpClient::new(roots, self.allow_private);
        let key = own_key(&directory.join(PUSH_KEY))?;
        let public_key = key.public().to_vec();
        let web = WebPush::new(http.clone(), key, self.contact.clone());
        let apns = self.apns.as_ref().map(|settings| apns(settings, directory, &http)).transpose()?;
        let fcm = self.fcm.as_ref().map(|settings| fcm(settings, directory, &http)).transpose()?;
        Ok((Providers { web, apns, fcm, public_key }, http))
    }
}

fn apns(settings: &ApnsSettings, directory: &Path, http: &HttpClient) -> Result<Apns, SettingsError> {
    let path = directory.join(&settings.key_file);
    let account = apns::Account {
        key_id: settings.key_id.clone(),
        team_id: settings.team_id.clone(),
        topic: settings.topic.clone(),
        endpoint: settings.endpoint.clone().unwrap_or_else(|| apns::ENDPOINT.into()),
    };
    let key = SigningKey::es256(&private_key(&path, &read(&path)?)?);
    Ok(Apns::new(http.clone(), key.map_err(|error| content(&path, &error.to_string()))?, account))
}

fn fcm(settings: &FcmSettings, directory: &Path, http: &HttpClient) -> Result<Fcm, SettingsError> {
    let path = directory.join(&settings.service_account);
    // The reason of a failure could quote the file, which is secret.
    let file: ServiceAccount = serde_json::from_slice(&read(&path)?)
        .map_err(|_| content(&path, "no service account of Firebase in JSON"))?;
    let account = fcm::Account {
        project_id: file.project_id,
        client_email: file.client_email,
        token_uri: file.token_uri,
        endpoint: settings.endpoint.clone().unwrap_or_else(|| fcm::ENDPOINT.into()),
    };
    let key = SigningKey::rs256(&private_key(&path, file.private_key.as_bytes())?);
    Ok(Fcm::new(http.clone(), key.map_err(|error| content(&path, &error.to_string()))?, account))
}

/// The key of the hub towards push services: made at the first start, because installations from before push
/// have none and nobody needs to know it.
fn own_key(path: &Path) -> Result<SigningKey, SettingsError> {
    if !path.exists() {
        let block = pem::encode(&pem::Pem::new("PRIVATE KEY", SigningKey::generate_es256()));
        keys::write_new(path, 0o600, block.as_bytes())?;
    }
    let key = SigningKey::es256(&private_key(path, &read(path)?)?);
    key.map_err(|error| content(path, &error.to_string()))
}

fn read(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, SettingsError> {
    keys::check_private(path, 0o600)?;
    let read = std::fs::read(path).map(zeroize::Zeroizing::new);
    Ok(read.map_err(|cause| keys::KeyFileError::Io { path: path.to_owned(), cause })?)
}

fn private_key(path: &Path, text: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, SettingsError> {
    match pem::parse(text) {
        Ok(block) if block.tag() == "PRIVATE KEY" => Ok(zeroize::Zeroizing::new(block.into_contents())),
        _ => Err(content(path, "no private key in PEM")),
    }
}

fn content(path: &Path, wrong: &str) -> SettingsError {
    SettingsError::Content { path: path.to_owned(), wrong: wrong.to_owned() }
}
