//! The vault: what this device keeps on the hub for the day on which its user comes back with nothing but his
//! recovery code (docs/protocol.md, section "Recovery"), and the way back.
//!
//! Everything is computed from the store and the manifest: which messages no chunk holds yet is what is to be
//! put there. So an interrupted backup goes on wherever it stopped, and several devices of a user keep one
//! vault together. A restored message is stored at its place once, however often its chunk is taken.
//!
//! Pure; [`crate::recovery`] asks the hub.

use cercle_proto::{
    id::{ChunkId, DeviceId, GroupId, Seq, UserId},
    signing::{self, sha256},
    v1,
};
use miniz_oxide::{deflate::compress_to_vec_zlib, inflate::decompress_to_vec_zlib_with_limit};
use prost::Message as _;
use serde::{Deserialize, Serialize};

use super::{
    Cx, Memory, Step, device_changes,
    session::{Pending, Phase},
};
use crate::{
    error::Error,
    event::Event,
    history, limits,
    message::{
        OwnHistory,
        archive::{
            VaultChunkContent, VaultChunkEntry, VaultDeviceChange, VaultGroup, VaultHeader, VaultManifest,
            profile_from_wire, profile_to_wire,
        },
    },
    mls::identity::DeviceKeys,
    recovery::code::RecoveryKeys,
    store::{StoreKey, Tx, identity::IdentityRecord, messages::MessageRow, seal::Sealer},
};

/// The note that says with which keys this device keeps the vault.
pub(crate) const KEEPER: &str = "vault_keeper";
/// The note of a way back that is not at its end.
pub(crate) const RETURN: &str = "vault_return";

const CONTEXT: &[u8] = b"cercle vault v1";
const LEVEL: u8 = 6;

/// With which keys this device keeps the vault: the first seals what is new.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Keeper {
    pub(crate) keys: Vec<[u8; 32]>,
}

/// A way back.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Return {
    user: String,
    keys: RecoveryKeys,
    /// The manifest, once it is opened, and its version.
    manifest: Option<Vec<u8>>,
    version: u64,
    /// Chunks that were taken.
    taken: Vec<[u8; 16]>,
    messages: u64,
}

impl Return {
    /// The manifest was not opened yet.
    pub(crate) const fn awaits_vault(&self) -> bool {
        self.manifest.is_none()
    }

    /// Version of the manifest that was opened.
    pub(crate) const fn version(&self) -> u64 {
        self.version
    }
}

/// What is to be put into the vault next.
#[derive(Clone, PartialEq, Default)]
pub(crate) struct Plan {
    pub(crate) chunks: Vec<(ChunkId, Vec<u8>)>,
    pub(crate) manifest: VaultManifest,
    /// There is more to do afterwards.
    pub(crate) more: bool,
}

/// What a vault is sealed with.
pub(crate) fn seal_manifest(key: &[u8; 32], version: u64, manifest: &VaultManifest) -> Vec<u8> {
    sealer(key).seal(&[CONTEXT, b"manifest", &version.to_be_bytes()], &manifest.encode_to_vec())
}

/// Opens a manifest; `None` if it was sealed with another key.
pub(crate) fn open_manifest(key: &[u8; 32], version: u64, sealed: &[u8]) -> Option<VaultManifest> {
    let open = sealer(key).open(&[CONTEXT, b"manifest", &version.to_be_bytes()], sealed).ok()?;
    VaultManifest::decode(open.as_slice()).ok()
}

/// The header that a recovery code opens.
pub(crate) fn seal_header(keys: &RecoveryKeys, key: &[u8; 32]) -> Vec<u8> {
    keys.seal_header(&VaultHeader { key: key.to_vec() }.encode_to_vec())
}

/// Chunks that a manifest names.
pub(crate) fn chunks_of(manifest: &VaultManifest) -> Vec<ChunkId> {
    let entries = manifest.groups.iter().flat_map(|group| &group.chunks);
    entries.filter_map(|entry| ChunkId::try_from(entry.chunk.as_slice()).ok()).collect()
}

fn sealer(key: &[u8; 32]) -> Sealer {
    Sealer::new(&StoreKey::new(*key))
}

fn key_id(key: &[u8; 32]) -> Vec<u8> {
    sha256(&[CONTEXT, key].concat())[..8].to_vec()
}

