//! Random operations, run on an engine and on the model: same verdicts, same state, across reopening.
//!
//! A failing case is shrunk and printed with its seed; `CERCLE_SEED=<seed>` runs the same cases again.
mod blob;

use std::{path::Path, sync::Arc};

use cercle_proto::id::DeviceId;
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};
use ring::rand::{SecureRandom, SystemRandom};

use blob::BlobOp;

use super::sample::{
    NO_LIMIT, application, bytes, commit, device, expire, group, joined, message, new_group, user,
};
use crate::{
    DataKey, Embedded, EngineKind, Model,
    engine::{JournalEngine, JournalSizes, MemoryEngine},
    open_sealed,
    store::{
        Append, AuditEntry, CommitRecord, CreateGroup, DeviceRecord, Effect, Enrolment, InboxBody,
        InvitationRecord, Joined, KeyPackageRecord, Kind, ReadFrom, ReadLimit, Store, Timer, TimerEffects,
        UserRecord, WelcomeRecord,
    },
};

const GROUPS: u64 = 3;
const DEVICES: u64 = 5;
const MESSAGES: u64 = 40;

/// An operation with small numbers in place of ids, so that operations meet each other often.
#[derive(Debug, Clone)]
enum Op {
    Create { group: u64, device: u64, id: u64, restricted: bool },
    Append(Vec<Item>),
    Commit(Commit),
    Acknowledge { device: u64, up_to: Vec<(u64, u64)> },
    NeedsReAdd { group: u64, device: u64, needs: bool },
    Forget { group: u64, device: u64 },
    Notify { devices: Vec<u64> },
    AcknowledgeInbox { device: u64, up_to: u64 },
    Publish { device: u64, generation: u64, packages: Vec<u8>, last_resort: bool },
    Claim { device: u64, id: u8, from: Vec<u64>, now: u64 },
    PutUser { user: u64 },
    Invite { secret: u8, user: u64, expires_at: u64 },
    Enrol { secret: u8, device: u64, user: u64, key: u8, now: u64 },
    SetCertificate { device: u64, at: u64 },
    LastSeen { device: u64, at: u64 },
    Revoke { device: u64, at: u64 },
    Arm { timer: u8, due: u64 },
    Disarm { timer: u8 },
    Fire { now: u64, limit: usize },
    Record { at: u64 },
    Blob(BlobOp),
    Read { after: u64, until: u64, entries: usize, bytes: usize },
    Expire { keep_after: u64, keep_records_after: u64 },
    Reopen,
}

/// An append; `behind` is counted from the group's epoch at that moment, one more means ahead.
#[derive(Debug, Clone)]
struct Item {
    group: u64,
    device: Option<u64>,
    id: u64,
    behind: u64,
    proposal: bool,
    blobs: Vec<u8>,
    at: u64,
}

#[derive(Debug, Clone)]
struct Commit {
    group: u64,
    device: u64,
    external: bool,
    id: u64,
    behind: u64,
    joined: Vec<u64>,
    removed: Vec<u64>,
    may_post: Vec<(u64, bool)>,
    restricted: bool,
    welcome: bool,
    application: Option<u64>,
    blobs: Vec<u8>,
    at: u64,
}

fn operations() -> impl Strategy<Value = Vec<Op>> {
    let blob_operation = blob::operation().prop_map(Op::Blob);
    vec(
        prop_oneof![6 => group_operation(), 2 => device_operation(), 1 => blob_operation, 1 => other_operation()],
        1..90,
    )
}

fn time() -> impl Strategy<Value = u64> {
    0..20_000_u64
}

