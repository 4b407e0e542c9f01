//! The load: a few devices that post to a few groups, commit, acknowledge and expire, all at once.
//!
//! Each accepted write is noted in the acknowledgement file, one line per system call, after the store said
//! `Ok`. Bodies are computed from message ids, so that whoever looks can tell whether one is whole.

use std::{
    fmt,
    fs::File,
    io::Write,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use cercle_proto::id::{BlobId, DeviceId, GroupId, MessageId, RegisterId, UserId};
use cercle_storage::store::{
    Append, AppendError, BlobUsage, Claim, CommitRecord, CreateGroup, ExpirePolicy, Joined, Kind, NewBlob,
    Store,
};

pub(crate) const GROUPS: u8 = 3;
pub(crate) const DEVICES: u8 = 4;
const WORKERS: u8 = 6;
/// Entries that a device leaves unacknowledged behind the newest one it has seen.
const UNACKNOWLEDGED: u64 = 10;

/// A line of the acknowledgement file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Note {
    /// The store was opened: what follows is a new process.
    Opened,
    /// A group exists.
    Group(u8),
    /// An entry was accepted.
    Entry { group: u8, seq: u64, device: u8, id: u64, commit: bool },
    /// Devices are about to acknowledge up to an entry: not above it may the floor rise.
    MayExpire { group: u8, up_to: u64 },
    /// A register is held by a device.
    Claimed { register: u8, device: u8 },
    /// A blob is stored completely.
    Completed(u64),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened => write!(f, "O"),
            Self::Group(group) => write!(f, "G {group}"),
            Self::Entry { group, seq, device, id, commit } => {
                write!(f, "E {group} {seq} {device} {id} {}", u8::from(*commit))
            }
            Self::MayExpire { group, up_to } => write!(f, "K {group} {up_to}"),
            Self::Claimed { register, device } => write!(f, "R {register} {device}"),
            Self::Completed(blob) => write!(f, "B {blob}"),
        }
    }
}

impl Note {
    /// Reads a line; `None` for one that was cut off.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let kind = words.next()?;
        let numbers: Vec<u64> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
        let small = |number: u64| u8::try_from(number).ok();
        Some(match (kind, numbers.as_slice()) {
            ("O", []) => Self::Opened,
            ("G", [group]) => Self::Group(small(*group)?),
            ("E", [group, seq, device, id, commit]) => Self::Entry {
                group: small(*group)?,
                seq: *seq,
                device: small(*device)?,
                id: *id,
                commit: *commit == 1,
            },
            ("K", [group, up_to]) => Self::MayExpire { group: small(*group)?, up_to: *up_to },
            ("R", [register, device]) => {
                Self::Claimed { register: small(*register)?, device: small(*device)? }
            }
            ("B", [blob]) => Self::Completed(*blob),
            _ => return None,
        })
    }
}

pub(crate) fn group(number: u8) -> GroupId {
    GroupId::new([number; 16])
}

pub(crate) fn device(number: u8) -> DeviceId {
    DeviceId::new([0xd0 + number; 16])
}

pub(crate) fn blob(id: u64) -> BlobId {
    BlobId::new(*message(id).as_bytes())
}

/// Claims a register for a device; says which device has it.
pub(crate) async fn claim(store: &Arc<dyn Store>, register: u8, by: u8) -> Option<u8> {
    let claim = Claim { user: joined(by).user, device: device(by), at: 1 };
    let first = store.claim_once(RegisterId::new([register; 16]), claim).await.unwrap();
    (1..=DEVICES + 1).find(|number| device(*number) == first.device)
}

pub(crate) fn message(id: u64) -> MessageId {
    let mut bytes = [0x70; 16];
    bytes[8..].copy_from_slice(&id.to_be_bytes());
    MessageId::new(bytes)
}

/// The body that belongs to a message id: 16 to 3 000 bytes that look random.
pub(crate) fn body(id: u64) -> Bytes {
    let mut random = Random(id);
    let words = 2 + random.below(374);
    (0..words).flat_map(|_| random.next().to_le_bytes()).collect()
}

/// `SplitMix64`: small, seeded, good enough to mix.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Runs the load until `entries` were accepted in this process; for ever if `None`.
pub(crate) async fn run(store: Arc<dyn Store>, notes: &Path, round: u64, entries: Option<u64>) {
    let file = File::options().append(true).create(true).open(notes).unwrap();
    let load = Arc::new(Load { store, notes: Mutex::new(file), accepted: AtomicU64::new(0) });
    load.note(Note::Opened);
    for number in 1..=GROUPS {
        load.make_group(number).await;
    }
    let work = |worker| {
        let load = Arc::clone(&load);
        tokio::spawn(async move { load.work(round, worker, entries).await })
    };
    for worker in (0..WORKERS).map(work).collect::<Vec<_>>() {
        worker.await.unwrap();
    }
}

/// Appends so much to one group, in large batches.
pub(crate) async fn fill(store: &Arc<dyn Store>, megabytes: u64) {
    let creator = joined(1);
    store.create_group(new_group(1, creator)).await.unwrap();
    let body = Bytes::from(vec![0x5a; 1 << 13]);
    let item = |id| Append { body: body.clone(), ..application(1, 1, id, 0) };
    for batch in 0..megabytes {
        let first = 1_000 + batch * 128;
        for verdict in store.append((first..first + 128).map(item).collect()).await {
            verdict.unwrap();
        }
    }
}

