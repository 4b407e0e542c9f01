//! A hub on a faulty disk, devices and the network between them; time by hand.
//!
//! Nothing here runs by itself. The runtime has one thread and a clock that stands; [`Sim::settle`] lets the hub
//! work until it waits, so that what happens depends on the seed and not on how fast the machine is.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use cercle_proto::{id::GroupId, v1::server_frame::Body};
use cercle_sdk::core::{Command, Input};
use cercle_server::{
    clock::Clock,
    session::actor::{self, Services},
};
use cercle_storage::engine::{DiskFault, FaultyDisk, JournalPlace};
use tempfile::TempDir;

use super::{
    disk::Disk,
    ledger::Ledger,
    line::{FRAMES_UNDER_WAY_MAX, Line},
    node::{Node, Stop},
};
use crate::{
    core_world::{HubKeys, World, invitation, services},
    numbers::Numbers,
};

/// Devices in the group from the beginning; one more is invited on the way.
pub(super) const FOUNDERS: usize = 4;
const NODES: usize = FOUNDERS + 1;
/// Frames that a device sends without an answer: what may be under way in its groups, and duties.
const FRAMES_FROM_DEVICE_MAX: usize = 500;
/// Longest step of time while everything waits.
const STEP_MAX_MS: u64 = 20_000;

/// What every simulation starts with: made once, copied for each.
pub(super) struct Start {
    disk: FaultyDisk,
    folder: TempDir,
    keys: HubKeys,
    time: u64,
    group: GroupId,
}

/// A folder in memory where there is one: devices sync with every step.
pub(super) fn fast_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.unwrap()
}

fn store_of(folder: &Path, number: usize) -> std::path::PathBuf {
    folder.join(format!("{number}.db"))
}

impl Start {
    pub(super) fn get() -> &'static Self {
        static START: OnceLock<Start> = OnceLock::new();
        START.get_or_init(|| super::runtime().block_on(Self::make()))
    }

    async fn make() -> Self {
        let time = Clock::system().now();
        let folder = fast_folder();
        let (disk, keys) = (FaultyDisk::new(0), HubKeys::new(time));
        let mut sim = Sim::over(Disk::pages(disk.clone()), &keys, time, 0);
        for number in 0..NODES {
            let mut node = Node::new(number, folder.path());
            node.open(0);
            let hub = sim.hub.as_ref().unwrap();
            let invitation = invitation(hub, &name(number), time).await;
            node.core.as_mut().unwrap().begin_enrolment(&invitation).unwrap();
            sim.nodes.push(node);
            sim.quiet(|sim| sim.nodes[number].published).await;
        }
        let create = Command::CreateGroup { profile: "A".into(), policy: Default::default() };
        sim.command(0, create);
        sim.quiet(|sim| sim.nodes[0].joined).await;
        let group = sim.nodes[0].core.as_mut().unwrap().groups().unwrap()[0].group;
        // One after the other, so that leaves do not depend on ids.
        for number in 1..FOUNDERS {
            let users = vec![World::user(&name(number))];
            sim.command(0, Command::Invite { group, users });
            sim.quiet(|sim| sim.nodes[number].joined && sim.agreed(group, number + 1)).await;
        }
        let time = sim.clock.now();
        drop(sim);
        Self { disk, folder, keys, time, group }
    }
}

pub(super) fn name(number: usize) -> String {
    format!("user{number}")
}

/// One run.
pub(super) struct Sim<'a> {
    pub(super) numbers: Numbers,
    pub(super) clock: Clock,
    pub(super) nodes: Vec<Node>,
    pub(super) ledger: Ledger,
    pub(super) group: Option<GroupId>,
    /// What happened, in a word each.
    pub(super) trace: Vec<String>,
    pub(super) hub: Option<Services>,
    /// The most of everything that anybody held at any time.
    pub(super) most: Most,
    disk: Disk,
    keys: &'a HubKeys,
    folder: TempDir,
    commands: u64,
    pub(super) restarts: usize,
}

impl Drop for Sim<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("CERCLE_TRACE").is_some() {
            eprintln!("{}", self.trace.join("\n"));
        }
    }
}

impl<'a> Sim<'a> {
    fn over(disk: Disk, keys: &'a HubKeys, time: u64, seed: u64) -> Self {
        let mut sim = Self {
            numbers: Numbers(seed),
            clock: Clock::manual(time),
            nodes: Vec::new(),
            ledger: Ledger::default(),
            group: None,
            trace: Vec::new(),
            hub: None,
            most: Most::default(),
            disk,
            keys,
            folder: fast_folder(),
            commands: 0,
            restarts: 0,
        };
        sim.start_hub();
        sim
    }

