//! The drill: a hub under load, a backup, an hour of work, the disk gone, the backup restored on another
//! machine, and everybody at work again with nothing lost.

use std::{collections::BTreeSet, sync::Arc};

use cercle_proto::id::GroupId;
use cercle_sdk::{
    client::{Client, Notice},
    core::{GroupState, PolicyTemplate},
    event::{Event, GapReason},
};
use cercle_server::{
    backup::{self, Repository, SecretKey},
    clock::Clock,
    config::Config,
};

use super::{
    client_world::{Hub, soon, texts, user},
    link::Link,
};

/// Clients of the drill; more on request, for a quiet machine.
fn clients_wanted() -> usize {
    std::env::var("CERCLE_DRILL_CLIENTS").ok().and_then(|count| count.parse().ok()).unwrap_or(8)
}

struct Member {
    client: Client,
    name: String,
    /// Gaps and other signs of something lost.
    losses: tokio::task::JoinHandle<Vec<String>>,
}

/// Listens for everything that would be a loss.
fn listen(client: &Client) -> tokio::task::JoinHandle<Vec<String>> {
    let mut events = client.events();
    tokio::spawn(async move {
        let mut losses = Vec::new();
        while let Some(notice) = events.next().await {
            match notice {
                Notice::Event(Event::Gap { skipped, reason, .. }) if reason != GapReason::HubRestored => {
                    losses.push(format!("{skipped} entries lost: {reason:?}"));
                }
                Notice::Event(Event::GroupLeft { .. }) => losses.push("left a group".to_owned()),
                Notice::Event(Event::MessageRefused { reason, .. }) => losses.push(format!("{reason:?}")),
                _ => {}
            }
        }
        losses
    })
}

async fn enrol(hub: &Hub, link: &Link, name: &str) -> Member {
    let client = hub.enrol_through(name, &link.address).await;
    Member { losses: listen(&client), client, name: name.to_owned() }
}

