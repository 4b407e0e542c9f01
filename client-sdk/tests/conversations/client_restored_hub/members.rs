//! Who takes part in a drill, and how long it takes until all of them have the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use cercle_proto::{id::GroupId, v1::Role};
use cercle_sdk::{
    client::{Client, Notice, now_ms},
    event::{Event, GapReason},
};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::{
    client_world::{Hub, soon, texts},
    link::Link,
};

/// Longest time in which nothing changes on any device and all is well: after a restore devices are silent for a
/// while so that others can come back, and then while earlier messages are said.
const STALLED: Duration = Duration::from_secs(120);

pub(super) struct Member {
    pub(super) client: Client,
    pub(super) name: String,
    /// What happened to its groups since the hub was restored, for whoever reads why a drill failed.
    story: Arc<Mutex<Vec<String>>>,
    /// Gaps and other signs of something lost.
    pub(super) losses: tokio::task::JoinHandle<Vec<String>>,
}

/// Listens for everything that would be a loss.
fn listen(client: &Client, story: Arc<Mutex<Vec<String>>>) -> tokio::task::JoinHandle<Vec<String>> {
    let mut events = client.events();
    tokio::spawn(async move {
        let mut losses = Vec::new();
        while let Some(notice) = events.next().await {
            let Notice::Event(event) = notice else { continue };
            match &event {
                Event::Gap { skipped, reason, .. } if *reason != GapReason::HubRestored => {
                    losses.push(format!("{skipped} entries lost: {reason:?}"));
                }
                Event::Recovering { reason, .. } if *reason != GapReason::HubRestored => {
                    losses.push(format!("out of a group: {reason:?}"));
                }
                Event::GroupLeft { .. } => losses.push("left a group".to_owned()),
                Event::MessageRefused { reason, .. } => losses.push(format!("{reason:?}")),
                _ => {}
            }
            let told = match event {
                Event::Gap { skipped, .. } => format!("gap of {skipped}"),
                Event::Recovering { .. } => "out".to_owned(),
                Event::Recovered { .. } => "back".to_owned(),
                Event::GroupJoined { .. } => "joined".to_owned(),
                _ => continue,
            };
            story.lock().unwrap().push(format!("{} {told}", now_ms() / 1_000 % 10_000));
        }
        losses
    })
}

impl Member {
    /// How far it is in a group: epoch and cursor.
    async fn place(&self, group: GroupId) -> Option<(u64, u64)> {
        let groups = self.client.groups().await.unwrap();
        let found = groups.iter().find(|found| found.group == group)?;
        Some((found.epoch, found.cursor))
    }

    /// How its groups stand, in a line.
    async fn standing(&self) -> String {
        let groups = self.client.groups().await.unwrap();
        let groups = groups.iter().map(|group| (group.state, group.epoch, group.cursor));
        let groups: Vec<_> = groups.collect();
        let waits = self.client.outbox().await.unwrap().len();
        format!("{}: {groups:?}, {waits} to send, {:?}", self.name, self.story.lock().unwrap())
    }
}

pub(super) async fn enrol(hub: &Hub, link: &Link, name: &str) -> Member {
    enrol_as(hub, link, name, Vec::new()).await
}

pub(super) async fn enrol_as(hub: &Hub, link: &Link, name: &str, roles: Vec<Role>) -> Member {
    let client = hub.enrol_as(name, roles, &link.address).await;
    let story = Arc::<Mutex<Vec<String>>>::default();
    Member { losses: listen(&client, Arc::clone(&story)), story, client, name: name.to_owned() }
}

/// Waits until every client has the same texts in a group, each once, and these are among them. One client is
/// asked after the other: to ask fifty for everything at once would be most of the work that they have.
pub(super) async fn all_agree(
    members: &[&Member],
    group: GroupId,
    expected: &BTreeSet<String>,
) -> Vec<String> {
    let mut known: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let mut places = Vec::new();
    let mut changed_at = Instant::now();
    loop {
        let now_at = join_all(members.iter().map(|member| member.place(group))).await;
        if now_at != places {
            (changed_at, places) = (Instant::now(), now_at);
        }
        let mut first: Option<Vec<String>> = None;
        let mut differs = None;
        for (number, member) in members.iter().enumerate() {
            let texts = texts(&member.client, group).await;
            if known.get(&number) != Some(&texts) {
                changed_at = Instant::now();
                known.insert(number, texts.clone());
            }
            let has: BTreeSet<&String> = texts.iter().collect();
            let missing = expected.iter().filter(|text| !has.contains(text)).count();
            if missing > 0 || first.as_ref().is_some_and(|first| *first != texts) {
                differs = Some((number, missing));
                break;
            }
            first.get_or_insert(texts);
        }
        let Some((number, missing)) = differs else {
            let first = first.unwrap_or_default();
            assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), first.len(), "each once");
            return first;
        };
        if changed_at.elapsed() > STALLED {
            for member in members {
                eprintln!(
                    "{} with {} texts",
                    member.standing().await,
                    texts(&member.client, group).await.len()
                );
            }
            panic!("{} misses {missing} of {} texts", members[number].name, expected.len());
        }
        // Nothing tells of all clients at once, so they are asked again after a moment.
        sleep(Duration::from_millis(300)).await;
    }
}

pub(super) async fn all_sent(members: &[&Member]) {
    for member in members {
        soon(async {
            while !member.client.outbox().await.unwrap().is_empty() {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }
}
