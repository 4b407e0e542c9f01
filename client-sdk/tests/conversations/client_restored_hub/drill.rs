//! The drill: a hub under load, a backup, an hour of work, the disk gone, the backup restored on another
//! machine, and everybody at work again with nothing lost.

use std::{collections::BTreeSet, path::Path, time::Duration};

use cercle_proto::{id::GroupId, v1::Role};
use cercle_sdk::{
    client::now_ms,
    core::{GroupState, PolicyTemplate},
};
use cercle_server::{
    admin::{self, Command},
    backup::{self, Repository, SecretKey},
    clock::Clock,
    config::Config,
};
use cercle_storage::EngineKind;
use tokio::task::JoinHandle;

use super::{
    hour::Hour,
    members::{Member, all_agree, all_sent, enrol, enrol_as},
};
use crate::{
    client_world::{Hub, soon, user},
    link::Link,
};

const MINUTE_MS: u64 = 60_000;
/// How far the hub's clock is behind the devices' at first: in the course of the drill it goes an hour further
/// than theirs, and neither may be wrong by more than certificates and key packages allow for.
const BEHIND_MS: u64 = 55 * MINUTE_MS;

/// Clients of the drill; more on request.
fn clients_wanted() -> usize {
    std::env::var("CERCLE_DRILL_CLIENTS").ok().and_then(|count| count.parse().ok()).unwrap_or(8)
}

/// The hub's clock: it goes as the machine's does, and further when it is told to.
struct Hands {
    clock: Clock,
    going: JoinHandle<()>,
}

impl Hands {
    fn behind_by(ms: u64) -> Self {
        let clock = Clock::manual(now_ms() - ms);
        let hands = clock.clone();
        let going = tokio::spawn(async move {
            let mut last = now_ms();
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let now = now_ms();
                hands.advance(now.saturating_sub(last));
                last = now;
            }
        });
        Self { clock, going }
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        self.going.abort();
    }
}

/// What the drill is about: members, their groups, and what each group must have in the end.
pub(super) struct Drill {
    pub(super) hub: Hub,
    pub(super) link: Link,
    hands: Hands,
    started_at: u64,
    pub(super) members: Vec<Member>,
    /// Enrolled after the backup, and in the group of everybody since.
    pub(super) late: Option<Member>,
    pub(super) all: GroupId,
    pub(super) half: GroupId,
    in_all: BTreeSet<String>,
    in_half: BTreeSet<String>,
    /// What was said in the group of everybody since the late one is in it.
    since_late: BTreeSet<String>,
}

impl Drill {
    /// A hub with clients, one group of everybody and one of the first half.
    async fn prepare(count: usize) -> Self {
        let hands = Hands::behind_by(BEHIND_MS);
        let hub = Hub::start_by(hands.clock.clone(), &[]).await;
        let link = Link::to(hub.address().await).await;
        let mut members = vec![enrol_as(&hub, &link, "user0", vec![Role::CrisisPublisher]).await];
        for number in 1..count {
            members.push(enrol(&hub, &link, &format!("user{number}")).await);
        }
        let first = &members[0].client;
        let all = soon(first.create_group("Tous", PolicyTemplate::Conversation)).await.unwrap();
        let half = soon(first.create_group("Secteur", PolicyTemplate::Conversation)).await.unwrap();
        let users = |members: &[Member]| members[1..].iter().map(|member| user(&member.name)).collect();
        soon(first.invite(all, users(&members))).await.unwrap();
        soon(first.invite(half, users(&members[..count / 2]))).await.unwrap();
        Self {
            hub,
            link,
            hands,
            started_at: now_ms(),
            members,
            late: None,
            all,
            half,
            in_all: BTreeSet::new(),
            in_half: BTreeSet::new(),
            since_late: BTreeSet::new(),
        }
    }

    /// Says how long it took up to here.
    pub(super) fn note(&self, what: &str) {
        eprintln!("drill: {what} after {} s", (now_ms() - self.started_at) / 1_000);
    }

    /// A quarter of an hour passes on the hub.
    pub(super) fn quarter_passes(&self) {
        self.hands.clock.advance(15 * MINUTE_MS);
    }

    /// Everybody, the late one too.
    pub(super) fn everybody(&self) -> Vec<&Member> {
        self.members.iter().chain(&self.late).collect()
    }

