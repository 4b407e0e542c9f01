//! More faults, one installation each: what is around the hub.

use std::{fs, os::unix::fs::PermissionsExt, time::SystemTime};

use super::{
    tests::{Installation, installation},
    *,
};
use crate::{at_rest, backup, init};

async fn examined(installation: &Installation, settings: &[(&str, &str)]) -> Vec<Finding> {
    let file = installation.data.join(init::CONFIG_FILE);
    let settings = settings.iter().map(|(key, value)| (format!("CERCLE_SERVER_{key}"), (*value).to_owned()));
    examine(&file, settings, &Clock::system()).await
}

/// The fault is named, with what to do about it, and nothing else is wrong that was not before.
async fn names(installation: &Installation, settings: &[(&str, &str)], subject: &str, part: &str) {
    let findings = examined(installation, settings).await;
    let found = findings
        .iter()
        .find(|finding| finding.subject == subject && !finding.is_good() && finding.found.contains(part));
    assert!(found.is_some_and(|finding| !finding.mend.is_empty()), "{subject}: {findings:?}");
}

fn push_file(installation: &Installation, text: &str) {
    fs::write(installation.data.join("push.toml"), text).unwrap();
}

#[tokio::test]
async fn too_few_descriptors_are_noticed() {
    names(&installation().await, &[("CONNECTIONS_MAX", "9000000000")], "descriptors", "file descriptors")
        .await;
}

#[tokio::test]
async fn a_shutdown_longer_than_systemd_waits_is_noticed() {
    names(&installation().await, &[("DRAIN_TIMEOUT_MS", "120000")], "drain", "120000 ms").await;
}

#[tokio::test]
async fn an_address_that_only_this_machine_reaches_is_noticed() {
    names(&installation().await, &[("LISTEN", "[::]:0")], "public address", "on themselves").await;
}

#[tokio::test]
async fn a_socket_path_that_is_too_long_is_noticed() {
    let long = format!("/tmp/{}", "x".repeat(120));
    names(&installation().await, &[("ADMIN_SOCKET", &long)], "admin socket", "too long").await;
}

#[tokio::test]
async fn a_metrics_port_that_is_taken_is_noticed() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    names(&installation().await, &[("METRICS", &address)], "metrics", "cannot be used").await;
}

#[tokio::test]
async fn a_log_filter_that_cannot_be_read_is_noticed() {
    names(&installation().await, &[("LOG_FILTER", "info,=,nonsense[")], "log filter", "cannot be read").await;
}

#[tokio::test]
async fn a_clock_that_was_set_back_is_noticed() {
    let installation = installation().await;
    let root = fs::File::options().write(true).open(installation.data.join("root.pem")).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a file's time is compared with the machine's own")]
    let tomorrow = SystemTime::now() + std::time::Duration::from_secs(86_400);
    root.set_modified(tomorrow).unwrap();
    names(&installation, &[], "clock", "hours younger").await;
}

#[tokio::test]
async fn the_store_of_another_engine_is_noticed() {
    names(&installation().await, &[("ENGINE", "sled")], "store", "holds a journal store").await;
}

#[tokio::test]
async fn a_store_that_others_can_read_is_noticed() {
    let installation = installation().await;
    fs::set_permissions(installation.data.join("store"), fs::Permissions::from_mode(0o755)).unwrap();
    names(&installation, &[], "store", "mode 755").await;
}

#[tokio::test]
async fn attachments_that_others_can_read_are_noticed() {
    let installation = installation().await;
    let folder = installation.data.join("attachments");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
    names(&installation, &[], "attachments", "mode 750").await;
}

#[tokio::test]
async fn a_quota_larger_than_the_disk_is_noticed() {
    names(
        &installation().await,
        &[("ATTACHMENTS_PER_USER_MB", "1073741824")],
        "attachment quota",
        "whole disk",
    )
    .await;
}