fn group_operation() -> impl Strategy<Value = Op> {
    let (group, device, id) = (1..=GROUPS, 1..=DEVICES, 1..=MESSAGES);
    let devices = || vec(1..=DEVICES, 0..4);
    let item = (
        group.clone(),
        proptest::option::weighted(0.9, device.clone()),
        id.clone(),
        0..4_u64,
        any::<bool>(),
        blob::references(),
        time(),
    )
        .prop_map(|(group, device, id, behind, proposal, blobs, at)| Item {
            group,
            device,
            id,
            behind,
            proposal,
            blobs,
            at,
        });
    let roster = (devices(), devices(), vec((1..=DEVICES, any::<bool>()), 0..3), any::<bool>());
    let rest = (any::<bool>(), proptest::option::of(id.clone()), blob::references(), time());
    let who = (group.clone(), device.clone(), proptest::bool::weighted(0.2), id.clone(), 0..2_u64);
    let commit = (who, roster, rest).prop_map(|(who, roster, rest)| {
        let (group, device, external, id, behind) = who;
        let (joined, removed, may_post, restricted) = roster;
        let (welcome, application, blobs, at) = rest;
        Op::Commit(Commit {
            group,
            device,
            external,
            id,
            behind,
            joined,
            removed,
            may_post,
            restricted,
            welcome,
            application,
            blobs,
            at,
        })
    });
    prop_oneof![
        2 => (group.clone(), device.clone(), id, any::<bool>())
            .prop_map(|(group, device, id, restricted)| Op::Create { group, device, id, restricted }),
        4 => vec(item, 1..6).prop_map(Op::Append),
        3 => commit,
        2 => (device.clone(), vec((1..=GROUPS, 0..30_u64), 1..3)).prop_map(|(device, up_to)| Op::Acknowledge { device, up_to }),
        1 => (group.clone(), device.clone(), any::<bool>()).prop_map(|(group, device, needs)| Op::NeedsReAdd { group, device, needs }),
        1 => (group, device).prop_map(|(group, device)| Op::Forget { group, device }),
        1 => (0..20_u64, 0..30_u64, 0..9_usize, 0..60_usize)
            .prop_map(|(after, until, entries, bytes)| Op::Read { after, until, entries, bytes }),
        1 => (time(), time()).prop_map(|(keep_after, keep_records_after)| Op::Expire { keep_after, keep_records_after }),
    ]
}

fn device_operation() -> impl Strategy<Value = Op> {
    let device = 1..=DEVICES;
    prop_oneof![
        vec(1..=DEVICES, 0..3).prop_map(|devices| Op::Notify { devices }),
        (device.clone(), 0..9_u64).prop_map(|(device, up_to)| Op::AcknowledgeInbox { device, up_to }),
        (device.clone(), 1..4_u64, vec(1..20_u8, 0..5), any::<bool>()).prop_map(
            |(device, generation, packages, last_resort)| Op::Publish {
                device,
                generation,
                packages,
                last_resort
            }
        ),
        (device, 0..6_u8, vec(1..=DEVICES, 1..4), time()).prop_map(|(device, id, from, now)| Op::Claim {
            device,
            id,
            from,
            now
        }),
    ]
}

fn other_operation() -> impl Strategy<Value = Op> {
    let (user, device) = (1..4_u64, 1..=DEVICES);
    prop_oneof![
        user.clone().prop_map(|user| Op::PutUser { user }),
        (0..4_u8, user.clone(), time()).prop_map(|(secret, user, expires_at)| Op::Invite {
            secret,
            user,
            expires_at
        }),
        (0..4_u8, device.clone(), user, 0..2_u8, 0..9_000_u64)
            .prop_map(|(secret, device, user, key, now)| Op::Enrol { secret, device, user, key, now }),
        (device.clone(), time()).prop_map(|(device, at)| Op::SetCertificate { device, at }),
        (device.clone(), time()).prop_map(|(device, at)| Op::LastSeen { device, at }),
        (device, time()).prop_map(|(device, at)| Op::Revoke { device, at }),
        (0..5_u8, time()).prop_map(|(timer, due)| Op::Arm { timer, due }),
        (0..5_u8).prop_map(|timer| Op::Disarm { timer }),
        (time(), 0..4_usize).prop_map(|(now, limit)| Op::Fire { now, limit }),
        time().prop_map(|at| Op::Record { at }),
        Just(Op::Reopen),
    ]
}

