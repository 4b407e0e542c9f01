//! Alerts until they are acknowledged: who was reached, who has not answered, and what happens then.
//!
//! What an alert says is a message in its groups, which the hub cannot read. Here are its number, its mode and
//! its plan. Every fact is a note of the store before it is told to anybody; every step of the plan is a
//! durable timer, which leaves a note with its firing. The note goes with the write that says that the step
//! was carried out: a hub that is killed in between carries the step out again, with the same collapse
//! numbers, so that push services and hooks can tell.
//!
//! - [`record`]: what is kept, and what is due when. `live`: the same in memory, and the tally.
//! - `opening`: open, confirm, close; `member`: what members who are no publishers may, within [`limits`]. `answers`: delivered, seen, acknowledged. `ringing`: the steps.
//! - `report`: recipients and reachability. [`hook`]: the fallback. `error`: what can go wrong.

mod answers;
mod error;
pub mod hook;
pub mod limits;
mod live;
mod member;
mod opening;
pub mod record;
mod report;
mod ringing;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use cercle_proto::id::{GroupId, Seq, TimestampMs, UserId};
use cercle_storage::store::{NoteKey, NoteKind, ReadError, Store};
use dashmap::DashMap;
use tokio::sync::Notify;

use crate::{auth::Identity, clock::Clock, delivery::cursors::Cursors, fanout::Fanout, push::Push};
pub use error::Error;
use hook::Hook;
use live::Live;
pub use live::Tally;
pub use opening::{Audience, OpenRequest};
use record::{AlertId, AlertRecord, Mode, Phase, RecipientRecord};
pub use report::{Reachable, Recipient, Report};
pub use ringing::timer_effects;

/// How far an alert is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Which.
    pub alert: AlertId,
    /// Where it is.
    pub phase: Phase,
    /// Visible everywhere.
    pub mode: Mode,
    /// When it began to ring.
    pub ringing_since: Option<TimestampMs>,
    /// Until when it rings.
    pub expires_at: TimestampMs,
    /// How many recipients are how far.
    pub tally: Tally,
    /// Publisher who opened it.
    pub opened_by: String,
    /// Publisher who confirmed it.
    pub confirmed_by: Option<String>,
}

impl Status {
    fn new(alert: AlertId, record: &AlertRecord, tally: Tally, now: TimestampMs) -> Self {
        Self {
            alert,
            phase: record.phase(now),
            mode: record.mode,
            ringing_since: record.ringing_since,
            expires_at: record.expires_at,
            tally,
            opened_by: record.opened_by.clone(),
            confirmed_by: record.confirmed_by.clone(),
        }
    }
}

/// The alerts of a hub. Cheap to clone.
#[derive(Clone)]
pub struct Alerts(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    cursors: Cursors,
    fanout: Fanout,
    push: Push,
    clock: Clock,
    hook: Hook,
    /// A second publisher must confirm before an alert rings.
    two_persons: bool,
    live: DashMap<AlertId, Arc<Live>>,
    /// Groups of alerts that are not over.
    groups: DashMap<GroupId, Vec<(AlertId, Seq)>>,
    /// Timers were armed.
    armed: Notify,
}

impl std::fmt::Debug for Alerts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alerts").field("live", &self.0.live.len()).finish_non_exhaustive()
    }
}

