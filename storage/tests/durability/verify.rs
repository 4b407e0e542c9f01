//! Looks at a store that was left behind, with the notes of what it had acknowledged.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use cercle_storage::store::{Entry, Kind, ReadFrom, ReadLimit, Store};

use super::{
    child::Engine,
    load::{self, DEVICES, GROUPS, Note},
};

/// What the notes of all processes say together.
#[derive(Debug, Default, Clone)]
pub(crate) struct Expected {
    groups: Vec<u8>,
    /// Group, number → device, message id, commit.
    entries: BTreeMap<(u8, u64), (u8, u64, bool)>,
    may_expire: BTreeMap<u8, u64>,
    /// Register → device.
    claimed: BTreeMap<u8, u8>,
    completed: Vec<u64>,
}

impl Expected {
    /// Adds a note; a second acknowledgement of the same entry must say the same.
    pub(crate) fn add(&mut self, note: Note) {
        match note {
            Note::Opened => {}
            Note::Group(group) => self.groups.push(group),
            Note::Entry { group, seq, device, id, commit } => {
                let before = self.entries.insert((group, seq), (device, id, commit));
                assert!(
                    before.is_none_or(|before| before == (device, id, commit)),
                    "entry {seq} given twice"
                );
            }
            Note::MayExpire { group, up_to } => {
                let end = self.may_expire.entry(group).or_default();
                *end = up_to.max(*end);
            }
            Note::Claimed { register, device } => {
                let before = self.claimed.insert(register, device);
                assert!(before.is_none_or(|before| before == device), "register {register} won twice");
            }
            Note::Completed(blob) => self.completed.push(blob),
        }
    }

    /// Reads a file of notes; a last line that was cut off does not count.
    pub(crate) fn read(notes: &Path) -> Self {
        let mut expected = Self::default();
        for line in std::fs::read_to_string(notes).unwrap_or_default().lines() {
            if let Some(note) = Note::parse(line) {
                expected.add(note);
            }
        }
        expected
    }

    /// How many entries were acknowledged.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Opens the store and compares. Returns how many entries were deleted; `Err` says what is wrong.
    pub(crate) fn check(&self, engine: Engine, path: &Path) -> Result<u64, String> {
        let store = engine.open(path)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            self.check_claims_and_blobs(&store).await?;
            let mut deleted = 0;
            for group in 1..=GROUPS {
                let checked = self.check_group(&store, group).await;
                deleted += checked.map_err(|what| format!("group {group}: {what}"))?;
            }
            Ok(deleted)
        })
    }

    async fn check_claims_and_blobs(&self, store: &Arc<dyn Store>) -> Result<(), String> {
        for (register, device) in &self.claimed {
            // By a device that has never claimed anything: it must lose.
            let found = load::claim(store, *register, DEVICES + 1).await;
            if found != Some(*device) {
                return Err(format!("register {register} of device {device} is held by {found:?}"));
            }
        }
        for id in &self.completed {
            let record = store.blob(load::blob(*id)).await.map_err(|error| error.to_string())?;
            if record.is_none_or(|record| record.completed_at != Some(2)) {
                return Err(format!("blob {id} is not complete"));
            }
        }
        Ok(())
    }

    async fn check_group(&self, store: &Arc<dyn Store>, group: u8) -> Result<u64, String> {
        let id = load::group(group);
        let Some(record) = store.group(id).await.map_err(|error| error.to_string())? else {
            return if self.groups.contains(&group) { Err("it is gone".into()) } else { Ok(0) };
        };
        let may_expire = self.may_expire.get(&group).copied().unwrap_or(0);
        if record.floor > may_expire {
            return Err(format!("floor {} is above {may_expire}", record.floor));
        }
        let from = ReadFrom { group: id, after: record.floor, until: u64::MAX };
        let limit = ReadLimit { entries: usize::MAX, bytes: usize::MAX };
        let pages = store.read(vec![from], limit).await.map_err(|error| error.to_string())?;
        let entries = &pages[0].entries;
        if entries.len() as u64 != record.head - record.floor {
            return Err(format!("{} entries between {} and {}", entries.len(), record.floor, record.head));
        }
        check_log(entries, record.floor, record.epoch)?;
        self.check_acknowledged(store, group, record.floor, entries).await?;
        Ok(record.floor)
    }

    async fn check_acknowledged(
        &self,
        store: &Arc<dyn Store>,
        group: u8,
        floor: u64,
        entries: &[Entry],
    ) -> Result<(), String> {
        for ((_, seq), (device, id, commit)) in self.entries.range((group, 0)..=(group, u64::MAX)) {
            let verdict = store.verdict(load::device(*device), load::message(*id)).await;
            let found = verdict.map_err(|error| error.to_string())?.map(|verdict| verdict.seq);
            if found != Some(*seq) {
                return Err(format!("acknowledged as entry {seq}, on record as {found:?}"));
            }
            if *seq <= floor {
                continue;
            }
            let place = usize::try_from(seq - floor - 1).unwrap();
            let entry = entries.get(place).ok_or_else(|| format!("acknowledged entry {seq} is gone"))?;
            let same = entry.message_id == load::message(*id)
                && entry.sender == Some(load::device(*device))
                && (entry.kind == Kind::Commit) == *commit;
            if !same {
                return Err(format!("entry {seq} is another one"));
            }
        }
        Ok(())
    }
}

/// Checks that entries are whole and dense, and that each epoch was ended once.
fn check_log(entries: &[Entry], floor: u64, epoch: u64) -> Result<(), String> {
    let commits = entries.iter().filter(|entry| entry.kind == Kind::Commit).count() as u64;
    let mut at_epoch = epoch.checked_sub(commits).ok_or("more commits than epochs")?;
    for (seq, entry) in (floor + 1..).zip(entries) {
        let id = u64::from_be_bytes(*entry.message_id.as_bytes().last_chunk().unwrap());
        if entry.seq != seq {
            return Err(format!("entry {} in place of {seq}", entry.seq));
        }
        if entry.body != load::body(id) {
            return Err(format!("entry {seq} is not whole"));
        }
        if entry.kind == Kind::Commit {
            if entry.epoch != at_epoch {
                return Err(format!("entry {seq} ends epoch {} in epoch {at_epoch}", entry.epoch));
            }
            at_epoch += 1;
        }
    }
    Ok(())
}