impl Item {
    fn append(&self, epochs: &[u64]) -> Append {
        let epoch = (epochs[usize::try_from(self.group).unwrap() - 1] + 1).saturating_sub(self.behind);
        Append {
            sender: self.device.map(device),
            epoch,
            epochs_behind_max: u64::from(!self.proposal),
            at: self.at,
            kind: if self.proposal { Kind::Proposal } else { Kind::Application },
            group_state: self.proposal.then(|| bytes(&format!("proposal {}", self.id))),
            blobs: blob::ids(&self.blobs),
            ..application(self.group, 0, self.id)
        }
    }
}

impl Commit {
    fn record(&self, epochs: &[u64]) -> CommitRecord {
        let epoch = epochs[usize::try_from(self.group).unwrap() - 1].saturating_sub(self.behind);
        let recipients: Vec<DeviceId> = self.joined.iter().copied().map(device).collect();
        CommitRecord {
            external: self.external,
            joined: self
                .joined
                .iter()
                .map(|number| Joined { may_post: number % 2 == 0, ..joined(*number) })
                .collect(),
            removed: self.removed.iter().copied().map(device).collect(),
            may_post: self.may_post.iter().map(|(number, may)| (device(*number), *may)).collect(),
            posting_restricted: self.restricted,
            welcome: self.welcome.then(|| WelcomeRecord { body: bytes("welcome"), recipients }),
            application: self.application.map(|id| (message(id), bytes("first of the epoch"))),
            application_blobs: blob::ids(&self.blobs),
            at: self.at,
            ..commit(self.group, self.device, self.id, epoch)
        }
    }
}

/// Runs an operation and returns its verdict as text. `epochs`: of each group, before it.
async fn run(store: &Arc<dyn Store>, op: &Op, epochs: &[u64]) -> String {
    match op.clone() {
        Op::Create { group: number, device, id, restricted } => {
            let new = CreateGroup {
                message_id: message(id),
                posting_restricted: restricted,
                ..new_group(number, device)
            };
            format!("{:?}", store.create_group(new).await)
        }
        Op::Append(items) => {
            format!("{:?}", store.append(items.iter().map(|item| item.append(epochs)).collect()).await)
        }
        Op::Commit(commit) => format!("{:?}", store.commit(commit.record(epochs)).await),
        Op::Acknowledge { device: number, up_to } => {
            let up_to = up_to.into_iter().map(|(number, seq)| (group(number), seq)).collect();
            format!("{:?}", store.acknowledge(device(number), up_to).await)
        }
        Op::NeedsReAdd { group: number, device: member, needs } => {
            format!("{:?}", store.set_needs_re_add(group(number), device(member), needs).await)
        }
        Op::Forget { group: number, device: member } => {
            format!("{:?}", store.forget_removed(group(number), device(member)).await)
        }
        Op::Read { after, until, entries, bytes } => {
            let from = (1..=GROUPS).map(|number| ReadFrom { group: group(number), after, until }).collect();
            format!("{:?}", store.read(from, ReadLimit { entries, bytes }).await)
        }
        Op::Expire { keep_after, keep_records_after } => {
            format!("{:?}", expire(store, keep_after, keep_records_after).await)
        }
        Op::Reopen => String::new(),
        Op::Blob(op) => blob::run(store, op).await,
        op @ (Op::Notify { .. } | Op::AcknowledgeInbox { .. } | Op::Publish { .. } | Op::Claim { .. }) => {
            run_on_device(store, op).await
        }
        op => run_other(store, op).await,
    }
}

async fn run_on_device(store: &Arc<dyn Store>, op: Op) -> String {
    match op {
        Op::Notify { devices } => {
            let body = InboxBody::InvalidCommitReported { group: group(1), seq: 1, reporter: device(1) };
            format!("{:?}", store.notify(devices.into_iter().map(device).collect(), body).await)
        }
        Op::AcknowledgeInbox { device: number, up_to } => {
            format!("{:?}", store.acknowledge_inbox(device(number), up_to).await)
        }
        Op::Publish { device: number, generation, packages, last_resort } => {
            let package = |number: u8| KeyPackageRecord {
                hash: [number; 32],
                body: bytes(&format!("package {number}")),
                expires_at: u64::from(number) * 1_000,
            };
            let last_resort = last_resort.then(|| package(15));
            let packages = packages.into_iter().map(package).collect();
            format!("{:?}", store.publish(device(number), generation, packages, last_resort, 6).await)
        }
        Op::Claim { device: number, id, from, now } => {
            let from = from.into_iter().map(|number| (user(number), device(number))).collect();
            format!("{:?}", store.claim(device(number), [id; 16], from, now).await)
        }
        other => unreachable!("{other:?}"),
    }
}