impl Alerts {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        cursors: Cursors,
        fanout: Fanout,
        push: Push,
        clock: Clock,
        hook: Hook,
        two_persons: bool,
    ) -> Self {
        let (live, groups, armed) = (DashMap::new(), DashMap::new(), Notify::new());
        Self(Arc::new(Inner { store, cursors, fanout, push, clock, hook, two_persons, live, groups, armed }))
    }

    /// Without a fallback hook, one publisher enough: for hubs without files.
    #[must_use]
    pub fn without_hook(
        store: Arc<dyn Store>,
        cursors: Cursors,
        fanout: Fanout,
        push: Push,
        clock: Clock,
    ) -> Self {
        Self::new(store, cursors, fanout, push, clock, Hook::None, false)
    }

    /// Reads the alerts that are not over; called once, before anything is served.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn load(&self) -> Result<(), ReadError> {
        let now = self.0.clock.now();
        for (id, record) in self.all().await? {
            if matches!(record.phase(now), Phase::Awaiting | Phase::Ringing) {
                let recipients = self.recipients(id).await?;
                self.keep(Live::new(id, record, recipients));
            }
        }
        let live: Vec<_> = self.0.live.iter().map(|live| live.value().clone()).collect();
        for live in live {
            // Cursors may have moved without a note before the end of the last run.
            if let Err(error) = self.sweep(&live, now).await {
                tracing::warn!(cause = %crate::error::Chain(&error), "the cursors of an alert were not read");
            }
        }
        Ok(())
    }

    /// Returns when timers may have been armed since the last call. Cancel-safe.
    pub(crate) async fn armed(&self) {
        self.0.armed.notified().await;
    }

    /// Every alert that is kept.
    async fn all(&self) -> Result<Vec<(AlertId, AlertRecord)>, ReadError> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let store = &self.0.store;
            let page =
                store.notes(NoteKind::Alert, Vec::new(), after.take(), crate::limits::ALERT_PAGE).await?;
            for (key, value) in &page {
                all.push((alert_of(key)?, decode(value)?));
            }
            if page.len() < crate::limits::ALERT_PAGE {
                return Ok(all);
            }
            after = page.into_iter().last().map(|(key, _)| key);
        }
    }

    /// The recipients of an alert.
    async fn recipients(&self, id: AlertId) -> Result<BTreeMap<UserId, RecipientRecord>, ReadError> {
        let mut all = BTreeMap::new();
        let mut after = None;
        loop {
            let page = self.recipients_page(id, after.take()).await?;
            let full = page.len() == crate::limits::ALERT_PAGE;
            after = page.last().map(|(user, _)| user.clone());
            all.extend(page);
            if !full {
                return Ok(all);
            }
        }
    }

    /// The recipients of an alert after a user, at most [`crate::limits::ALERT_PAGE`].
    async fn recipients_page(
        &self,
        id: AlertId,
        after: Option<UserId>,
    ) -> Result<Vec<(UserId, RecipientRecord)>, ReadError> {
        let after = after.map(|user| recipient_note(id, &user).key);
        let kind = NoteKind::AlertRecipient;
        let page = self.0.store.notes(kind, id.0.to_vec(), after, crate::limits::ALERT_PAGE).await?;
        let recipient = |(key, value): &(Vec<u8>, Bytes)| {
            let user = key.get(16..).and_then(|user| std::str::from_utf8(user).ok());
            let user = user.and_then(|user| UserId::parse(user).ok()).ok_or_else(damaged)?;
            Ok((user, decode(value)?))
        };
        page.iter().map(recipient).collect()
    }

    /// Keeps an alert in memory.
    fn keep(&self, live: Live) -> Arc<Live> {
        let live = Arc::new(live);
        for (group, seq) in live.record().places() {
            self.0.groups.entry(group).or_default().push((live.id, seq));
        }
        self.0.live.insert(live.id, live.clone());
        live
    }

    /// Forgets an alert that is over.
    fn let_go(&self, id: AlertId) {
        let Some((_, live)) = self.0.live.remove(&id) else { return };
        for (group, _) in live.record().places() {
            self.0.groups.remove_if_mut(&group, |_, alerts| {
                alerts.retain(|(alert, _)| *alert != id);
                alerts.is_empty()
            });
        }
    }

    fn live(&self, id: AlertId) -> Option<Arc<Live>> {
        self.0.live.get(&id).map(|live| live.value().clone())
    }

    /// Tells the sessions that watch how far it is.
    fn tell(&self, live: &Live) {
        let watchers = live.watchers();
        if watchers.is_empty() {
            return;
        }
        let _turn = live.telling();
        let status = Arc::new(live.status(self.0.clock.now()));
        for device in watchers {
            if self.0.fanout.has_session(device) {
                self.0.fanout.alert_status(device, &status);
            } else {
                live.forget_watcher(device);
            }
        }
    }
}

fn require_publisher(by: &Identity) -> Result<(), Error> {
    if by.has_role(cercle_proto::v1::Role::CrisisPublisher) { Ok(()) } else { Err(Error::NotAuthorised) }
}

fn alert_note(id: AlertId) -> NoteKey {
    NoteKey::new(NoteKind::Alert, id.0.as_slice())
}

fn step_note(id: AlertId) -> NoteKey {
    NoteKey::new(NoteKind::AlertStep, id.0.as_slice())
}

fn recipient_note(id: AlertId, user: &UserId) -> NoteKey {
    NoteKey::new(NoteKind::AlertRecipient, [id.0.as_slice(), user.as_str().as_bytes()].concat())
}

fn alert_of(key: &[u8]) -> Result<AlertId, ReadError> {
    key.try_into().map(AlertId).map_err(|_| damaged())
}

fn encode(record: &impl serde::Serialize) -> Bytes {
    Bytes::from(postcard::to_stdvec(record).expect("a record is plain data"))
}

fn decode<R: serde::de::DeserializeOwned>(value: &[u8]) -> Result<R, ReadError> {
    postcard::from_bytes(value).map_err(|_| damaged())
}

fn damaged() -> ReadError {
    ReadError::Corrupt("a note of an alert".into())
}
