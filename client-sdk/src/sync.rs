//! Applies the log in order, sends the outbox, recovers.
//!
//! The whole conversation with the hub as one state machine. [`Memory`] is what a device holds in memory:
//! a cache of the store, and the state of the present connection. [`Cx`] is one step: an input, the time,
//! one transaction, and the actions it leads to, which the core gives out after the commit only.
//!
//! - [`session`]: from the first frame to `Ready`, requests and their answers, pings;
//! - [`certificate`]: what the hub issues;
//! - [`verdict`]: what a refusal by the hub means for the request that it answers;
//! - [`listing`]: which groups there are, subscribing, signs of a restored store or hub;
//! - [`content`]: what a stored message means for this device; [`agenda`]: what it does by itself at a time;
//! - [`direct`]: the thread of two people; [`kind`]: what kind a thread is; [`permission`]: may this be said here; [`reading`]: marks and
//!   receipts; [`typing`]: the ephemeral lane; [`finding`]: search;
//! - [`entries`]: applying the log; [`membership`]: what commits change;
//! - [`inbox`]: welcomes and reports;
//! - [`transfers`]: documents on their way;
//! - [`outbox`]: messages; [`pace`]: not too fast; [`intents`] and [`staging`]: changes of groups;
//! - [`recovery`]: the way back into a group; [`restored`] and [`forgotten`]: a hub that has
//!   forgotten;
//! - [`requests`]: what was asked of others, and who takes it on;
//! - [`rules`]: groups that follow the directory;
//! - [`vault`]: what this device keeps for the day on which its user comes back;
//! - [`device_changes`]: which devices of members came and went;
//! - [`own_state`]: what the devices of one user tell each other;
//! - [`siblings`]: further devices of the same user;
//! - [`upkeep`]: key packages, certificate, duties towards other members;
//! - [`commands`]: what the app asks for; [`circle`]: the rules of patient circles; [`history`]: what
//!   newcomers are given.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use cercle_proto::{
    id::{DeviceId, Epoch, GroupId, MessageId, TimestampMs, UserId},
    v1,
};
use openmls_rust_crypto::RustCrypto;

use crate::{
    core::{Action, DisconnectReason, GroupState, Outcome, Settings},
    error::Error,
    event::Event,
    mls::{
        MlsError, MlsGroup,
        commit::Author,
        group::Cache,
        identity::{DeviceKeys, Myself},
        provider::Provider,
    },
    store::{
        StoreError, Tx,
        groups::GroupRow,
        identity::{CertificateRecord, IdentityRecord, Standing},
    },
};
use crate::{search::index::Index, thread::Thread};
use dice::Dice;
use pace::Pace;
use session::Session;

pub(crate) mod acknowledging;
pub(crate) mod agenda;
pub(crate) mod certificate;
pub(crate) mod circle;
pub(crate) mod commands;
pub(crate) mod content;
pub(crate) mod device_changes;
pub(crate) mod dice;
pub(crate) mod direct;
pub(crate) mod entries;
pub(crate) mod event_alerts;
pub(crate) mod finding;
pub(crate) mod forgotten;
pub(crate) mod history;
pub(crate) mod inbox;
pub(crate) mod intents;
pub(crate) mod kind;
pub(crate) mod listing;
pub(crate) mod membership;
pub(crate) mod outbox;
pub(crate) mod own_state;
pub(crate) mod pace;
pub(crate) mod permission;
pub(crate) mod reading;
pub(crate) mod recovery;
pub(crate) mod requests;
pub(crate) mod restored;
pub(crate) mod rules;
pub(crate) mod session;
pub(crate) mod siblings;
pub(crate) mod staging;
pub(crate) mod transfers;
pub(crate) mod typing;
pub(crate) mod upkeep;
pub(crate) mod vault;
pub(crate) mod verdict;

/// A step either succeeds or the store has failed; everything else is handled where it happens.
pub(crate) type Step<T = ()> = Result<T, StoreError>;

/// What a device holds in memory.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) crypto: Arc<RustCrypto>,
    pub(crate) settings: Settings,
    pub(crate) identity: Option<Arc<IdentityRecord<DeviceKeys>>>,
    pub(crate) me: Option<Arc<Myself>>,
    pub(crate) standing: Standing,
    pub(crate) groups: BTreeMap<GroupId, Lane>,
    pub(crate) cache: Cache,
    pub(crate) session: Session,
    pub(crate) pace: Pace,
    /// When another session of this device last replaced the one of this program.
    pub(crate) replaced_at: Option<TimestampMs>,
    /// Commands that end with an intent: intent number to command id.
    pub(crate) waiting: HashMap<u64, u64>,
    /// Groups in which something may be possible that was not before.
    pub(crate) dirty: BTreeSet<GroupId>,
    /// What the messages of groups add up to; made when it is asked for, then kept up to date.
    pub(crate) threads: HashMap<GroupId, Thread>,
    /// Words of the messages; each group's when it is first searched, then kept up to date.
    pub(crate) words: Index,
    /// When the next appointment is due.
    pub(crate) next_appointment: Option<TimestampMs>,
    /// Ids and delays.
    pub(crate) dice: Dice,
}