#[tokio::test]
async fn a_promise_below_power_loss_is_noticed() {
    names(&installation().await, &[("DURABILITY", "process")], "durability", "need not survive").await;
}

#[tokio::test]
async fn a_hook_that_is_missing_or_no_program_is_noticed() {
    let installation = installation().await;
    names(&installation, &[("ALERT_HOOK", "/nowhere/at/all")], "alert hook", "cannot be found").await;
    names(&installation, &[("ALERT_HOOK", "sms.sh")], "alert hook", "neither").await;
    let file = installation.data.join("hook");
    fs::write(&file, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    names(&installation, &[("ALERT_HOOK", file.to_str().unwrap())], "alert hook", "no program").await;
}

#[tokio::test]
async fn a_push_file_with_a_misspelt_key_is_noticed() {
    let installation = installation().await;
    push_file(&installation, "contakt = \"mailto:a@b.example\"\n");
    names(&installation, &[], "push", "contakt").await;
}

#[tokio::test]
async fn a_push_key_that_is_missing_and_a_service_out_of_reach_are_noticed() {
    let installation = installation().await;
    push_file(
        &installation,
        "[apns]\nkey_file = \"no.p8\"\nkey_id = \"K\"\nteam_id = \"T\"\ntopic = \"t\"\nendpoint = \"https://127.0.0.1:0\"\n",
    );
    names(&installation, &[], "push key", "no.p8").await;
    names(&installation, &[], "push service", "cannot be reached").await;
}

#[tokio::test]
async fn missing_old_damaged_and_unknown_backups_are_noticed() {
    let installation = installation().await;
    names(&installation, &[], "backups", "none are known").await;
    let folder = installation.data.parent().unwrap().join("backups");
    let settings = [("BACKUPS", folder.to_str().unwrap())];
    names(&installation, &settings, "backups", "is no backup repository").await;
    let config = Config::load(&installation.data.join(init::CONFIG_FILE), []).unwrap();
    let store = at_rest::open_store(&config).await.unwrap();
    let old = Clock::system().now() - 3 * DAY_MS;
    let source = backup::Source::of(&config);
    let created = backup::create(&source, &store, &folder, None, old).await.unwrap();
    names(&installation, &settings, "backups", "72 hours old").await;
    names(&installation, &settings, "backups disk", "on the disk of the hub").await;
    fs::write(folder.join("backups").join(format!("{}.json", created.name)), "{}").unwrap();
    names(&installation, &settings, "backups", "damaged").await;
}

#[tokio::test]
async fn a_missing_key_file_is_noticed() {
    let installation = installation().await;
    fs::remove_file(installation.data.join("hub.key")).unwrap();
    names(&installation, &[], "keys", "hub.key").await;
}

#[tokio::test]
async fn a_tls_key_of_another_certificate_is_noticed() {
    let (this, other) = (installation().await, installation().await);
    fs::copy(other.data.join("tls.key"), this.data.join("tls.key")).unwrap();
    names(&this, &[], "tls certificate", "").await;
}

#[tokio::test]
async fn a_key_at_rest_that_is_missing_readable_or_another_is_noticed() {
    const SUBJECT: &str = "key at rest";
    let installation = installation().await;
    names(&installation, &[], SUBJECT, "lies on the disk of the hub").await;
    let key = installation.data.join(at_rest::KEY_FILE);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    names(&installation, &[], SUBJECT, "other users can read it").await;
    fs::remove_file(&key).unwrap();
    names(&installation, &[], SUBJECT, "cannot be used").await;
    at_rest::WrappingKey::make(&key).unwrap();
    names(&installation, &[], SUBJECT, "gives another key").await;
    names(&installation, &[("AT_REST_KEY", "")], SUBJECT, "`at_rest_key` is empty").await;
    fs::remove_file(installation.data.join(at_rest::WRAPPED_KEY)).unwrap();
    names(&installation, &[], SUBJECT, "not sealed yet").await;
    names(&installation, &[("AT_REST_KEY", "")], SUBJECT, "lie readable").await;
}
