//! Device changes of a group, as its thread shows them: which of a member's devices came and went, and who
//! vouched for those that came. They come from commits that this device has verified, not from messages, so
//! nobody can say them; they stay over restarts, and are in the vault.

use cercle_proto::{
    certificate::{Admission, DeviceIdentity},
    id::{DeviceId, GroupId, Seq, TimestampMs, UserId},
};
use serde::{Deserialize, Serialize};

use super::{Cx, Step};
use crate::{event::DeviceEntry, limits, message::archive::VaultDeviceChange, store::Tx};

/// Notes of device changes; the key is the group.
const NOTE: &str = "device_changes";

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    seq: Seq,
    at_ms: TimestampMs,
    user: String,
    display_name: String,
    device: [u8; 16],
    added: bool,
    admission: String,
}

impl Row {
    fn place(&self) -> (Seq, [u8; 16], bool) {
        (self.seq, self.device, self.added)
    }
}

impl Cx<'_, '_> {
    /// A commit has added or removed a device of a member who has others in the group.
    pub(crate) fn note_device_change(
        &mut self,
        group: GroupId,
        (seq, at_ms): (Seq, TimestampMs),
        identity: &DeviceIdentity,
        added: bool,
    ) -> Step {
        let row = Row {
            seq,
            at_ms,
            user: identity.user.as_str().to_owned(),
            display_name: identity.display_name.clone(),
            device: *identity.device.as_bytes(),
            added,
            admission: identity.admission.name().to_owned(),
        };
        self.add_device_changes(group, [row])
    }

    /// Device changes that the vault has.
    pub(crate) fn device_changes_returned(&mut self, group: GroupId, changes: &[VaultDeviceChange]) -> Step {
        let rows = changes.iter().filter_map(|change| {
            let user = UserId::parse(&change.user).ok()?;
            Some(Row {
                seq: change.seq,
                at_ms: change.at_ms,
                user: user.as_str().to_owned(),
                display_name: change.display_name.clone(),
                device: change.device.as_slice().try_into().ok()?,
                added: change.added,
                admission: change.admission.clone(),
            })
        });
        let rows: Vec<Row> = rows.take(limits::DEVICE_CHANGES_MAX).collect();
        self.add_device_changes(group, rows)
    }

    fn add_device_changes(&mut self, group: GroupId, more: impl IntoIterator<Item = Row>) -> Step {
        let mut rows = rows(self.tx, group)?;
        let before = rows.len();
        for row in more {
            if rows.iter().all(|known| known.place() != row.place()) {
                rows.push(row);
            }
        }
        if rows.len() == before {
            return Ok(());
        }
        rows.sort_by_key(Row::place);
        rows.drain(..rows.len().saturating_sub(limits::DEVICE_CHANGES_MAX));
        self.tx.write_note(NOTE, group.as_bytes(), &rows)
    }
}

fn rows(tx: &Tx<'_>, group: GroupId) -> Step<Vec<Row>> {
    Ok(tx.note::<Vec<Row>>(NOTE, group.as_bytes())?.unwrap_or_default())
}

/// The device changes of a group, in the order of its log.
///
/// # Errors
/// When the store fails.
pub(crate) fn entries(tx: &Tx<'_>, group: GroupId) -> Step<Vec<DeviceEntry>> {
    let read = |row: Row| {
        Some(DeviceEntry {
            seq: row.seq,
            at_ms: row.at_ms,
            user: UserId::parse(&row.user).ok()?,
            display_name: row.display_name,
            device: DeviceId::new(row.device),
            added: row.added,
            admission: Admission::from_name(&row.admission),
        })
    };
    Ok(rows(tx, group)?.into_iter().filter_map(read).collect())
}

/// The latest device changes of a group, for the vault.
///
/// # Errors
/// When the store fails.
pub(crate) fn for_vault(tx: &Tx<'_>, group: GroupId) -> Step<Vec<VaultDeviceChange>> {
    let mut rows = rows(tx, group)?;
    rows.drain(..rows.len().saturating_sub(limits::VAULT_DEVICE_CHANGES_MAX));
    let to_wire = |row: Row| VaultDeviceChange {
        seq: row.seq,
        at_ms: row.at_ms,
        user: row.user,
        display_name: row.display_name,
        device: row.device.to_vec(),
        added: row.added,
        admission: row.admission,
    };
    Ok(rows.into_iter().map(to_wire).collect())
}