/// One group: its stored row, and how far it is on the present connection.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) row: GroupRow,
    /// Subscribed on this connection.
    pub(crate) subscribed: bool,
    /// Read to the head: writing is allowed.
    pub(crate) live: bool,
    /// Messages that were sent and not answered.
    pub(crate) in_flight: BTreeMap<MessageId, Epoch>,
    /// Messages up to this position of the outbox were sent on this connection.
    pub(crate) flushed: u64,
    /// The hub refused messages of this epoch as too old: wait for a newer one.
    pub(crate) stale: Option<Epoch>,
    /// The hub asked for patience: nothing is written before this time.
    pub(crate) hold_until: TimestampMs,
    /// One message at a time, after a refusal that was for the moment.
    pub(crate) careful: bool,
    /// An intent's request is on its way.
    pub(crate) busy: bool,
    /// Waiting proposals of others are to be committed by this device at this time.
    pub(crate) commit_due: Option<TimestampMs>,
    /// Devices to be added again by this device, each at its time.
    pub(crate) re_add_due: BTreeMap<DeviceId, TimestampMs>,
    /// Whom the directory wants added and removed.
    pub(crate) due: Option<rules::Due>,
    /// When something in this group becomes due.
    pub(crate) wake: Option<TimestampMs>,
    /// What was said and heard that is not stored.
    pub(crate) whisper: typing::Whisper,
    /// What is special because the hub was restored.
    pub(crate) aftermath: restored::Aftermath,
}

impl Lane {
    pub(crate) fn new(row: GroupRow) -> Self {
        Self {
            row,
            subscribed: false,
            live: false,
            in_flight: BTreeMap::new(),
            flushed: 0,
            stale: None,
            hold_until: 0,
            careful: false,
            busy: false,
            commit_due: None,
            re_add_due: BTreeMap::new(),
            due: None,
            wake: None,
            whisper: typing::Whisper::default(),
            aftermath: restored::Aftermath::default(),
        }
    }

    /// Forgets everything that belongs to a connection.
    pub(crate) fn disconnect(&mut self) {
        let row = self.row.clone();
        *self = Self::new(row);
    }

    pub(crate) fn state(&self) -> GroupState {
        self.row.record.state
    }
}

impl Memory {
    /// Reads everything from the store.
    ///
    /// # Errors
    /// When the store fails or is damaged.
    pub(crate) fn load(tx: &Tx<'_>, settings: Settings) -> Step<Self> {
        let identity = tx.identity::<DeviceKeys>()?.map(Arc::new);
        let me = match (&identity, tx.certificate()?) {
            (Some(identity), Some(certificate)) => Some(enrolled(identity, &certificate)?),
            _ => None,
        };
        let groups = tx.groups()?.into_iter().map(|(group, row)| (group, Lane::new(row))).collect();
        Ok(Self {
            crypto: Arc::new(RustCrypto::default()),
            settings,
            identity,
            me,
            standing: tx.standing()?,
            groups,
            cache: Cache::default(),
            session: Session::default(),
            pace: Pace::new(settings.messages_per_second),
            replaced_at: None,
            waiting: HashMap::new(),
            dirty: BTreeSet::new(),
            threads: HashMap::new(),
            words: Index::default(),
            next_appointment: tx.next_appointment()?,
            dice: Dice::default(),
        })
    }

    /// A fresh random id.
    pub(crate) fn random_id(&self) -> [u8; 16] {
        self.dice.throw(&self.crypto)
    }

    /// When the core must be called again at the latest.
    pub(crate) fn next_wake(&self) -> Option<TimestampMs> {
        let groups = self.groups.values().filter_map(|lane| lane.wake);
        let due = self.session.next_wake().into_iter().chain(groups).chain(self.renewal_at());
        due.chain(self.next_appointment).min()
    }
}

/// This device, enrolled.
pub(crate) fn enrolled(
    identity: &IdentityRecord<DeviceKeys>,
    record: &CertificateRecord,
) -> Step<Arc<Myself>> {
    Myself::new(&record.certificate, &record.root, &identity.keys)
        .map(Arc::new)
        .map_err(|_| StoreError::Damaged("the stored certificate"))
}

/// One step of the state machine.
#[derive(Debug)]
pub(crate) struct Cx<'a, 't> {
    pub(crate) tx: &'a Tx<'t>,
    pub(crate) m: &'a mut Memory,
    pub(crate) now: TimestampMs,
    pub(crate) actions: Vec<Action>,
}