async fn run_other(store: &Arc<dyn Store>, op: Op) -> String {
    match op {
        Op::PutUser { user: number } => format!("{:?}", store.put_user(user_record(number)).await),
        Op::Invite { secret, user: number, expires_at } => {
            let invitation = InvitationRecord {
                secret_hash: [secret; 32],
                user: user(number),
                new_user: (secret % 2 == 0).then(|| user_record(number)),
                expires_at,
                created_at: 1,
                used_by: None,
                by_user: false,
            };
            format!("{:?}", store.put_invitation(invitation).await)
        }
        Op::Enrol { secret, device: number, user: owner, key, now } => {
            let device = DeviceRecord {
                device: device(number),
                user: user(owner),
                public_key: [key; 32],
                certificate: bytes(&format!("certificate {now}")),
                expires_at: now + 1,
                enrolled_at: now,
                last_seen_at: 0,
                revoked_at: None,
            };
            format!("{:?}", store.enrol(Enrolment { secret_hash: [secret; 32], device, now }, 2).await)
        }
        Op::SetCertificate { device: number, at } => {
            format!("{:?}", store.set_certificate(device(number), bytes("renewed"), at).await)
        }
        Op::LastSeen { device: number, at } => format!("{:?}", store.set_last_seen(device(number), at).await),
        Op::Revoke { device: number, at } => format!("{:?}", store.revoke(device(number), at).await),
        Op::Arm { timer, due } => format!("{:?}", store.arm(new_timer(timer, due)).await),
        Op::Disarm { timer } => format!("{:?}", store.disarm([timer; 16]).await),
        Op::Fire { now, limit } => {
            let effects: Arc<TimerEffects> = Arc::new(|fired| {
                let next = new_timer((fired.id[0] + 1) % 5, fired.due + 3_000);
                vec![Effect::Audit(audit_entry(fired.due)), Effect::Arm(next)]
            });
            format!("{:?}", store.fire_due(now, limit, effects).await)
        }
        Op::Record { at } => format!("{:?}", store.record(audit_entry(at)).await),
        other => unreachable!("{other:?}"),
    }
}

fn user_record(number: u64) -> UserRecord {
    UserRecord {
        user: user(number),
        display_name: format!("name {number}"),
        profession: String::new(),
        class: 1,
        roles: vec![3],
        created_at: 5,
    }
}

fn new_timer(number: u8, due: u64) -> Timer {
    Timer { id: [number; 16], due, payload: bytes("payload") }
}

fn audit_entry(at: u64) -> AuditEntry {
    AuditEntry { at, actor: "hub".into(), action: "test".into(), object: String::new() }
}

/// Everything that the store shows, as text with whole ids.
async fn observe(store: &Arc<dyn Store>) -> Vec<String> {
    let mut seen = Vec::new();
    for group in (1..=GROUPS).map(group) {
        seen.push(format!("{:?} {:?}", store.group(group).await, store.roster(group).await));
        seen.push(format!("{:?}", store.delivered(group).await));
        let floor = store.group(group).await.unwrap().map_or(0, |record| record.floor);
        let from = ReadFrom { group, after: floor, until: u64::MAX };
        seen.push(format!("{:?}", store.read(vec![from], NO_LIMIT).await));
    }
    for device in (1..=DEVICES).map(device) {
        seen.push(format!("{:?} {:?}", store.memberships(device).await, store.opening(device).await));
        seen.push(format!("{:?} {:?}", store.inbox(device, 0, 99).await, store.left(device).await));
        for id in 1..=MESSAGES {
            seen.push(format!("{:?}", store.verdict(device, message(id)).await));
        }
    }
    let users = store.users(None, 99).await.unwrap();
    seen.extend(users.iter().map(|user| format!("{} {user:?}", user.user.as_str())));
    for number in 0..4 {
        seen.push(format!("{:?}", store.devices_of(&user(u64::from(number))).await));
        seen.push(format!("{:?}", store.invitation([number; 32]).await));
    }
    seen.push(format!("{:?} {:?}", store.revoked_members().await, store.next_due().await));
    seen.push(format!("{:?}", store.audit(0, 999).await));
    seen.extend(blob::observe(store).await);
    seen
}

