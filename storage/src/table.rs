//! The tables of the embedded store and how their keys are built.
//!
//! Keys are fixed-width and big-endian, so that rows of one group or device lie next to each other and a
//! scan returns them in order. User ids are the one exception: text, ended by a zero byte where more
//! follows (a user id never holds one). `docs/storage-format.md` describes every row.

use cercle_proto::id::{BlobId, DeviceId, Epoch, GroupId, MessageId, Seq, TimestampMs, UserId};

use crate::store::NoteKey;

/// A table: a name space of keys. Names are part of the on-disk format and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Format number, incarnation, audit head.
    Meta,
    /// Group → epoch, head, floor, newest commit.
    Groups,
    /// Group → GroupInfo of the current epoch.
    GroupInfos,
    /// Group → public group state of the current epoch.
    GroupStates,
    /// Group, entry number → entry.
    Log,
    /// Sender, message id → first verdict.
    Idempotency,
    /// Group, device → roster row with the device's cursor.
    Roster,
    /// Device, group: index of the roster by device.
    Memberships,
    /// Group, device: members that wait to be added again.
    ReAdds,
    /// Device → numbers of its inbox.
    InboxHeads,
    /// Device, number → inbox item.
    Inbox,
    /// Group, epoch → welcome.
    Welcomes,
    /// Group, epoch → how many inbox items point to the welcome.
    WelcomePointers,
    /// Device → generation and count of its key packages.
    KeyPackageStocks,
    /// Device, hash → one-time key package.
    KeyPackages,
    /// Device → last resort key package.
    LastResorts,
    /// Device, hash: one-time key packages that were handed out.
    SpentKeyPackages,
    /// Claimer, claim id → first answer.
    Claims,
    /// User → record.
    Users,
    /// Device → record.
    Devices,
    /// User, device: index of the devices by user.
    UserDevices,
    /// Device: index of the revoked devices.
    RevokedDevices,
    /// Secret's hash → invitation.
    Invitations,
    /// Timer → due time and payload.
    Timers,
    /// Due time, timer: index of the timers by due time.
    TimersDue,
    /// Number → audit record.
    Audit,
    /// Time, kind, first subject → rows to look at when that time has passed.
    Expiry,
    /// Register → first claim.
    Registers,
    /// Blob → record.
    Blobs,
    /// User → how many blobs of how many bytes.
    BlobUsages,
    /// Kind, key chosen by the service → note of a service of the hub.
    Notes,
    /// Group → where its log was in copies that were restored.
    Forks,
}

impl Table {
    /// All tables, in the order of their names here.
    pub const ALL: [Self; 32] = [
        Self::Meta,
        Self::Groups,
        Self::GroupInfos,
        Self::GroupStates,
        Self::Log,
        Self::Idempotency,
        Self::Roster,
        Self::Memberships,
        Self::ReAdds,
        Self::InboxHeads,
        Self::Inbox,
        Self::Welcomes,
        Self::WelcomePointers,
        Self::KeyPackageStocks,
        Self::KeyPackages,
        Self::LastResorts,
        Self::SpentKeyPackages,
        Self::Claims,
        Self::Users,
        Self::Devices,
        Self::UserDevices,
        Self::RevokedDevices,
        Self::Invitations,
        Self::Timers,
        Self::TimersDue,
        Self::Audit,
        Self::Expiry,
        Self::Registers,
        Self::Blobs,
        Self::BlobUsages,
        Self::Notes,
        Self::Forks,
    ];

    /// Its name on disk.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Groups => "groups",
            Self::GroupInfos => "group_infos",
            Self::GroupStates => "group_states",
            Self::Log => "log",
            Self::Idempotency => "idempotency",
            Self::Roster => "roster",
            Self::Memberships => "memberships",
            Self::ReAdds => "re_adds",
            Self::InboxHeads => "inbox_heads",
            Self::Inbox => "inbox",
            Self::Welcomes => "welcomes",
            Self::WelcomePointers => "welcome_pointers",
            Self::KeyPackageStocks => "key_package_stocks",
            Self::KeyPackages => "key_packages",
            Self::LastResorts => "last_resorts",
            Self::SpentKeyPackages => "spent_key_packages",
            Self::Claims => "claims",
            Self::Users => "users",
            Self::Devices => "devices",
            Self::UserDevices => "user_devices",
            Self::RevokedDevices => "revoked_devices",
            Self::Invitations => "invitations",
            Self::Timers => "timers",
            Self::TimersDue => "timers_due",
            Self::Audit => "audit",
            Self::Expiry => "expiry",
            Self::Registers => "registers",
            Self::Blobs => "blobs",
            Self::BlobUsages => "blob_usages",
            Self::Notes => "notes",
            Self::Forks => "forks",
        }
    }

    /// Its number on disk, for engines that have one key space: place in [`Table::ALL`], from 1.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }
}

/// A key as bytes.
pub type Key = Vec<u8>;

/// A half-open range of keys: `from` is in it, `to` is not; no `to` means up to the end of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// First key.
    pub from: Key,
    /// First key beyond.
    pub to: Option<Key>,
}

