//! Places in groups of devices that are lost, held until their user is back with another one.
//!
//! Members take a revoked device out of a group as soon as the hub proposes it. If nothing else of its user was
//! there, nobody is left by whom he could come in again. So devices that an invitation calls lost end at once (no
//! session, nothing is given out), but the hub proposes their removal from a group only when another device
//! of the user is in it, or when the time is over: that of the invitation, and a while more once somebody has
//! enrolled. Asked by the delivery service, set by the dispatch and by enrolments; in the store, so that a hub that
//! starts again goes on.

use bytes::Bytes;
use cercle_proto::id::{DeviceId, TimestampMs};
use cercle_storage::store::{Effect, NoteKey, NoteKind, ReadError, Store, WriteError};

/// Notes that one round of housekeeping looks at.
const NOTES_PER_ROUND: usize = 1_000;

/// Holds the places of devices until this time.
///
/// # Errors
/// When the store takes no writes.
pub(crate) async fn hold(
    store: &dyn Store,
    devices: &[DeviceId],
    until: TimestampMs,
) -> Result<(), WriteError> {
    let puts = devices.iter().map(|device| Effect::Put(key(*device), value(until))).collect();
    store.change(Vec::new(), Box::new(move |_| puts)).await
}

/// Holds places that are held at this time a while longer, if need be.
///
/// # Errors
/// When the store takes no writes.
pub(crate) async fn hold_on(
    store: &dyn Store,
    devices: &[DeviceId],
    now: TimestampMs,
    until: TimestampMs,
) -> Result<(), WriteError> {
    let keys: Vec<NoteKey> = devices.iter().copied().map(key).collect();
    let read = keys.clone();
    let decide = move |notes: &[Option<Bytes>]| {
        let held = keys.into_iter().zip(notes.iter().map(time));
        let short = held.filter(|(_, time)| time.is_some_and(|time| time > now && time < until));
        short.map(|(key, _)| Effect::Put(key, value(until))).collect()
    };
    store.change(read, Box::new(decide)).await
}

/// Whether the places of a device are held at this time.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn is_held(
    store: &dyn Store,
    device: DeviceId,
    now: TimestampMs,
) -> Result<bool, ReadError> {
    let note = store.note(key(device)).await?;
    Ok(time(&note).is_some_and(|until| until > now))
}

/// Deletes notes whose time is over.
///
/// # Errors
/// When the store fails.
pub(crate) async fn forget_old(store: &dyn Store, now: TimestampMs) -> Result<(), WriteError> {
    let notes = store.notes(NoteKind::HeldPlace, Vec::new(), None, NOTES_PER_ROUND).await;
    let notes = notes.map_err(|error| WriteError::Unavailable(error.to_string()))?;
    let over =
        notes.into_iter().filter(|(_, note)| time(&Some(note.clone())).is_none_or(|until| until <= now));
    let erase: Vec<Effect> =
        over.map(|(key, _)| Effect::Erase(NoteKey::new(NoteKind::HeldPlace, key))).collect();
    if erase.is_empty() {
        return Ok(());
    }
    store.change(Vec::new(), Box::new(move |_| erase)).await
}

fn key(device: DeviceId) -> NoteKey {
    NoteKey::new(NoteKind::HeldPlace, device.as_bytes().as_slice())
}

fn value(until: TimestampMs) -> Bytes {
    Bytes::copy_from_slice(&until.to_be_bytes())
}

fn time(note: &Option<Bytes>) -> Option<TimestampMs> {
    note.as_ref().and_then(|bytes| bytes.as_ref().try_into().ok()).map(TimestampMs::from_be_bytes)
}