/// Waits until every client has the same texts in a group, and these are among them.
async fn all_agree(members: &[&Member], group: GroupId, expected: &BTreeSet<String>) -> Vec<String> {
    let mut last = Vec::new();
    for _ in 0..2_400 {
        last.clear();
        for member in members {
            last.push(texts(&member.client, group).await);
        }
        let complete = expected.iter().all(|text| last[0].contains(text));
        if complete && last.iter().all(|other| *other == last[0]) {
            return last.swap_remove(0);
        }
        // Nothing tells of all clients at once, so they are asked again after a moment.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let sizes: Vec<_> = last.iter().map(Vec::len).collect();
    let missing: Vec<Vec<&String>> =
        last.iter().map(|has| expected.iter().filter(|text| !has.contains(text)).collect()).collect();
    panic!("the devices do not agree: {sizes:?} of {}, missing {missing:?}", expected.len());
}

async fn all_sent(members: &[&Member]) {
    for member in members {
        soon(async {
            while !member.client.outbox().await.unwrap().is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_restored_from_an_old_copy_gets_everything_back_from_its_clients() {
    let mut hub = Hub::start().await;
    let link = Link::to(hub.address().await).await;
    let count = clients_wanted();
    let mut members = Vec::new();
    for number in 0..count {
        members.push(enrol(&hub, &link, &format!("user{number}")).await);
    }
    // One group of everybody, and one of the first half.
    let first = &members[0].client;
    let all = soon(first.create_group("Tous", PolicyTemplate::Conversation)).await.unwrap();
    let half = soon(first.create_group("Secteur", PolicyTemplate::Conversation)).await.unwrap();
    let users = |members: &[Member]| members[1..].iter().map(|member| user(&member.name)).collect::<Vec<_>>();
    soon(first.invite(all, users(&members))).await.unwrap();
    soon(first.invite(half, users(&members[..count / 2]))).await.unwrap();
    let mut said: BTreeSet<String> = BTreeSet::new();
    for member in &members {
        let text = format!("{} before", member.name);
        soon(member.client.send(all, &text)).await.unwrap();
        said.insert(text);
    }
    let everybody: Vec<&Member> = members.iter().collect();
    let some: Vec<&Member> = members[..count / 2].iter().collect();
    all_agree(&everybody, all, &said).await;

    // The backup is taken while messages are on their way, sealed to a key that the hub does not have.
    let secret = SecretKey::generate().unwrap();
    let repository = hub.folder().join("backups");
    let config = Config::load(hub.config(), []).unwrap();
    let socket = config.admin_socket.clone();
    let command = cercle_server::admin::Command::Backup {
        repository: repository.clone(),
        recipient: Some(secret.public().unwrap().to_string()),
    };
    let backing = tokio::spawn(async move { cercle_server::admin::client::send(&socket, &command).await });
    for member in &members {
        let text = format!("{} meanwhile", member.name);
        soon(member.client.send(all, &text)).await.unwrap();
        said.insert(text);
    }
    backing.await.unwrap().unwrap();
    backup::verify(&Repository::open(&repository).unwrap(), None, Some(&secret)).unwrap();

    // What the copy will not know: messages, changed keys, a new member, a new group.
    soon(members[1].client.update_keys(half)).await.unwrap();
    let mut in_half: BTreeSet<String> = BTreeSet::new();
    for member in &some {
        let text = format!("{} in half", member.name);
        soon(member.client.send(half, &text)).await.unwrap();
        in_half.insert(text);
    }
    for member in &members {
        let text = format!("{} after", member.name);
        soon(member.client.send(all, &text)).await.unwrap();
        said.insert(text);
    }
    let late = enrol(&hub, &link, "late").await;
    let fresh = soon(members[0].client.create_group("Nouveau", PolicyTemplate::Conversation)).await.unwrap();
    soon(members[0].client.invite(fresh, vec![user("late"), user("user1")])).await.unwrap();
    soon(members[0].client.send(fresh, "new group")).await.unwrap();
    let in_fresh: BTreeSet<String> = ["new group".to_owned()].into();
    let of_fresh = [&members[0], &members[1], &late];
    all_agree(&everybody, all, &said).await;
    all_agree(&some, half, &in_half).await;
    all_agree(&of_fresh, fresh, &in_fresh).await;
    all_sent(&everybody).await;

    // The machine is lost. Its successor starts from the backup, at another port behind the same name.
    hub.stop().await;
    let opened = Repository::open(&repository).unwrap();
    let refused = backup::restore(&opened, None, &hub.folder().join("x"), None, Clock::system().now()).await;
    assert!(matches!(refused, Err(backup::BackupError::KeyNeeded)));
    let data = hub.folder().join("successor");
    backup::restore(&opened, None, &data, Some(&secret), Clock::system().now()).await.unwrap();
    hub.move_to(&data).await;
    link.lead_to(hub.listening().to_string());

    // Everybody says something at once, and has everything in the end.
    for member in members.iter().chain([&late]) {
        if member.name != "late" {
            let text = format!("{} again", member.name);
            soon(member.client.send(all, &text)).await.unwrap();
            said.insert(text);
        }
    }
    all_agree(&everybody, all, &said).await;
    all_agree(&some, half, &in_half).await;
    all_agree(&of_fresh, fresh, &in_fresh).await;
    soon(late.client.send(fresh, "late speaks")).await.unwrap();
    let in_fresh = ["new group".to_owned(), "late speaks".to_owned()].into();
    let texts = all_agree(&of_fresh, fresh, &in_fresh).await;
    assert_eq!(texts.len(), 2, "each once");
    let texts = all_agree(&everybody, all, &said).await;
    assert_eq!(texts.len(), said.len(), "each once");
    for member in members.into_iter().chain([late]) {
        for group in member.client.groups().await.unwrap() {
            assert_eq!(group.state, GroupState::Active, "{}", member.name);
        }
        soon(member.client.close()).await;
        assert_eq!(soon(member.losses).await.unwrap(), Vec::<String>::new(), "{}", member.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_and_keys_are_in_the_backup_and_the_second_one_copies_what_is_new() {
    let mut hub = Hub::start().await;
    let link = Link::to(hub.address().await).await;
    let (anne, bruno) = (enrol(&hub, &link, "anne").await, enrol(&hub, &link, "bruno").await);
    let group = super::client_world::pair(&anne.client, &bruno.client).await;
    let repository = hub.folder().join("backups");
    let config = Config::load(hub.config(), []).unwrap();
    let make = || cercle_server::admin::Command::Backup { repository: repository.clone(), recipient: None };
    let first = cercle_server::admin::client::send(&config.admin_socket, &make()).await.unwrap();
    soon(anne.client.send(group, "one more")).await.unwrap();
    all_agree(&[&anne, &bruno], group, &["one more".to_owned()].into()).await;
    let second = cercle_server::admin::client::send(&config.admin_socket, &make()).await.unwrap();
    let bytes = |answer: &serde_json::Value, field: &str| answer[field].as_u64().unwrap();
    assert_eq!(bytes(&first, "bytes"), bytes(&first, "new_bytes"), "the first copies everything");
    assert!(bytes(&second, "new_bytes") < bytes(&second, "bytes"), "{second}");
    let opened = Arc::new(Repository::open(&repository).unwrap());
    assert_eq!(opened.backups().unwrap().len(), 2);
    // What is damaged is named, and not restored.
    let manifest = opened.backups().unwrap().remove(1);
    let chunk = manifest.rows.first().unwrap().clone();
    let file = repository.join("chunks").join(&chunk[..2]).join(&chunk);
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[1..]).unwrap();
    let damaged = backup::verify(&opened, None, None).unwrap_err();
    assert!(damaged.to_string().contains(&chunk), "{damaged}");
    let data = hub.folder().join("successor");
    let refused = backup::restore(&opened, None, &data, None, Clock::system().now()).await;
    assert!(matches!(refused, Err(backup::BackupError::Damaged(_))));
    assert!(!data.exists(), "an attempt that failed leaves nothing");
    std::fs::write(&file, &whole).unwrap();
    backup::verify(&opened, None, None).unwrap();
    hub.stop().await;
    backup::restore(&opened, None, &data, None, Clock::system().now()).await.unwrap();
    hub.move_to(&data).await;
    link.lead_to(hub.listening().to_string());
    soon(bruno.client.send(group, "merci")).await.unwrap();
    all_agree(&[&anne, &bruno], group, &["one more".to_owned(), "merci".to_owned()].into()).await;
}