    /// A run from the common start.
    pub(super) fn new(start: &'static Start, seed: u64) -> Sim<'static> {
        let mut sim = Sim::over(Disk::of_seed(&start.disk, seed), &start.keys, start.time, seed);
        for number in 0..NODES {
            std::fs::copy(store_of(start.folder.path(), number), store_of(sim.folder.path(), number))
                .unwrap();
            let mut node = Node::new(number, sim.folder.path());
            node.open(seed);
            node.joined = number < FOUNDERS;
            node.published = true;
            sim.nodes.push(node);
        }
        sim.group = Some(start.group);
        sim
    }

    pub(super) fn note(&mut self, what: impl Into<String>) {
        self.trace.push(what.into());
    }

    // --- the hub

    pub(super) fn start_hub(&mut self) {
        if self.hub.is_some() {
            return;
        }
        // A disk that fails already at the start is one that loses its power once more.
        let store = self.disk.open().or_else(|_| {
            self.disk.lose_power();
            self.disk.open()
        });
        let store = store.expect("what was durable opens after any loss of power");
        self.most.note("restarts of the hub", self.restarts);
        self.hub = Some(services(Arc::new(store), self.keys, &self.clock, self.folder.path()));
        self.restarts += 1;
    }

    /// Kills the hub and takes its power away.
    pub(super) async fn kill_hub(&mut self) {
        let Some(hub) = self.hub.take() else { return };
        hub.aborts.abort();
        self.disk.lose_power();
        drop(hub);
        self.settle().await;
        let now = self.clock.now();
        for node in &mut self.nodes {
            if node.line.take().is_some() {
                node.handle(Input::Disconnected, now);
            }
        }
    }

    pub(super) fn disk_fails_after(&self, operations: usize, fault: DiskFault, pick: u64) {
        self.disk.fail_after(operations as u64, fault, pick);
    }

    /// How many operations of the journal have failed, by the kind of file.
    pub(super) fn faults_met(&self) -> BTreeMap<JournalPlace, u64> {
        self.disk.met()
    }

    /// Nobody holds more of anything than its bound; and of what passes nothing is left when all is at rest.
    pub(super) fn check_held(&mut self, at_rest: bool) {
        self.disk.check_held(at_rest);
        if let Some(hub) = &self.hub {
            for held in cercle_server::holdings::holdings(&hub.dispatch) {
                assert!(held.count <= held.max, "the hub: {held:?}");
                self.most.note(held.what, held.count);
            }
        }
        for node in &mut self.nodes {
            for held in node.core.iter().flat_map(|core| core.held().unwrap()) {
                assert!(held.count <= held.max, "device {}: {held:?}", node.number);
                assert!(!at_rest || !held.passes || held.count == 0, "device {}: {held:?}", node.number);
                self.most.note(held.what, held.count);
            }
            if let Some(line) = &node.line {
                assert!(line.up.len() <= FRAMES_FROM_DEVICE_MAX, "a device sends without end");
                assert!(line.down.len() <= FRAMES_UNDER_WAY_MAX, "more is under way than there is room for");
            }
        }
    }

    /// Lets the hub work until it waits for somebody.
    pub(super) async fn settle(&mut self) {
        for _ in 0..3 {
            // The clock of the runtime stands: this returns when every task waits.
            tokio::time::sleep(Duration::from_millis(1)).await;
            let mut taken = 0;
            for number in 0..self.nodes.len() {
                let Some(line) = &mut self.nodes[number].line else { continue };
                let frames = line.take_from_hub();
                taken += frames.len();
                for frame in &frames {
                    self.ledger.hear(frame);
                }
                for frame in &frames {
                    self.note(format!("{number}<{}", kind_of(frame)));
                }
            }
            if taken == 0 {
                break;
            }
        }
    }

    /// A hub whose store has failed ends its process; somebody starts it again.
    pub(super) async fn supervise(&mut self) {
        if self.hub.as_ref().is_some_and(|hub| !hub.store.is_healthy()) {
            self.note("hub fails");
            self.kill_hub().await;
            self.start_hub();
        }
    }

    // --- devices

    /// Connects a device that is not.
    pub(super) fn connect(&mut self, number: usize) {
        let (Some(hub), node) = (&self.hub, &mut self.nodes[number]) else { return };
        if node.core.is_none() || node.line.is_some() || node.cut_off {
            return;
        }
        let (line, end) = Line::new();
        tokio::spawn(actor::run(end, Arc::new(hub.clone()), None));
        node.line = Some(line);
        node.handle(Input::Connected, self.clock.now());
        self.note(format!("{number} connects"));
    }

    /// Ends the connection of a device; what was under way is lost.
    pub(super) fn cut(&mut self, number: usize) {
        if self.nodes[number].line.take().is_some() {
            let now = self.clock.now();
            self.nodes[number].handle(Input::Disconnected, now);
        }
    }

    pub(super) fn command(&mut self, number: usize, command: Command) -> bool {
        if self.nodes[number].core.is_none() {
            return false;
        }
        self.commands += 1;
        let (id, now) = (self.commands, self.clock.now());
        let finished = self.nodes[number].handle(Input::Command { id, command }, now);
        finished.contains(&id)
    }

    /// Lets a device take what has come, at most so many frames.
    pub(super) fn take(&mut self, number: usize, frames: usize) -> bool {
        let now = self.clock.now();
        let mut moved = false;
        for _ in 0..frames {
            if self.nodes[number].cut_off || !self.nodes[number].take_frame(now) {
                break;
            }
            self.note(format!("{number} takes"));
            moved = true;
        }
        if self.nodes[number].line.as_ref().is_some_and(Line::is_over) {
            self.cut(number);
        }
        moved
    }

    /// Lets frames of a device reach the hub, at most so many.
    pub(super) fn give(&mut self, number: usize, frames: usize) -> bool {
        let mut moved = false;
        for _ in 0..frames {
            let node = &mut self.nodes[number];
            let kind = node.line.as_ref().and_then(|line| line.up.front()).map(sent_kind);
            let given = !node.cut_off && node.line.as_mut().is_some_and(Line::deliver_up);
            if !given {
                break;
            }
            self.note(format!("{number}>{}", kind.unwrap_or_default()));
            moved = true;
        }
        moved
    }

    pub(super) fn crash(&mut self, number: usize, stop: Option<Stop>) {
        match stop {
            Some(_) => self.nodes[number].stop = stop,
            None => {
                self.nodes[number].crash();
                self.nodes[number].reopen();
            }
        }
    }

    pub(super) fn reopen_stopped(&mut self) {
        for node in &mut self.nodes {
            if node.core.is_none() {
                node.reopen();
            }
        }
    }

    /// Moves the time of all and lets devices do what is due.
    pub(super) fn pass(&mut self, ms: u64) {
        self.clock.advance(ms);
        let now = self.clock.now();
        for node in &mut self.nodes {
            node.handle(Input::Tick, now);
        }
        self.reopen_stopped();
    }

    fn pass_to_next_wake(&mut self) {
        let now = self.clock.now();
        let wakes = self.nodes.iter().filter_map(|node| {
            let wake = node.core.as_ref()?.next_wake()?;
            Some(wake.saturating_sub(node.time(now)))
        });
        let next = wakes.filter(|wait| *wait > 0).min().unwrap_or(STEP_MAX_MS).min(STEP_MAX_MS);
        self.pass(next);
    }

    /// Whether the first so many devices agree on a group and have nothing to send.
    pub(super) fn agreed(&mut self, group: GroupId, devices: usize) -> bool {
        let mut standings = self.nodes[..devices].iter_mut().map(|node| node.standing(group));
        let Some(Some(first)) = standings.next() else { return false };
        standings.all(|other| other.as_ref() == Some(&first))
    }

    /// Whether nobody has anything under way.
    pub(super) fn rests(&mut self) -> bool {
        self.nodes
            .iter()
            .flat_map(|node| node.core.iter())
            .all(|core| core.held().unwrap().iter().all(|held| !held.passes || held.count == 0))
    }

    /// Everything works, until the condition holds.
    pub(super) async fn quiet(&mut self, condition: impl Fn(&mut Self) -> bool) {
        for _ in 0..2_000 {
            let mut moved = false;
            for number in 0..self.nodes.len() {
                self.connect(number);
                moved |= self.give(number, usize::MAX);
            }
            self.settle().await;
            self.supervise().await;
            for number in 0..self.nodes.len() {
                moved |= self.take(number, usize::MAX);
            }
            self.reopen_stopped();
            if condition(self) {
                return;
            }
            if !moved {
                self.pass_to_next_wake();
            }
        }
        for node in &mut self.nodes {
            let standing = self.group.and_then(|group| node.standing(group));
            let groups = node.core.as_mut().map(|core| core.groups().unwrap());
            let waiting = node.core.as_ref().map(|core| core.outbox().unwrap().len());
            eprintln!("{}: {standing:?} {groups:?} outbox {waiting:?} {:?}", node.number, node.suffered);
        }
        panic!("it does not come to rest");
    }
}

/// The most of everything that was counted.
#[derive(Debug, Default, Clone)]
pub(super) struct Most(pub(super) BTreeMap<&'static str, usize>);

impl Most {
    fn note(&mut self, what: &'static str, count: usize) {
        let most = self.0.entry(what).or_default();
        *most = count.max(*most);
    }

    /// Of two runs.
    pub(super) fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            self.note(what, *count);
        }
    }
}

/// What a frame of the hub is, in a word.
fn kind_of(bytes: &bytes::Bytes) -> String {
    let body = cercle_proto::frame::decode_server(bytes.clone()).unwrap().body.unwrap();
    match body {
        Body::Error(error) => format!("Error {}", error.code),
        Body::Accepted(accepted) => format!("Accepted {}", accepted.seq),
        body => first_word(&format!("{body:?}")),
    }
}

/// Whether a frame of a device is a message.
pub(super) fn is_message(bytes: &bytes::Bytes) -> bool {
    sent_kind(bytes) == "SendApplication"
}

/// What a frame of a device is, in a word.
fn sent_kind(bytes: &bytes::Bytes) -> String {
    let body = cercle_proto::frame::decode_client(bytes.clone()).ok().and_then(|frame| frame.body);
    first_word(&format!("{body:?}").replace("Some(", ""))
}

fn first_word(shown: &str) -> String {
    shown.split(['(', ' ']).next().unwrap_or_default().to_owned()
}
