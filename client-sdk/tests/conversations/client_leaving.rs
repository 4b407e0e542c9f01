//! Who no longer fits a group that follows the directory: from that moment on the hub gives him nothing new, though
//! nobody is there to remove him; he gets everything if he fits again, and nothing of it once he is removed.

use std::{path::PathBuf, time::Duration};

use cercle_proto::id::GroupId;
use cercle_sdk::{
    client::Client,
    core::{GroupState, PolicyTemplate},
    directory::GroupRule,
};
use cercle_server::directory::{
    entry::{Coded, Entry, Kind},
    operator,
};

use crate::client_world::{Hub, soon, texts, until_text, user};

const NURSE: &str = "60";
const DOCTOR: &str = "10";

/// Says in the directory what somebody is.
fn is(hub: &Hub, name: &str, profession: &str) {
    let mut entry = Entry::new(format!("local:{name}"), Kind::Professional);
    entry.family = name.into();
    entry.professions = vec![Coded::new(profession, "")];
    operator::add(&hub.directory(), entry, vec![user(name).as_str().to_owned()]).unwrap();
}

/// Looks until it is so.
async fn eventually(what: &str, so: impl AsyncFn() -> bool) {
    let looking = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let looked = tokio::time::timeout(Duration::from_secs(120), looking).await;
    assert!(looked.is_ok(), "{what} never comes about");
}

/// Files of users who are given nothing new.
fn withheld(hub: &Hub) -> usize {
    let folders = std::fs::read_dir(hub.directory().join("local/withheld")).into_iter().flatten();
    let files = |folder: PathBuf| std::fs::read_dir(folder).unwrap().count();
    folders.map(|folder| files(folder.unwrap().path())).sum()
}

/// Closes a device's client and opens it again: it has read everything that it may.
async fn again(hub: &Hub, name: &str, client: Client) -> Client {
    client.close().await;
    let client = hub.reopen(name).await;
    soon(client.caught_up()).await.unwrap();
    client
}

async fn is_member(client: &Client, group: GroupId, name: &str) -> bool {
    let members = client.members(group).await.unwrap();
    members.iter().any(|member| member.user == user(name))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_left_by_the_directory_is_given_nothing_new_until_he_is_back_or_removed() {
    let mut hub = Hub::start().await;
    for name in ["anne", "karim", "zoe"] {
        is(&hub, name, NURSE);
    }
    let (anne, karim, zoe) = (hub.enrol("anne").await, hub.enrol("karim").await, hub.enrol("zoe").await);
    let group = soon(anne.create_group("Infirmiers", PolicyTemplate::Conversation)).await.unwrap();
    soon(anne.invite(group, vec![user("karim"), user("zoe")])).await.unwrap();
    for client in [&karim, &zoe] {
        eventually("the welcome", async || {
            let groups = client.groups().await.unwrap();
            groups.iter().any(|known| known.group == group && known.state == GroupState::Active)
        })
        .await;
    }
    let rule = GroupRule { professions: vec![NURSE.into()], ..GroupRule::default() };
    // What is in the directory is known to the hub within seconds; before that nobody fits.
    eventually("the directory", async || {
        let known = async |name| {
            let entry = soon(anne.directory_get(user(name).as_str())).await;
            entry.is_ok_and(|entry| entry.family == name)
        };
        known("zoe").await && known("karim").await
    })
    .await;
    soon(anne.set_group_rule(group, Some(rule))).await.unwrap();
    let mut heard = karim.events();
    soon(zoe.send(group, "avant")).await.unwrap();
    until_text(&mut heard, "avant").await;
    assert_eq!(withheld(&hub), 0, "everybody fits");

    // The only administrator is away; Karim becomes a doctor.
    anne.close().await;
    is(&hub, "karim", DOCTOR);
    eventually("Karim's leaving", async || withheld(&hub) == 1).await;
    soon(zoe.send(group, "sans lui")).await.unwrap();
    eventually("Zoé's message", async || zoe.outbox().await.unwrap().is_empty()).await;
    let karim = again(&hub, "karim", karim).await;
    assert_eq!(texts(&karim, group).await, ["avant"]);
    // A hub that starts again knows it before it serves anybody.
    hub.stop().await;
    hub.resume().await;
    let karim = again(&hub, "karim", karim).await;
    assert_eq!(texts(&karim, group).await, ["avant"]);

    // He is a nurse again before anybody has removed him: nothing was lost, on the session that he has.
    let mut heard = karim.events();
    is(&hub, "karim", NURSE);
    until_text(&mut heard, "sans lui").await;
    eventually("Karim's return", async || withheld(&hub) == 0).await;
    assert_eq!(texts(&karim, group).await, ["avant", "sans lui"]);

    // He leaves for good; the administrator's device comes back and removes him.
    is(&hub, "karim", DOCTOR);
    eventually("Karim's leaving", async || withheld(&hub) == 1).await;
    soon(zoe.caught_up()).await.unwrap();
    soon(zoe.send(group, "plus jamais")).await.unwrap();
    eventually("Zoé's message", async || zoe.outbox().await.unwrap().is_empty()).await;
    let anne = hub.reopen("anne").await;
    eventually("his removal", async || !is_member(&zoe, group, "karim").await).await;
    eventually("the end of it", async || withheld(&hub) == 0).await;
    soon(anne.send(group, "entre nous")).await.unwrap();
    eventually("Anne's message", async || texts(&zoe, group).await.last().unwrap() == "entre nous").await;
    eventually("the end of Karim's group", async || {
        let groups = karim.groups().await.unwrap();
        groups.iter().all(|known| known.group != group || known.state == GroupState::Closed)
    })
    .await;
    let karim = again(&hub, "karim", karim).await;
    assert_eq!(texts(&karim, group).await, ["avant", "sans lui"]);
    assert_eq!(texts(&anne, group).await, ["avant", "sans lui", "plus jamais", "entre nous"]);
}
