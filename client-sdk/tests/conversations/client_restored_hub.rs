//! The drill: a hub under load, a backup, an hour of work, the disk gone, the backup restored on another
//! machine, and everybody at work again with nothing lost.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use cercle_proto::id::GroupId;
use cercle_sdk::{
    client::{Client, Notice},
    core::{GroupState, PolicyTemplate},
    event::{Event, GapReason},
};
use cercle_server::{
    admin::{self, Command},
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

/// What the drill is about: members, their groups, and what each group must have in the end.
struct Drill {
    hub: Hub,
    link: Link,
    members: Vec<Member>,
    /// Enrolled after the backup.
    late: Option<Member>,
    all: GroupId,
    half: GroupId,
    in_all: BTreeSet<String>,
    in_half: BTreeSet<String>,
}

impl Drill {
    /// A hub with clients, one group of everybody and one of the first half.
    async fn prepare(count: usize) -> Self {
        let hub = Hub::start().await;
        let link = Link::to(hub.address().await).await;
        let mut members = Vec::new();
        for number in 0..count {
            members.push(enrol(&hub, &link, &format!("user{number}")).await);
        }
        let first = &members[0].client;
        let all = soon(first.create_group("Tous", PolicyTemplate::Conversation)).await.unwrap();
        let half = soon(first.create_group("Secteur", PolicyTemplate::Conversation)).await.unwrap();
        let users = |members: &[Member]| members[1..].iter().map(|member| user(&member.name)).collect();
        soon(first.invite(all, users(&members))).await.unwrap();
        soon(first.invite(half, users(&members[..count / 2]))).await.unwrap();
        let (in_all, in_half) = (BTreeSet::new(), BTreeSet::new());
        Self { hub, link, members, late: None, all, half, in_all, in_half }
    }

    /// Every member says something in the group of everybody.
    async fn everybody_says(&mut self, what: &str) {
        for member in &self.members {
            let text = format!("{} {what}", member.name);
            soon(member.client.send(self.all, &text)).await.unwrap();
            self.in_all.insert(text);
        }
    }

    /// The half says something in its group.
    async fn half_says(&mut self, what: &str) {
        for member in &self.members[..self.members.len() / 2] {
            let text = format!("{} {what}", member.name);
            soon(member.client.send(self.half, &text)).await.unwrap();
            self.in_half.insert(text);
        }
    }

    /// Waits until everybody has everything, once and in one order.
    async fn agree(&self) {
        let everybody: Vec<&Member> = self.members.iter().collect();
        let texts = all_agree(&everybody, self.all, &self.in_all).await;
        assert_eq!(texts.len(), self.in_all.len(), "each once");
        let texts = all_agree(&everybody[..everybody.len() / 2], self.half, &self.in_half).await;
        assert_eq!(texts.len(), self.in_half.len(), "each once");
        all_sent(&everybody).await;
    }

    /// A backup over the operator's socket while messages are on their way.
    async fn back_up_under_load(&mut self, repository: &Path, secret: &SecretKey) {
        let socket = Config::load(self.hub.config(), []).unwrap().admin_socket;
        let recipient = Some(secret.public().unwrap().to_string());
        let command = Command::Backup { repository: repository.to_owned(), recipient };
        let backing = tokio::spawn(async move { admin::client::send(&socket, &command).await });
        self.everybody_says("meanwhile").await;
        backing.await.unwrap().unwrap();
        backup::verify(&Repository::open(repository).unwrap(), None, Some(secret)).unwrap();
    }

    /// The machine is lost; its successor starts from the backup, at another port behind the same name.
    async fn lose_the_machine(&mut self, repository: &Path, secret: &SecretKey) {
        self.hub.stop().await;
        let opened = Repository::open(repository).unwrap();
        let now = Clock::system().now();
        let refused = backup::restore(&opened, None, &self.hub.folder().join("x"), None, None, now).await;
        assert!(matches!(refused, Err(backup::BackupError::KeyNeeded)));
        let data = self.hub.folder().join("successor");
        backup::restore(&opened, None, &data, Some(secret), None, now).await.unwrap();
        self.hub.move_to(&data).await;
        self.link.lead_to(self.hub.listening().to_string());
    }

    /// Ends every client: all are in all their groups, and none was told of a loss.
    async fn end(self) {
        for member in self.members.into_iter().chain(self.late) {
            for group in member.client.groups().await.unwrap() {
                assert_eq!(group.state, GroupState::Active, "{}", member.name);
            }
            soon(member.client.close()).await;
            assert_eq!(soon(member.losses).await.unwrap(), Vec::<String>::new(), "{}", member.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_restored_from_an_old_copy_gets_everything_back_from_its_clients() {
    let mut drill = Drill::prepare(clients_wanted()).await;
    drill.everybody_says("before").await;
    drill.agree().await;
    let secret = SecretKey::generate().unwrap();
    let repository = drill.hub.folder().join("backups");
    drill.back_up_under_load(&repository, &secret).await;

    // What the copy does not know: changed keys, messages, a new member, a new group.
    soon(drill.members[1].client.update_keys(drill.half)).await.unwrap();
    drill.half_says("in half").await;
    drill.everybody_says("after").await;
    let late = enrol(&drill.hub, &drill.link, "late").await;
    let first = &drill.members[0].client;
    let fresh = soon(first.create_group("Nouveau", PolicyTemplate::Conversation)).await.unwrap();
    soon(first.invite(fresh, vec![user("late"), user("user1")])).await.unwrap();
    soon(first.send(fresh, "new group")).await.unwrap();
    let mut in_fresh: BTreeSet<String> = ["new group".to_owned()].into();
    all_agree(&[&drill.members[0], &drill.members[1], &late], fresh, &in_fresh).await;
    drill.agree().await;

    drill.lose_the_machine(&repository, &secret).await;
    drill.everybody_says("again").await;
    drill.agree().await;
    let of_fresh = [&drill.members[0], &drill.members[1], &late];
    all_agree(&of_fresh, fresh, &in_fresh).await;
    soon(late.client.send(fresh, "late speaks")).await.unwrap();
    in_fresh.insert("late speaks".to_owned());
    assert_eq!(all_agree(&of_fresh, fresh, &in_fresh).await.len(), 2, "each once");
    drill.late = Some(late);
    drill.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_and_keys_are_in_the_backup_and_the_second_one_copies_what_is_new() {
    let mut hub = Hub::start().await;
    let link = Link::to(hub.address().await).await;
    let (anne, bruno) = (enrol(&hub, &link, "anne").await, enrol(&hub, &link, "bruno").await);
    let group = super::client_world::pair(&anne.client, &bruno.client).await;
    let repository = hub.folder().join("backups");
    let config = Config::load(hub.config(), []).unwrap();
    let make = || Command::Backup { repository: repository.clone(), recipient: None };
    let first = admin::client::send(&config.admin_socket, &make()).await.unwrap();
    soon(anne.client.send(group, "one more")).await.unwrap();
    all_agree(&[&anne, &bruno], group, &["one more".to_owned()].into()).await;
    let second = admin::client::send(&config.admin_socket, &make()).await.unwrap();
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
    let refused = backup::restore(&opened, None, &data, None, None, Clock::system().now()).await;
    assert!(matches!(refused, Err(backup::BackupError::Damaged(_))));
    assert!(!data.exists(), "an attempt that failed leaves nothing");
    std::fs::write(&file, &whole).unwrap();
    backup::verify(&opened, None, None).unwrap();
    hub.stop().await;
    backup::restore(&opened, None, &data, None, None, Clock::system().now()).await.unwrap();
    hub.move_to(&data).await;
    link.lead_to(hub.listening().to_string());
    soon(bruno.client.send(group, "merci")).await.unwrap();
    all_agree(&[&anne, &bruno], group, &["one more".to_owned(), "merci".to_owned()].into()).await;
}