/// Runs the same operations on both and compares each verdict, then everything.
async fn compare(ops: Vec<Op>, reopen: impl Fn() -> Arc<dyn Store>) -> Result<(), TestCaseError> {
    let model: Arc<dyn Store> = Arc::new(Model::new());
    let mut store = reopen();
    for op in ops {
        let mut epochs = Vec::new();
        for group in (1..=GROUPS).map(group) {
            epochs.push(model.group(group).await.unwrap().map_or(0, |record| record.epoch));
        }
        if matches!(op, Op::Reopen) {
            drop(store);
            store = reopen();
        }
        let (expected, found) = (run(&model, &op, &epochs).await, run(&store, &op, &epochs).await);
        if expected != found {
            return Err(TestCaseError::fail(format!("{op:?}\nmodel:  {expected}\nengine: {found}")));
        }
    }
    let (expected, found) = (observe(&model).await, observe(&store).await);
    for (expected, found) in expected.iter().zip(&found) {
        if expected != found {
            return Err(TestCaseError::fail(format!("state\nmodel:  {expected}\nengine: {found}")));
        }
    }
    assert_eq!(expected.len(), found.len());
    Ok(())
}

/// Runs `cases` random cases; `place` opens the store in a directory of its own, again and again.
fn check(cases: u32, place: impl Fn(&Path) -> Box<dyn Fn() -> Arc<dyn Store>>) {
    let mut seed = [0; 32];
    match std::env::var("CERCLE_SEED") {
        Ok(text) => seed.copy_from_slice(&cercle_proto::id::from_hex(&text).unwrap()),
        Err(_) => SystemRandom::new().fill(&mut seed).unwrap(),
    }
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let outcome = runner.run(&operations(), |ops| {
        let directory = tempfile::tempdir().unwrap();
        let reopen = place(directory.path());
        runtime.block_on(compare(ops, reopen))
    });
    if let Err(error) = outcome {
        panic!("CERCLE_SEED={}\n{error}", cercle_proto::id::to_hex(&seed));
    }
}

fn on_disk(kind: EngineKind, key: Option<DataKey>) -> impl Fn(&Path) -> Box<dyn Fn() -> Arc<dyn Store>> {
    move |path| {
        let (path, key) = (path.to_owned(), key.clone());
        Box::new(move || open_sealed(&path, kind, key.as_ref()).unwrap())
    }
}

#[test]
fn the_memory_engine_agrees_with_the_model() {
    check(150, |_| {
        let engine = Arc::new(MemoryEngine::default());
        Box::new(move || Arc::new(Embedded::start(Arc::<MemoryEngine>::clone(&engine)).unwrap()))
    });
}

#[test]
fn redb_agrees_with_the_model_across_reopening() {
    check(25, on_disk(EngineKind::Redb, None));
}

#[test]
fn the_journal_agrees_with_the_model_across_reopening() {
    let keys = [None, Some(DataKey::new([3; 32]))];
    keys.into_iter().for_each(|key| check(25, on_disk(EngineKind::Journal, key)));
}

#[test]
fn a_journal_of_many_checkpoints_agrees_with_the_model_across_reopening() {
    check(40, |path| {
        let path = path.join("store");
        let sizes =
            JournalSizes { checkpoint_bytes: 9_000, journal_file_bytes: 20_000, body_file_bytes: 2_000 };
        Box::new(move || {
            Arc::new(Embedded::start(Arc::new(JournalEngine::open(&path, sizes).unwrap())).unwrap())
        })
    });
}

#[cfg(feature = "sled")]
#[test]
fn sled_agrees_with_the_model_across_reopening() {
    check(15, on_disk(EngineKind::Sled, None));
}