impl Memory {
    /// With which keys this device keeps the vault, if it does.
    pub(crate) fn keeper(tx: &Tx<'_>) -> Step<Option<Keeper>> {
        tx.note(KEEPER, &[])
    }

    /// The way back that is not at its end.
    pub(crate) fn returning(tx: &Tx<'_>) -> Step<Option<Return>> {
        tx.note(RETURN, &[])
    }
}

/// The key towards the hub, and the user, of a way back that has not begun.
pub(crate) fn at_the_door(returning: &Return) -> Option<(&RecoveryKeys, UserId)> {
    Some((&returning.keys, UserId::parse(&returning.user).ok()?))
}

impl Cx<'_, '_> {
    /// Notes that this device is to come back as a user with what derives from his code.
    pub(crate) fn note_return(tx: &Tx<'_>, user: &UserId, keys: RecoveryKeys) -> Step {
        let user = user.as_str().to_owned();
        tx.write_note(
            RETURN,
            &[],
            &Return { user, keys, manifest: None, version: 0, taken: Vec::new(), messages: 0 },
        )
    }

    /// This device keeps the vault with these keys from now on.
    pub(crate) fn keep_vault(&mut self, keys: Vec<[u8; 32]>) -> Step {
        self.tx.write_note(KEEPER, &[], &Keeper { keys })?;
        self.emit(Event::RecoveryChanged);
        Ok(())
    }

    /// Asks to be let in by the recovery code, if this device is on its way back.
    pub(crate) fn ask_to_return(
        &mut self,
        nonce: &[u8; 32],
        identity: &IdentityRecord<DeviceKeys>,
    ) -> Step<bool> {
        let Some(returning) = Memory::returning(self.tx)? else { return Ok(false) };
        let Some((keys, user)) = at_the_door(&returning) else { return Ok(false) };
        let (device, public_key) = (DeviceId::new(identity.device), identity.keys.public());
        let message = signing::recover_message(nonce, device, &public_key, &user);
        let recover = v1::Recover {
            user: user.as_str().to_owned(),
            device: device.to_bytes(),
            public_key: public_key.to_vec().into(),
            proof: identity.keys.sign(&message).unwrap_or_default().into(),
            recovery_proof: keys.sign(&message).into(),
        };
        self.m.session.phase = Phase::Enrolling;
        self.request(v1::client_frame::Body::Recover(recover), Pending::Enrol);
        Ok(true)
    }

    /// Whether this device asks to be let in by a recovery code.
    pub(crate) fn stands_at_the_door(&self) -> Step<bool> {
        Ok(self.m.session.phase == Phase::Enrolling && Memory::returning(self.tx)?.is_some())
    }

    /// This device has changed the recovery code: the user's other devices that kept the vault go on with it.
    pub(crate) fn change_vault_keys(&mut self, keys: Vec<[u8; 32]>) -> Step {
        let former = Memory::keeper(self.tx)?.and_then(|keeper| keeper.keys.first().copied());
        if let Some(former) = former.filter(|former| keys.first() != Some(former)) {
            let keys = keys.iter().map(|key| key.to_vec()).collect();
            let told = VaultManifest { keys, groups: Vec::new() }.encode_to_vec();
            self.own_vault_changed(sealer(&former).seal(&[CONTEXT, b"keys"], &told))?;
        }
        self.keep_vault(keys)
    }

    /// Another device of the user has changed the recovery code.
    pub(crate) fn vault_keys_told(&mut self, sealed: &[u8]) -> Step {
        let Some(keeper) = Memory::keeper(self.tx)? else { return Ok(()) };
        let Some(key) = keeper.keys.first() else { return Ok(()) };
        let Ok(open) = sealer(key).open(&[CONTEXT, b"keys"], sealed) else { return Ok(()) };
        let told = VaultManifest::decode(open.as_slice()).unwrap_or_default();
        let keys: Vec<[u8; 32]> = told.keys.iter().filter_map(|key| key.as_slice().try_into().ok()).collect();
        if keys.is_empty() { Ok(()) } else { self.keep_vault(keys) }
    }

    // --- keeping

