//! What encryption at rest costs (ADR 0015): the same work on a sealed and on an unsealed store, one round after the
//! other on the same disk, with the engine for new stores.
//!
//! Prints for each work the median of both and the ratio. Run:
//! `cargo run --release -p cercle-storage --example seal_bench`.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

mod common;

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use cercle_proto::id::{DeviceId, GroupId, MessageId, UserId};
use cercle_storage::{
    DataKey, EngineKind, open_sealed,
    store::{Append, CommitRecord, DeviceRecord, ReadFrom, ReadLimit, Store, UserRecord},
};
use common::{body, id, make_groups, message, now};

const ROUNDS: u64 = 7;
const GROUPS: u64 = 50;
const APPENDS: u64 = 6_400;
const COMMITS: u64 = 200;
const USERS: u64 = 2_000;
/// GroupInfo and public state of a group of about 50 devices.
const STATE_BYTES: usize = 40_000;

struct Bench {
    store: Arc<dyn Store>,
    appended: u64,
    committed: u64,
}

type Times = Vec<(&'static str, f64)>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let key = DataKey::generate()?;
    let mut benches = [
        bench(&place.path().join("unsealed"), None).await?,
        bench(&place.path().join("sealed"), Some(&key)).await?,
    ];
    let mut all: [Vec<Times>; 2] = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        // Each is first in turn.
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for which in order {
            all[which].push(benches[which].round().await?);
        }
    }
    println!("| work | unsealed, µs | sealed, µs | ratio |\n|---|---|---|---|");
    let [unsealed, sealed] = &all;
    for (place, (name, _)) in unsealed[0].iter().enumerate() {
        let median = |times: &[Times]| {
            let mut values: Vec<f64> = times.iter().map(|round| round[place].1).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let (before, after) = (median(unsealed), median(sealed));
        println!("| {name} | {before:.1} | {after:.1} | {:.2} |", after / before);
    }
    Ok(())
}

async fn bench(path: &Path, key: Option<&DataKey>) -> anyhow::Result<Bench> {
    let store = open_sealed(path, EngineKind::Journal, key)?;
    make_groups(&*store, GROUPS).await?;
    let bench = Bench { store, appended: 0, committed: 0 };
    for number in 0..USERS {
        bench.enrol(number).await?;
    }
    Ok(bench)
}

impl Bench {
    async fn enrol(&self, number: u64) -> anyhow::Result<()> {
        let user = UserId::new(&format!("user{number:06}"), "cpts.example")?;
        let record = UserRecord {
            user: user.clone(),
            display_name: format!("Prénom Nom {number}"),
            profession: "60".into(),
            class: 1,
            roles: vec![1],
            created_at: 1,
        };
        let device = DeviceRecord {
            device: DeviceId::new(id(number)),
            user,
            public_key: [1; 32],
            certificate: Bytes::from(vec![7; 600]),
            expires_at: u64::MAX,
            enrolled_at: 1,
            last_seen_at: 1,
            revoked_at: None,
        };
        self.store.readmit(device, record).await?;
        Ok(())
    }

    /// Microseconds for one of each.
    async fn round(&mut self) -> anyhow::Result<Times> {
        let mut times = Vec::new();
        let begun = now();
        for _ in 0..APPENDS / 64 {
            let batch = (0..64).map(|_| {
                self.appended += 1;
                // The first group gets the commits.
                let group = GroupId::new(id(1 + self.appended % (GROUPS - 1)));
                Append { group, ..message(self.appended, GROUPS, body()) }
            });
            for verdict in self.store.append(batch.collect()).await {
                verdict?;
            }
        }
        times.push(("accept of a message of 1 KiB (64 in a batch)", per(begun, APPENDS)));
        let begun = now();
        for _ in 0..COMMITS {
            self.commit().await?;
        }
        times.push(("commit with 40 kB of group state", per(begun, COMMITS)));
        let begun = now();
        for number in 0..USERS {
            anyhow::ensure!(self.store.device(DeviceId::new(id(number))).await?.is_some());
        }
        times.push(("record of a device", per(begun, USERS)));
        let begun = now();
        let mut after = None;
        loop {
            let page = self.store.users(after, 500).await?;
            match page.last() {
                Some(last) => after = Some(last.user.clone()),
                None => break,
            }
        }
        times.push(("list of 2 000 users, 500 a page", per(begun, 1)));
        let begun = now();
        for group in 1..GROUPS {
            let from = ReadFrom { group: GroupId::new(id(group)), after: 0, until: u64::MAX };
            let limit = ReadLimit { entries: 100, bytes: 1 << 20 };
            self.store.read(vec![from], limit).await?;
        }
        times.push(("page of 100 entries", per(begun, GROUPS - 1)));
        Ok(times)
    }

    async fn commit(&mut self) -> anyhow::Result<()> {
        let commit = CommitRecord {
            group: GroupId::new(id(0)),
            sender: DeviceId::new(id(0)),
            external: false,
            message_id: MessageId::new(id(1_000_000 + self.committed)),
            epoch: self.committed,
            body: Bytes::from(vec![3; 4_000]),
            group_info: state(),
            group_state: state(),
            joined: Vec::new(),
            removed: Vec::new(),
            may_post: Vec::new(),
            posting_restricted: false,
            welcome: None,
            application: None,
            application_blobs: Vec::new(),
            at: 1,
        };
        self.store.commit(commit).await?;
        self.committed += 1;
        Ok(())
    }
}

fn state() -> Bytes {
    Bytes::from(vec![5; STATE_BYTES])
}

fn per(begun: std::time::Instant, count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let count = count as f64;
    begun.elapsed().as_secs_f64() * 1e6 / count
}