impl<'a> Cx<'a, '_> {
    pub(crate) fn provider(&self) -> Provider<'a> {
        Provider::new(&self.m.crypto, self.tx)
    }

    pub(crate) fn emit(&mut self, event: Event) {
        // What the devices of one user say to each other is nothing to show.
        let lane = event.shown_in().and_then(|group| self.m.groups.get(&group));
        if lane.is_some_and(|lane| lane.row.record.personal) {
            return;
        }
        self.actions.push(Action::Emit(event));
    }

    pub(crate) fn finish(&mut self, command: u64, result: Result<Outcome, Error>) {
        self.actions.push(Action::Finished { id: command, result });
    }

    pub(crate) fn disconnect(&mut self, reason: DisconnectReason, retry: bool) {
        self.m.session.phase = session::Phase::Closing;
        self.actions.push(Action::Disconnect { reason, retry });
    }

    /// Sends a frame that nobody answers.
    pub(crate) fn tell(&mut self, body: v1::client_frame::Body) {
        self.actions.push(Action::Send(cercle_proto::frame::client(0, body)));
    }

    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        self.m.dice.throw(&self.m.crypto)
    }

    /// A number below a bound.
    pub(crate) fn random_below(&self, bound: u64) -> u64 {
        u64::from_be_bytes(self.random()) % bound.max(1)
    }

    pub(crate) fn message_id(&self) -> MessageId {
        MessageId::from_time(self.now, &self.random())
    }

    /// This device's id, if it has begun to enrol.
    pub(crate) fn own_device(&self) -> Option<DeviceId> {
        self.m.identity.as_ref().map(|identity| DeviceId::new(identity.device))
    }

    /// Works on a group's MLS state. On an error all its changes are undone, in store and memory.
    ///
    /// # Errors
    /// Outer: the store failed. Inner: what `work` says.
    pub(crate) fn with_group<T>(
        &mut self,
        group: GroupId,
        work: impl FnOnce(&Provider<'_>, &Tx<'_>, &mut MlsGroup, Author<'_>) -> Result<T, MlsError>,
    ) -> Step<Result<T, MlsError>> {
        let (Some(identity), Some(me)) = (self.m.identity.clone(), self.m.me.clone()) else {
            return Ok(Err(MlsError::NoGroup));
        };
        let provider = self.provider();
        self.tx.mark(0)?;
        let author = Author { keys: &identity.keys, me: &me, now: self.now };
        let result = self.m.cache.take(&provider, group).and_then(|mut loaded| {
            let value = work(&provider, self.tx, &mut loaded, author)?;
            Ok((value, loaded))
        });
        match result {
            Ok((value, loaded)) => {
                self.tx.keep_since_mark(0)?;
                self.m.cache.keep(group, loaded);
                Ok(Ok(value))
            }
            Err(error) => {
                self.tx.rollback_to_mark(0)?;
                self.m.cache.forget(group);
                Ok(Err(error))
            }
        }
    }

    /// Writes a group's row as it is in memory.
    pub(crate) fn save(&mut self, group: GroupId) -> Step {
        match self.m.groups.get(&group) {
            Some(lane) => self.tx.write_group(group, &lane.row),
            None => Ok(()),
        }
    }

    pub(crate) fn lane(&mut self, group: GroupId) -> Option<&mut Lane> {
        self.m.groups.get_mut(&group)
    }

    /// Something may have become possible in a group.
    pub(crate) fn touch(&mut self, group: GroupId) {
        self.m.dirty.insert(group);
    }

    /// Does everything that is possible in the groups that were touched or have something due.
    pub(crate) fn drive(&mut self) -> Step {
        if self.m.session.phase != session::Phase::Ready {
            self.m.dirty.clear();
            return Ok(());
        }
        self.upkeep()?;
        let now = self.now;
        let due = self.m.groups.iter().filter(|(_, lane)| lane.wake.is_some_and(|wake| wake <= now));
        let due: Vec<GroupId> = due.map(|(group, _)| *group).collect();
        self.m.dirty.extend(due);
        while let Some(group) = self.m.dirty.pop_first() {
            if let Some(lane) = self.lane(group) {
                lane.wake = None;
            }
            self.drive_group(group)?;
        }
        Ok(())
    }

    fn drive_group(&mut self, group: GroupId) -> Step {
        let Some(lane) = self.m.groups.get(&group) else { return Ok(()) };
        match lane.state() {
            GroupState::Closed => Ok(()),
            GroupState::Recovering => self.drive_recovery(group),
            GroupState::Creating => self.drive_intents(group),
            GroupState::Active | GroupState::Leaving if !lane.live => Ok(()),
            GroupState::Active | GroupState::Leaving => {
                self.drive_duties(group)?;
                self.follow_directory(group)?;
                self.drive_intents(group)?;
                self.flush_outbox(group)
            }
        }
    }

    /// Asks to be called again for a group.
    pub(crate) fn wake_at(&mut self, group: GroupId, at: TimestampMs) {
        if let Some(lane) = self.lane(group) {
            lane.wake = Some(lane.wake.map_or(at, |earlier| earlier.min(at)));
        }
    }
}

/// Reads the user ids of an intent; those that are damaged are left out.
pub(crate) fn user_ids(users: &[String]) -> Vec<UserId> {
    users.iter().filter_map(|user| UserId::parse(user).ok()).collect()
}