    /// What the vault lacks, given its manifest; `None` if nothing.
    pub(crate) fn plan_vault(&mut self, manifest: &VaultManifest) -> Step<Option<Plan>> {
        let Some(keeper) = Memory::keeper(self.tx)? else { return Ok(None) };
        let Some(key) = keeper.keys.first() else { return Ok(None) };
        let mut plan = Plan { manifest: manifest.clone(), ..Plan::default() };
        let keys: Vec<Vec<u8>> = keeper.keys.iter().map(|key| key.to_vec()).collect();
        let mut changed = plan.manifest.keys != keys;
        plan.manifest.keys = keys;
        for group in self.m.shown_groups() {
            if self.m.groups.get(&group).is_some_and(super::Lane::is_new_here) {
                continue;
            }
            let known = plan.manifest.groups.iter().position(|known| known.group == group.as_bytes());
            let mut entry = match known {
                Some(index) => plan.manifest.groups[index].clone(),
                None => VaultGroup { group: group.as_bytes().to_vec(), ..VaultGroup::default() },
            };
            let before = entry.clone();
            self.plan_group(group, key, &mut entry, &mut plan)?;
            if entry == before && known.is_some() {
                continue;
            }
            changed = true;
            match known {
                Some(index) => plan.manifest.groups[index] = entry,
                None => plan.manifest.groups.push(entry),
            }
            if plan.chunks.len() >= limits::VAULT_CHUNKS_PER_ROUND {
                plan.more = true;
                break;
            }
        }
        Ok(changed.then_some(plan))
    }

    fn plan_group(
        &mut self,
        group: GroupId,
        key: &[u8; 32],
        entry: &mut VaultGroup,
        plan: &mut Plan,
    ) -> Step {
        let Some(lane) = self.m.groups.get(&group) else { return Ok(()) };
        let (cursor, record) = (lane.row.cursor, &lane.row.record);
        if !record.profile.title.is_empty() && record.let_in_by.is_none() {
            entry.profile = Some(profile_to_wire(&record.profile));
        }
        entry.closed = record.state == crate::core::GroupState::Closed;
        entry.device_changes = merged(&entry.device_changes, device_changes::for_vault(self.tx, group)?);
        entry.read_up_to = entry.read_up_to.max(super::reading::read_up_to(self.tx, group)?);
        entry.chunks.sort_by_key(|chunk| chunk.from);
        let chunks = plan.chunks.len();
        // What came between or before the chunks that are there: another device had less than this one.
        let mut after = 0;
        for chunk in entry.chunks.clone() {
            self.plan_between(group, key, (after, chunk.from), entry, plan)?;
            after = after.max(chunk.to);
        }
        self.plan_tail(group, key, entry, plan)?;
        entry.chunks.sort_by_key(|chunk| chunk.from);
        if plan.chunks.len() > chunks || entry.closed {
            entry.up_to = entry.up_to.max(cursor);
        }
        Ok(())
    }

    /// Messages after the last chunk: a small last chunk is made anew with them.
    fn plan_tail(&mut self, group: GroupId, key: &[u8; 32], entry: &mut VaultGroup, plan: &mut Plan) -> Step {
        let last = entry.chunks.iter().max_by_key(|chunk| chunk.to).cloned();
        let after = last.as_ref().map_or(0, |chunk| chunk.to);
        if self.vault_rows(group, after, u64::MAX, 1)?.is_empty() {
            return Ok(());
        }
        let mut from = after;
        if let Some(last) = last.filter(|chunk| (chunk.messages as usize) < limits::VAULT_CHUNK_MESSAGES / 2)
        {
            let held = self.vault_rows(group, last.from - 1, last.to + 1, limits::VAULT_CHUNK_MESSAGES)?;
            if held.len() == last.messages as usize {
                entry.chunks.retain(|chunk| chunk.chunk != last.chunk);
                from = last.from - 1;
            }
        }
        self.plan_between(group, key, (from, u64::MAX), entry, plan)
    }

    /// Chunks of what stands between two places, both excluded.
    fn plan_between(
        &mut self,
        group: GroupId,
        key: &[u8; 32],
        (mut after, before): (Seq, Seq),
        entry: &mut VaultGroup,
        plan: &mut Plan,
    ) -> Step {
        // Most of what is between two chunks are commits: one row tells.
        if after.saturating_add(1) >= before || self.vault_rows(group, after, before, 1)?.is_empty() {
            return Ok(());
        }
        while after.saturating_add(1) < before && plan.chunks.len() < limits::VAULT_CHUNKS_PER_ROUND {
            let rows = self.vault_rows(group, after, before, limits::VAULT_CHUNK_MESSAGES)?;
            let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
            let chunk = ChunkId::new(self.random());
            let messages = u32::try_from(rows.len()).unwrap_or(u32::MAX);
            entry.chunks.push(VaultChunkEntry {
                chunk: chunk.as_bytes().to_vec(),
                from: first.seq,
                to: last.seq,
                messages,
                key_id: key_id(key),
            });
            after = last.seq;
            plan.chunks.push((chunk, seal_chunk(key, group, chunk, &rows)));
        }
        Ok(())
    }