impl KeyRange {
    /// All keys that start with these bytes.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        Self { from: prefix.to_vec(), to: successor(prefix) }
    }

    /// Keys that start with `prefix` and come after `key`.
    #[must_use]
    pub fn prefix_after(prefix: &[u8], key: &[u8]) -> Self {
        let mut from = key.to_vec();
        from.push(0);
        Self { from, to: successor(prefix) }
    }

    /// The whole table.
    #[must_use]
    pub const fn all() -> Self {
        Self { from: Vec::new(), to: None }
    }
}

/// The first key after all keys that start with `prefix`; `None` if there is none.
fn successor(prefix: &[u8]) -> Option<Key> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut key = prefix[..=last].to_vec();
    key[last] += 1;
    Some(key)
}

/// Key of a group's own rows, and prefix of its log and roster.
pub(crate) fn group(group: GroupId) -> Key {
    group.as_bytes().to_vec()
}

/// Key of a device's own rows, and prefix of what it has several of.
pub(crate) fn device(device: DeviceId) -> Key {
    device.as_bytes().to_vec()
}

/// Key of a log entry.
pub(crate) fn entry(group: GroupId, seq: Seq) -> Key {
    join(group.as_bytes(), &seq.to_be_bytes())
}

/// Key of a first verdict. The hub as sender has a tag of its own, so that no device id can collide.
pub(crate) fn idempotency(sender: Option<DeviceId>, message_id: MessageId) -> Key {
    let mut key = Vec::with_capacity(33);
    key.push(u8::from(sender.is_some()));
    key.extend_from_slice(sender.map_or([0; 16], |device| *device.as_bytes()).as_slice());
    key.extend_from_slice(message_id.as_bytes());
    key
}

/// Key of a roster row.
pub(crate) fn roster(group: GroupId, device: DeviceId) -> Key {
    join(group.as_bytes(), device.as_bytes())
}

/// Key of the roster's index by device.
pub(crate) fn membership(device: DeviceId, group: GroupId) -> Key {
    join(device.as_bytes(), group.as_bytes())
}

/// Key of an inbox item.
pub(crate) fn inbox(device: DeviceId, number: u64) -> Key {
    join(device.as_bytes(), &number.to_be_bytes())
}

/// Key of a welcome and of its pointer count.
pub(crate) fn welcome(group: GroupId, epoch: Epoch) -> Key {
    join(group.as_bytes(), &epoch.to_be_bytes())
}

/// Key of a one-time key package.
pub(crate) fn key_package(device: DeviceId, hash: &[u8; 32]) -> Key {
    join(device.as_bytes(), hash)
}

/// Key of a claim's first answer.
pub(crate) fn claim(claimer: DeviceId, claim_id: &[u8; 16]) -> Key {
    join(claimer.as_bytes(), claim_id)
}

/// Key of a user.
pub(crate) fn user(user: &UserId) -> Key {
    user.as_str().as_bytes().to_vec()
}

/// Prefix of the devices of a user.
pub(crate) fn user_devices(user: &UserId) -> Key {
    join(user.as_str().as_bytes(), &[0])
}

/// Key of the devices' index by user.
pub(crate) fn user_device(user: &UserId, device: DeviceId) -> Key {
    join(&user_devices(user), device.as_bytes())
}

/// Key of the timers' index by due time.
pub(crate) fn timer_due(due: TimestampMs, id: &[u8; 16]) -> Key {
    join(&due.to_be_bytes(), id)
}

/// Key of a blob.
pub(crate) fn blob(blob: BlobId) -> Key {
    blob.as_bytes().to_vec()
}

/// Key of a note.
pub(crate) fn note(note: &NoteKey) -> Key {
    join(&[note.kind as u8], &note.key)
}

/// Key of an audit record.
pub(crate) fn audit(number: u64) -> Key {
    number.to_be_bytes().to_vec()
}

/// The last 16 bytes of a key, as every key that ends with an id has them.
pub(crate) fn last_id(key: &[u8]) -> Option<[u8; 16]> {
    key.last_chunk::<16>().copied()
}

/// The last 8 bytes of a key, as every key that ends with a number has them.
pub(crate) fn last_number(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

fn join(first: &[u8], second: &[u8]) -> Key {
    [first, second].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_its_own_name_and_number() {
        for (place, table) in Table::ALL.iter().enumerate() {
            assert_eq!(usize::from(table.number()), place + 1);
            assert_eq!(Table::ALL.iter().filter(|other| other.name() == table.name()).count(), 1);
        }
    }

    #[test]
    fn a_prefix_range_ends_where_the_next_prefix_begins() {
        assert_eq!(KeyRange::prefix(&[1, 2]).to, Some(vec![1, 3]));
        assert_eq!(KeyRange::prefix(&[1, 0xff]).to, Some(vec![2]));
        assert_eq!(KeyRange::prefix(&[0xff, 0xff]).to, None);
    }

    #[test]
    fn entries_of_a_group_sort_by_number() {
        let group = GroupId::new([7; 16]);
        assert!(entry(group, 255) < entry(group, 256));
        assert!(entry(group, u64::MAX) < entry(GroupId::new([8; 16]), 0));
    }

    #[test]
    fn the_hub_and_a_device_of_zeros_have_different_verdicts() {
        let id = MessageId::new([1; 16]);
        assert_ne!(idempotency(None, id), idempotency(Some(DeviceId::new([0; 16])), id));
    }
}