struct Load {
    store: Arc<dyn Store>,
    notes: Mutex<File>,
    accepted: AtomicU64,
}

impl Load {
    fn note(&self, note: Note) {
        let line = format!("{note}\n");
        self.notes.lock().unwrap().write_all(line.as_bytes()).unwrap();
    }

    fn accepted(&self, group: u8, seq: u64, device: u8, id: u64, commit: bool) {
        self.note(Note::Entry { group, seq, device, id, commit });
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes a group with all devices. Repeated in every round, with the same ids.
    async fn make_group(&self, number: u8) {
        self.store.create_group(new_group(number, joined(1))).await.unwrap();
        self.note(Note::Group(number));
        let id = 100 + u64::from(number);
        let add = CommitRecord { joined: (2..=DEVICES).map(joined).collect(), ..commit(number, 1, id, 0) };
        let added = self.store.commit(add).await.unwrap();
        self.accepted(number, added.seq, 1, id, true);
    }

    async fn work(&self, round: u64, worker: u8, entries: Option<u64>) {
        let mut random = Random(round << 8 | u64::from(worker));
        let device_number = 1 + worker % DEVICES;
        let mut next_id = (round << 32) + (u64::from(worker) << 24) + 1_000;
        while entries.is_none_or(|entries| self.accepted.load(Ordering::Relaxed) < entries) {
            let number = u8::try_from(1 + random.below(u64::from(GROUPS))).unwrap();
            let epoch = self.store.group(group(number)).await.unwrap().unwrap().epoch;
            next_id += 10;
            match random.below(16) {
                0 => self.commit(number, device_number, next_id, epoch).await,
                1 | 2 => self.acknowledge(number).await,
                3 => {
                    let policy = ExpirePolicy { keep_after: 0, keep_records_after: 0, budget_rows: 50 };
                    self.store.expire(policy).await.unwrap();
                }
                4 => {
                    let register = u8::try_from(random.below(200)).unwrap();
                    let first = claim(&self.store, register, device_number).await.unwrap();
                    self.note(Note::Claimed { register, device: first });
                }
                5 => self.upload(number, next_id).await,
                _ => {
                    let count = 1 + random.below(3);
                    self.append(number, device_number, next_id..next_id + count, epoch).await;
                }
            }
        }
    }

    async fn commit(&self, number: u8, device: u8, id: u64, epoch: u64) {
        match self.store.commit(commit(number, device, id, epoch)).await {
            Ok(appended) => self.accepted(number, appended.seq, device, id, true),
            Err(AppendError::EpochMoved { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn append(&self, number: u8, sender: u8, ids: std::ops::Range<u64>, epoch: u64) {
        let batch = ids.clone().map(|id| application(number, sender, id, epoch)).collect();
        let verdicts = self.store.append(batch).await;
        for (id, verdict) in ids.zip(verdicts) {
            self.accepted(number, verdict.unwrap().seq, sender, id, false);
        }
    }

    async fn upload(&self, number: u8, id: u64) {
        let blob = blob(id);
        let new = NewBlob { blob, group: group(number), uploader: joined(1).user, size: 1, at: 1 };
        let plenty = BlobUsage { blobs: u64::MAX, bytes: u64::MAX };
        self.store.announce_blob(new, plenty).await.unwrap();
        self.store.complete_blob(blob, 2).await.unwrap();
        self.note(Note::Completed(id));
    }

    async fn acknowledge(&self, number: u8) {
        let head = self.store.group(group(number)).await.unwrap().unwrap().head;
        let up_to = head.saturating_sub(UNACKNOWLEDGED);
        self.note(Note::MayExpire { group: number, up_to });
        for member in 1..=DEVICES {
            self.store.acknowledge(device(member), vec![(group(number), up_to)]).await.unwrap();
        }
    }
}

fn joined(number: u8) -> Joined {
    Joined {
        device: device(number),
        user: UserId::new("someone", "cpts.example").unwrap(),
        leaf: u32::from(number),
        may_post: true,
    }
}

fn new_group(number: u8, creator: Joined) -> CreateGroup {
    CreateGroup {
        group: group(number),
        message_id: message(u64::from(number)),
        creator,
        group_info: body(0),
        group_state: body(0),
        posting_restricted: false,
        at: 1,
    }
}

fn application(number: u8, sender: u8, id: u64, epoch: u64) -> Append {
    Append {
        group: group(number),
        sender: Some(device(sender)),
        message_id: message(id),
        kind: Kind::Application,
        epoch,
        epochs_behind_max: u64::MAX,
        at: id,
        body: body(id),
        group_state: None,
        blobs: Vec::new(),
    }
}

fn commit(number: u8, sender: u8, id: u64, epoch: u64) -> CommitRecord {
    CommitRecord {
        group: group(number),
        sender: device(sender),
        external: false,
        message_id: message(id),
        epoch,
        body: body(id),
        group_info: body(epoch + 1),
        group_state: body(epoch + 1),
        joined: vec![],
        removed: vec![],
        may_post: vec![],
        posting_restricted: false,
        welcome: None,
        application: None,
        application_blobs: Vec::new(),
        at: id,
    }
}