    /// Messages between two places, both excluded, in order: no more than fit into a chunk.
    fn vault_rows(&self, group: GroupId, after: Seq, before: Seq, count: usize) -> Step<Vec<MessageRow>> {
        let mut bytes = 0;
        let mut rows = Vec::new();
        for row in self.tx.messages(group, after, count)? {
            bytes += row.record.envelope.len();
            if row.seq >= before || bytes > limits::VAULT_CHUNK_BYTES && !rows.is_empty() {
                break;
            }
            rows.push(row);
        }
        Ok(rows)
    }

    // --- the way back

    /// The hub gave out the vault: opens it, and begins to take what is in it. Again when another device has
    /// changed it meanwhile: what was taken stays taken.
    pub(crate) fn open_vault(&mut self, vault: &v1::Vault) -> Step<Result<(), Error>> {
        let Some(mut returning) = Memory::returning(self.tx)? else { return Ok(Ok(())) };
        let damaged = Ok(Err(Error::Invalid("the backup on the hub is damaged")));
        if vault.version == 0 {
            return self.end_return(&returning).map(Ok);
        }
        let header = returning.keys.open_header(&vault.header);
        let header = header.and_then(|header| VaultHeader::decode(header.as_slice()).ok());
        let key: Option<[u8; 32]> = header.and_then(|header| header.key.try_into().ok());
        let Some(key) = key else { return damaged };
        let Some(manifest) = open_manifest(&key, vault.version, &vault.manifest) else { return damaged };
        let keys: Vec<[u8; 32]> =
            manifest.keys.iter().filter_map(|key| key.as_slice().try_into().ok()).collect();
        let keys = if keys.first() == Some(&key) { keys } else { vec![key] };
        returning.manifest = Some(manifest.encode_to_vec());
        returning.version = vault.version;
        self.tx.write_note(RETURN, &[], &returning)?;
        self.keep_vault(keys)?;
        Ok(Ok(()))
    }

    /// The next chunk that is to be taken, the newest of each group first; ends the way back when there is
    /// none. `None` also while this device is not in all of its groups.
    pub(crate) fn next_return(&mut self) -> Step<Option<(GroupId, ChunkId)>> {
        let Some(returning) = Memory::returning(self.tx)? else { return Ok(None) };
        let joined = self.m.standing.siblings_known && self.m.joining() == 0;
        let Some(manifest) = returning.manifest.as_ref().filter(|_| joined) else { return Ok(None) };
        let manifest = VaultManifest::decode(manifest.as_slice()).unwrap_or_default();
        let mut waiting = Vec::new();
        for group in &manifest.groups {
            let Ok(id) = GroupId::try_from(group.group.as_slice()) else { continue };
            let mut chunks = group.chunks.clone();
            chunks.sort_by_key(|chunk| std::cmp::Reverse(chunk.to));
            for (depth, chunk) in chunks.into_iter().enumerate() {
                let Ok(chunk) = ChunkId::try_from(chunk.chunk.as_slice()) else { continue };
                if !returning.taken.contains(chunk.as_bytes()) {
                    waiting.push((depth, id, chunk));
                }
            }
        }
        match waiting.into_iter().min_by_key(|(depth, _, _)| *depth) {
            Some((_, group, chunk)) => Ok(Some((group, chunk))),
            None => {
                for group in &manifest.groups {
                    self.return_to(group)?;
                }
                self.end_return(&returning)?;
                Ok(None)
            }
        }
    }

