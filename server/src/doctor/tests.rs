//! Installations with one fault each, and what is said about it.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use super::*;
use crate::init;

pub(super) struct Installation {
    _directory: tempfile::TempDir,
    pub(super) data: PathBuf,
}

pub(super) async fn installation() -> Installation {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("hub");
    let options = init::Options {
        data: data.clone(),
        domain: "cpts.example".into(),
        address: "127.0.0.1:0".into(),
        tls: None,
        administrator: "admin".into(),
        administrator_name: "Admin".into(),
        at_rest_key: Some("at-rest.key".into()),
    };
    init::create(options, &Clock::system()).await.unwrap();
    Installation { _directory: directory, data }
}

async fn bad(installation: &Installation) -> Vec<Finding> {
    let findings = examine(&installation.data.join(init::CONFIG_FILE), [], &Clock::system()).await;
    findings.into_iter().filter(|finding| finding.state == State::Bad).collect()
}

fn change_config(installation: &Installation, line: &str) {
    let file = installation.data.join(init::CONFIG_FILE);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(file, format!("{text}\n{line}\n")).unwrap();
}

#[tokio::test]
async fn a_new_hub_is_healthy() {
    let installation = installation().await;
    assert_eq!(bad(&installation).await, []);
}

#[tokio::test]
async fn a_key_that_others_can_read_is_named_with_its_chmod() {
    let installation = installation().await;
    let key = installation.data.join("root.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let findings = bad(&installation).await;
    assert_eq!(findings[0].mend, format!("chmod 600 {}", key.display()));
}

#[tokio::test]
async fn a_misspelt_key_is_named() {
    let installation = installation().await;
    change_config(&installation, "drain_timeout = 3");
    let findings = bad(&installation).await;
    assert!(findings[0].found.contains("did you mean `drain_timeout_ms`"), "{findings:?}");
}

#[tokio::test]
async fn the_root_of_another_hub_is_noticed() {
    let (this, other) = (installation().await, installation().await);
    for file in ["root.pem", "root.key"] {
        fs::copy(other.data.join(file), this.data.join(file)).unwrap();
    }
    let findings = bad(&this).await;
    assert!(findings.iter().any(|finding| finding.subject == "tls root"), "{findings:?}");
}

#[tokio::test]
async fn a_port_that_another_program_uses_is_noticed() {
    let installation = installation().await;
    let config = Config::load(&installation.data.join(init::CONFIG_FILE), []).unwrap();
    let _other = TcpListener::bind(config.listen).unwrap();
    let findings = bad(&installation).await;
    assert_eq!(findings.iter().map(|finding| finding.subject).collect::<Vec<_>>(), ["port"]);
}

#[tokio::test]
async fn an_expired_certificate_is_noticed() {
    let installation = installation().await;
    let later = Clock::manual(Clock::system().now() + limits::SERVER_CERTIFICATE_VALID_MS);
    let findings = examine(&installation.data.join(init::CONFIG_FILE), [], &later).await;
    let tls = findings.iter().find(|finding| finding.subject == "tls certificate").unwrap();
    assert_eq!((tls.state, tls.found.as_str()), (State::Bad, "it has expired"));
}

#[tokio::test]
async fn a_name_that_the_certificate_does_not_carry_is_noticed() {
    let installation = installation().await;
    let file = installation.data.join(init::CONFIG_FILE);
    let text = fs::read_to_string(&file).unwrap().replace("\"127.0.0.1:", "\"127.0.0.2:");
    fs::write(file, text).unwrap();
    let findings = bad(&installation).await;
    assert!(findings.iter().any(|finding| finding.subject == "tls name"), "{findings:?}");
}