    /// The half that has a group of its own.
    pub(super) fn of_half(&self) -> &[Member] {
        &self.members[..self.members.len() / 2]
    }

    /// Every member says something in the group of everybody.
    pub(super) async fn everybody_says(&mut self, what: &str) {
        for member in self.members.iter().chain(&self.late) {
            let text = format!("{} {what}", member.name);
            soon(member.client.send(self.all, &text)).await.unwrap();
            if self.late.is_some() {
                self.since_late.insert(text.clone());
            }
            self.in_all.insert(text);
        }
    }

    /// The half says something in its group.
    pub(super) async fn half_says(&mut self, what: &str) {
        for member in &self.members[..self.members.len() / 2] {
            let text = format!("{} {what}", member.name);
            soon(member.client.send(self.half, &text)).await.unwrap();
            self.in_half.insert(text);
        }
    }

    /// Waits until everybody has everything, once and in one order.
    pub(super) async fn agree(&self) {
        let members: Vec<&Member> = self.members.iter().collect();
        let texts = all_agree(&members, self.all, &self.in_all).await;
        assert_eq!(texts.len(), self.in_all.len(), "nothing from nowhere");
        if let Some(late) = &self.late {
            let its = all_agree(&[late], self.all, &self.since_late).await;
            let order = texts.iter().filter(|text| its.contains(text));
            assert!(order.eq(&its), "the late one has another order");
        }
        let half: Vec<&Member> = self.of_half().iter().collect();
        let texts = all_agree(&half, self.half, &self.in_half).await;
        assert_eq!(texts.len(), self.in_half.len(), "nothing from nowhere");
        all_sent(&self.everybody()).await;
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
        let now = self.hands.clock.now();
        let refused = backup::restore(&opened, None, &self.hub.folder().join("x"), None, None, now).await;
        assert!(matches!(refused, Err(backup::BackupError::KeyNeeded)));
        let data = self.hub.folder().join("successor");
        let restored = backup::restore(&opened, None, &data, Some(secret), None, now).await.unwrap();
        let age = now - restored.created_at_ms;
        assert!((60..75).contains(&(age / MINUTE_MS)), "the copy is an hour old: {age} ms");
        self.hub.move_to(&data).await;
        self.link.lead_to(self.hub.listening().to_string());
    }

    /// Ends every client: all are in all their groups, and none was told of a loss.
    async fn end(mut self) {
        let mut devices = Vec::new();
        for member in self.members.into_iter().chain(self.late) {
            for group in member.client.groups().await.unwrap() {
                assert_eq!(group.state, GroupState::Active, "{}", member.name);
            }
            devices.push(member.client.identity().await.unwrap().unwrap().device);
            soon(member.client.close()).await;
            assert_eq!(soon(member.losses).await.unwrap(), Vec::<String>::new(), "{}", member.name);
        }
        self.hub.stop().await;
        // On the disk of the successor: each device's key packages are there again, and not twice.
        let store = self.hub.folder().join("successor").join("store");
        let store = cercle_storage::open(&store, EngineKind::default()).unwrap();
        for device in devices {
            let left = store.left(device).await.unwrap();
            let stock = cercle_sdk::limits::KEY_PACKAGES_STOCK as usize;
            assert!((stock - 2..=stock).contains(&left), "{left} key packages, and the stock is {stock}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_restored_from_an_old_copy_gets_everything_back_from_its_clients() {
    let mut drill = Drill::prepare(clients_wanted()).await;
    drill.everybody_says("before").await;
    drill.agree().await;
    drill.note("all are enrolled and agree");
    let secret = SecretKey::generate().unwrap();
    let repository = drill.hub.folder().join("backups");
    let mut hour = Hour::before_the_copy(&drill).await;
    drill.back_up_under_load(&repository, &secret).await;
    hour.pass(&mut drill).await;
    drill.agree().await;
    drill.note("the hour is over, all agree");

    drill.lose_the_machine(&repository, &secret).await;
    drill.everybody_says("again").await;
    drill.agree().await;
    drill.note("all agree on the restored hub");
    hour.still_holds(&drill).await;
    drill.half_says("at work").await;
    drill.everybody_says("at work").await;
    drill.agree().await;
    drill.note("all work");
    drill.end().await;
}