    /// Takes a chunk; `None`: the hub does not have it.
    pub(crate) fn take_chunk(
        &mut self,
        group: GroupId,
        chunk: ChunkId,
        sealed: Option<&[u8]>,
    ) -> Step<Result<(), Error>> {
        let Some(mut returning) = Memory::returning(self.tx)? else { return Ok(Ok(())) };
        let manifest = returning.manifest.clone().unwrap_or_default();
        let manifest = VaultManifest::decode(manifest.as_slice()).unwrap_or_default();
        if let Some(entry) = manifest.groups.iter().find(|known| known.group == group.as_bytes()) {
            self.return_to(entry)?;
        }
        let keeper = Memory::keeper(self.tx)?;
        let keys = keeper.map(|keeper| keeper.keys).unwrap_or_default();
        let rows = sealed.and_then(|sealed| open_chunk(&keys, group, chunk, sealed));
        let damaged = rows.is_none();
        let added = self.store_returned(group, rows.unwrap_or_default())?;
        returning.messages += added;
        returning.taken.push(*chunk.as_bytes());
        self.tx.write_note(RETURN, &[], &returning)?;
        if damaged {
            tracing::warn!(group.id = ?group, "a part of the backup is missing or damaged");
        }
        Ok(Ok(()))
    }

    /// What is known of a group beside its messages.
    fn return_to(&mut self, entry: &VaultGroup) -> Step {
        let Ok(group) = GroupId::try_from(entry.group.as_slice()) else { return Ok(()) };
        let profile = entry.profile.clone().and_then(profile_from_wire).unwrap_or_default();
        match self.lane(group).map(|lane| lane.row.record.settle(&profile)) {
            // The user is no longer in it.
            None if !entry.chunks.is_empty() => {
                let history = OwnHistory { group, profile, closed: true, read_up_to: 0 };
                self.remember_closed(&history, entry.up_to + 1)?;
            }
            Some(true) => {
                self.save(group)?;
                self.emit(Event::GroupChanged { group });
            }
            _ => {}
        }
        self.device_changes_returned(group, &entry.device_changes)?;
        self.returned_read(group, entry.read_up_to)
    }

    fn store_returned(&mut self, group: GroupId, rows: Vec<MessageRow>) -> Step<u64> {
        let Some(joined_at) = self.m.groups.get(&group).map(|lane| lane.row.record.joined_at) else {
            return Ok(0);
        };
        let mut added = 0;
        for row in rows {
            if row.seq <= joined_at && !self.tx.has_message(group, row.id)? {
                self.tx.insert_message(group, &row)?;
                added += 1;
            }
        }
        if added > 0 {
            self.m.history_changed(group);
            self.periods_changed(group)?;
            self.circle_known(group)?;
            if let Some(me) = self.m.me.clone() {
                let exported_by = me.identity.user.clone();
                self.emit(Event::HistoryImported { group, messages: added, exported_by });
            }
        }
        Ok(added)
    }

    fn end_return(&mut self, returning: &Return) -> Step {
        self.tx.delete_note(RETURN, &[])?;
        self.emit(Event::Returned { messages: returning.messages });
        Ok(())
    }
}

/// What the vault has and what this device has: another may have been there when this one was not.
fn merged(vault: &[VaultDeviceChange], here: Vec<VaultDeviceChange>) -> Vec<VaultDeviceChange> {
    let place = |change: &VaultDeviceChange| (change.seq, change.device.clone(), change.added);
    let mut all = vault.to_vec();
    all.extend(here);
    all.sort_by_key(place);
    all.dedup_by_key(|change| place(change));
    all.drain(..all.len().saturating_sub(limits::VAULT_DEVICE_CHANGES_MAX));
    all
}

fn seal_chunk(key: &[u8; 32], group: GroupId, chunk: ChunkId, rows: &[MessageRow]) -> Vec<u8> {
    let messages = rows.iter().map(history::archived).collect();
    let content = compress_to_vec_zlib(&VaultChunkContent { messages }.encode_to_vec(), LEVEL);
    sealer(key).seal(&[CONTEXT, b"chunk", group.as_bytes(), chunk.as_bytes()], &content)
}

/// Opens a chunk with whichever key fits.
fn open_chunk(keys: &[[u8; 32]], group: GroupId, chunk: ChunkId, sealed: &[u8]) -> Option<Vec<MessageRow>> {
    let context: &[&[u8]] = &[CONTEXT, b"chunk", group.as_bytes(), chunk.as_bytes()];
    let content = keys.iter().find_map(|key| sealer(key).open(context, sealed).ok())?;
    let content = decompress_to_vec_zlib_with_limit(&content, limits::HISTORY_OPEN_BYTES_MAX).ok()?;
    let content = VaultChunkContent::decode(content.as_slice()).ok()?;
    content.messages.into_iter().map(|message| history::read(message).ok()).collect()
}
