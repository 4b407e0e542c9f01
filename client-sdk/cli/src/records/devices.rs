//! Records of devices.

use cercle_sdk::{
    core::{DeviceState, GroupSummary},
    event::DeviceEntry,
};
use serde::Serialize;

/// A device of a user.
#[derive(Debug, Serialize)]
pub(crate) struct DeviceRecord<'a> {
    user: &'a str,
    device: String,
    enrolled_at_ms: u64,
    expires_at_ms: u64,
    last_seen_at_ms: u64,
    revoked: bool,
    own: bool,
}

/// A device of a member came to a group or went.
#[derive(Debug, Serialize)]
pub(crate) struct DeviceChangeRecord<'a> {
    group: String,
    title: &'a str,
    seq: u64,
    at_ms: u64,
    user: &'a str,
    device: String,
    display_name: &'a str,
    added: bool,
    /// Who vouched for it: `own_device`, `recovery_code`, `invited`, `unknown`.
    admission: &'static str,
}

impl<'a> DeviceRecord<'a> {
    pub(crate) fn new(user: &'a str, device: &DeviceState, own: bool) -> Self {
        Self {
            user,
            device: device.device.to_hex(),
            enrolled_at_ms: device.enrolled_at_ms,
            expires_at_ms: device.expires_at_ms,
            last_seen_at_ms: device.last_seen_at_ms,
            revoked: device.revoked,
            own,
        }
    }
}

impl<'a> DeviceChangeRecord<'a> {
    pub(crate) fn new(group: &'a GroupSummary, entry: &'a DeviceEntry) -> Self {
        Self {
            group: group.group.to_hex(),
            title: &group.profile.title,
            seq: entry.seq,
            at_ms: entry.at_ms,
            user: entry.user.as_str(),
            device: entry.device.to_hex(),
            display_name: &entry.display_name,
            added: entry.added,
            admission: entry.admission.name(),
        }
    }
}
