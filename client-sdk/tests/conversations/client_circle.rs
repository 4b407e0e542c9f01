//! Circles over sockets: a history that is too large for a message, documents, and an export that anybody
//! can check.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use cercle_proto::id::GroupId;
use cercle_sdk::{
    client::Client,
    event::Event,
    export::{ExportFault, manifest::SignatureFault, verify},
    message::{Body, CircleBasis, CircleStanding, CircleStatus, HistoryPolicy},
    transfer::AttachOptions,
};

use super::{
    client_world::{Hub, soon, texts, until, user},
    core_circle::{circle, entry},
};

const PATIENCE: Duration = Duration::from_secs(120);

async fn open(client: &Client, history: HistoryPolicy) -> GroupId {
    let mut circle = circle(history);
    circle.patient.ins_oid = "1.2.250.1.213.1.4.8".into();
    soon(client.open_circle(circle)).await.unwrap()
}

/// Hexadecimal noise, which does not compress into a message.
fn noise(number: u64) -> String {
    let mut state = number + 1;
    let mut text = format!("{number:02} ");
    for _ in 0..500 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.push_str(&format!("{state:016x}"));
    }
    text
}

async fn sent(client: &Client) {
    let mut events = client.events();
    soon(async {
        while !client.outbox().await.unwrap().is_empty() {
            events.next().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_history_reaches_a_newcomer_over_the_hub_though_both_restart() {
    let hub = Hub::start().await;
    let anne = hub.enrol("anne").await;
    let bruno = hub.enrol("bruno").await;
    let group = open(&anne, HistoryPolicy::All).await;
    for number in 0..20 {
        anne.send(group, &noise(number)).await.unwrap();
    }
    sent(&anne).await;
    soon(anne.add_to_circle(group, entry("bruno", CircleBasis::SameTeam))).await.unwrap();
    // The inviter goes away as soon as her commit is in the log.
    anne.close().await;
    let anne = hub.reopen("anne").await;
    let mut heard = bruno.events();
    let handed = |event: &Event| matches!(event, Event::HistoryWaits { .. } | Event::HistoryImported { .. });
    until(&mut heard, handed).await;
    bruno.close().await;
    let bruno = hub.reopen("bruno").await;
    let mut heard = bruno.events();
    soon(async {
        while texts(&bruno, group).await.len() < 20 {
            heard.next().await;
        }
    })
    .await;
    assert_eq!(texts(&bruno, group).await, texts(&anne, group).await);
    let messages = bruno.messages(group, 0, 100).await.unwrap();
    let texts = messages.iter().filter(|message| matches!(message.body, Body::Text(_)));
    assert!(texts.clone().count() == 20);
    assert!(texts.into_iter().all(|message| message.exported_by == Some(user("anne"))));
    anne.close().await;
    bruno.close().await;
}

/// A circle with texts, a document and a closing, exported into a folder.
async fn exported(hub: &Hub, client: &Client) -> (GroupId, PathBuf) {
    let group = open(client, HistoryPolicy::All).await;
    client.send(group, "Pansement <b>refait</b> & propre.").await.unwrap();
    let mut events = client.events();
    let options = AttachOptions { name: Some("compte rendu.txt".into()), ..AttachOptions::default() };
    soon(client.attach(group, b"Tout va bien.".to_vec(), options)).await.unwrap();
    until(&mut events, |event| matches!(event, Event::TransferFinished { .. })).await;
    let status = CircleStatus { standing: CircleStanding::Closed, reason: "guérison".into() };
    client.post(group, Body::CircleStatus(status).into()).await.unwrap();
    sent(client).await;
    let folder = hub.folder_of("export");
    let exported = soon(client.export(group, &folder, PATIENCE)).await.unwrap();
    assert_eq!((exported.documents, exported.missing), (1, 0));
    (group, folder)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_everything_and_shows_every_damage() {
    let hub = Hub::start().await;
    let anne = hub.enrol("anne").await;
    let identity = anne.identity().await.unwrap().unwrap();
    let (group, folder) = exported(&hub, &anne).await;
    assert!(soon(anne.export(group, &folder, PATIENCE)).await.is_err(), "nothing is overwritten");

    let verified = verify(&folder, Some(identity.root_fingerprint)).unwrap();
    assert_eq!((&verified.exporter.user, verified.exporter.device), (&identity.user, identity.device));
    assert_eq!(
        verify(&folder.join("circle.json"), None).unwrap().root_fingerprint,
        identity.root_fingerprint
    );
    let wrong_root = verify(&folder, Some([1; 32])).unwrap_err();
    assert_eq!(wrong_root, [ExportFault::Signature(SignatureFault::OtherRoot)]);

    let record: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("circle.json")).unwrap()).unwrap();
    let messages = record["messages"].as_array().unwrap();
    assert_eq!(messages.len(), anne.messages(group, 0, 100).await.unwrap().len());
    assert_eq!(record["circle"]["standing"], "closed");
    assert_eq!(record["circle"]["patient"]["birth_name"], "Imaginaire");
    for message in messages {
        assert_eq!(message["sender"], identity.user.as_str());
        assert_eq!(message["device"], identity.device.to_hex());
        assert!(message["at_ms"].as_u64().unwrap() > 0);
    }
    let page = fs::read_to_string(folder.join("index.html")).unwrap();
    assert!(page.contains("Pansement &lt;b&gt;refait&lt;/b&gt; &amp; propre."), "texts are escaped");
    assert!(page.contains("IMAGINAIRE Odette") && page.contains("documents/") && !page.contains("<script"));
    let document = files(&folder.join("documents")).remove(0);
    assert_eq!(fs::read(&document).unwrap(), b"Tout va bien.");

    // Bytes of every file, from the first to the last.
    let mut damages = 0;
    for file in files(&folder) {
        let whole = fs::read(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        for step in 0..8 {
            let mut damaged = whole.clone();
            let at = step * (whole.len() - 1) / 7;
            damaged[at] ^= 0x20;
            fs::write(&file, &damaged).unwrap();
            let faults = verify(&folder, None).expect_err(&format!("{name} at {at}"));
            let named = faults.iter().any(|fault| match fault {
                ExportFault::Changed(path) => path.ends_with(&name),
                ExportFault::Signature(_) | ExportFault::Manifest => {
                    matches!(name.as_str(), "manifest.json" | "signature.json")
                }
                _ => false,
            });
            assert!(named, "{name} at {at}: {faults:?}");
            damages += 1;
        }
        fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        assert!(verify(&folder, None).is_err(), "{name} cut");
        fs::remove_file(&file).unwrap();
        let faults = verify(&folder, None).unwrap_err();
        assert!(
            faults.iter().any(|fault| matches!(fault, ExportFault::Missing(path) if path.ends_with(&name)))
        );
        fs::write(&file, &whole).unwrap();
    }
    assert!(damages >= 20, "{damages}");
    fs::write(folder.join("documents/ajout.txt"), "x").unwrap();
    let faults = verify(&folder, None).unwrap_err();
    assert!(matches!(&faults[..], [ExportFault::Unexpected(path)] if path == "documents/ajout.txt"));
    fs::remove_file(folder.join("documents/ajout.txt")).unwrap();
    verify(&folder, None).unwrap();
    anne.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_of_somebody_else_does_not_pass_as_the_exporters() {
    let hub = Hub::start().await;
    let anne = hub.enrol("anne").await;
    let bruno = hub.enrol("bruno").await;
    let (_, folder) = exported(&hub, &anne).await;
    // Bruno signs what Anne exported, and puts Anne's certificate beside his signature.
    let manifest = fs::read(folder.join("manifest.json")).unwrap();
    let group = soon(bruno.create_group("Autre", Default::default())).await.unwrap();
    let other = hub.folder_of("export of bruno");
    soon(bruno.export(group, &other, PATIENCE)).await.unwrap();
    let read = |folder: &Path| -> serde_json::Value {
        serde_json::from_slice(&fs::read(folder.join("signature.json")).unwrap()).unwrap()
    };
    let (annes, brunos) = (read(&folder), read(&other));
    let mut forged: cercle_sdk::export::Signed = serde_json::from_value(annes).unwrap();
    forged.signature = brunos["signature"].as_str().unwrap().to_owned();
    fs::write(folder.join("signature.json"), forged.encode().unwrap()).unwrap();
    let faults = verify(&folder, None).unwrap_err();
    assert_eq!(faults, [ExportFault::Signature(SignatureFault::Signature)]);
    assert_eq!(fs::read(folder.join("manifest.json")).unwrap(), manifest);
    anne.close().await;
    bruno.close().await;
}
