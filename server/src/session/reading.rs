//! What one device reads: history in waves, then live entries, gap-free and in order in each group.
//!
//! Owned by the session's [`super::actor`], which calls [`Reading::turn`] while [`Reading::has_work`]. A turn
//! reads at most a few hundred kilobytes, from the ring of a group or from the log after the device's cursor,
//! and adds the frames to send; so a slow device costs one turn of memory and nothing else.
//!
//! A user who no longer fits a group that follows the directory is given nothing after the entry that
//! [`Withheld`] names; his place stays, and he reads on from there if he fits again.
//!
//! A device reads `joined_at < seq <= removed_at` (and the header of its own commit at `joined_at`). The
//! roster is read again after each page that holds a commit, because only a commit can change it: what was
//! read before a removal is complete, so nothing after the removal is sent.

mod place;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use cercle_proto::{
    ErrorCode,
    id::{DeviceId, GroupId, Seq, UserId},
};
use cercle_storage::store::{Page, ReadError, ReadFrom, ReadLimit, Store};

use place::Place;

use crate::{
    dispatch::{reply, request::Subscribe},
    error::{Details, Refusal},
    fanout::{Encoded, ForReaders, News, Registration, Relayed, RingRead, put_frames},
    limits,
    membership::withheld::Withheld,
    telemetry::Metrics,
};

/// Reading of one session.
pub struct Reading {
    device: DeviceId,
    user: UserId,
    /// What the user may not have of groups that he no longer fits.
    withheld: Withheld,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    registration: Registration,
    places: HashMap<GroupId, Place>,
    waves: VecDeque<Wave>,
    /// Groups with something new; those of an unfinished wave wait here for its end.
    dirty: HashSet<GroupId>,
    inbox: Option<Inbox>,
    news: News,
    /// Room for the groups of a turn, and for the entries of one of them.
    due: Vec<GroupId>,
    entries: Vec<Encoded>,
}

#[derive(Debug)]
struct Wave {
    number: u64,
    unread: VecDeque<GroupId>,
    groups: Vec<GroupId>,
    refused: Vec<(GroupId, ErrorCode, Seq)>,
}

#[derive(Debug)]
struct Inbox {
    after: u64,
    dirty: bool,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("device", &self.device).field("groups", &self.places.len()).finish()
    }
}

/// What a turn found.
struct Turn<'a> {
    /// Frames to send, in order.
    frames: &'a mut Vec<Bytes>,
    /// Entries in them.
    entries: usize,
}

impl Reading {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(
        registration: Registration,
        user: UserId,
        withheld: Withheld,
        store: Arc<dyn Store>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            device: registration.mailbox().device(),
            user,
            withheld,
            store,
            metrics,
            registration,
            places: HashMap::new(),
            waves: VecDeque::new(),
            dirty: HashSet::new(),
            inbox: None,
            news: News::default(),
            due: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Where wake-ups come from.
    #[must_use]
    pub fn registration(&self) -> &Registration {
        &self.registration
    }

    /// Whether [`Reading::turn`] has something to do.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.waves.is_empty()
            || self.inbox.as_ref().is_some_and(|inbox| inbox.dirty)
            || self.dirty.iter().any(|group| self.is_live(*group))
    }

    /// Takes what the mailbox holds: adds frames to pass on, and returns why the session must end, if it must.
    pub fn look(&mut self, frames: &mut Vec<Bytes>) -> Option<ErrorCode> {
        let news = &mut self.news;
        self.registration.mailbox().take(news);
        if self.dirty.is_empty() {
            std::mem::swap(&mut self.dirty, &mut news.groups);
        } else {
            self.dirty.extend(news.groups.drain());
        }
        if std::mem::take(&mut news.inbox)
            && let Some(inbox) = &mut self.inbox
        {
            inbox.dirty = true;
        }
        frames.extend(news.key_packages_left.take().map(reply::key_packages_low));
        let (withheld, user) = (&self.withheld, &self.user);
        let may_have = |what: &Relayed| match what {
            Relayed::Ephemeral { group, .. } => withheld.after(*group, user).is_none(),
            _ => true,
        };
        frames.extend(news.relayed.drain(..).filter(may_have).map(|what| reply::relayed(&what)));
        news.end.take()
    }

    /// Starts a wave.
    ///
    /// # Errors
    /// When the session reads too many groups or waves already, or the store cannot be read.
    pub async fn subscribe(&mut self, subscribe: Subscribe) -> Result<(), Refusal> {
        for group in subscribe.remove {
            self.forget(group);
        }
        if self.waves.len() >= limits::WAVES_MAX {
            return Err(Refusal::new(ErrorCode::TooMany, "too many waves are being read"));
        }
        if self.places.len() + subscribe.groups.len() > limits::GROUPS_PER_SESSION_MAX {
            return Err(Refusal::new(ErrorCode::TooMany, "the session reads too many groups"));
        }
        // Wake-ups first, then the state: whatever is appended in between wakes the session.
        for (group, _) in &subscribe.groups {
            self.registration.subscribe(*group);
        }
        let memberships = if subscribe.groups.is_empty() {
            HashMap::new()
        } else {
            let memberships = self.store.memberships(self.device).await?;
            memberships.into_iter().map(|membership| (membership.group, membership)).collect()
        };
        let mut wave =
            Wave { number: subscribe.wave, unread: VecDeque::new(), groups: Vec::new(), refused: Vec::new() };
        for (group, after) in subscribe.groups {
            match Place::start(after, memberships.get(&group), subscribe.wave) {
                Ok(place) => {
                    // A group of an earlier wave goes over to this one.
                    self.places.insert(group, place);
                    wave.groups.push(group);
                    wave.unread.push_back(group);
                }
                Err((code, floor)) => {
                    self.forget(group);
                    wave.refused.push((group, code, floor));
                }
            }
        }
        self.waves.push_back(wave);
        let inbox = self.inbox.get_or_insert(Inbox { after: 0, dirty: true });
        inbox.after = inbox.after.max(subscribe.inbox_after);
        Ok(())
    }

    /// Reads a little of everything that is due: inbox, live entries, then one step of the oldest wave. Adds the
    /// frames to send.
    ///
    /// # Errors
    /// When the store cannot be read: the session must end, and the device connects again.
    pub async fn turn(&mut self, frames: &mut Vec<Bytes>) -> Result<(), ReadError> {
        let mut turn = Turn { frames, entries: 0 };
        if self.inbox.as_ref().is_some_and(|inbox| inbox.dirty) {
            Box::pin(self.read_inbox(&mut turn)).await?;
        }
        self.read_live(&mut turn).await?;
        if !self.waves.is_empty() {
            Box::pin(self.read_history(&mut turn)).await?;
        }
        self.metrics.delivered(turn.entries);
        Ok(())
    }

    async fn read_inbox(&mut self, turn: &mut Turn<'_>) -> Result<(), ReadError> {
        let Some(inbox) = self.inbox.as_mut().filter(|inbox| inbox.dirty) else { return Ok(()) };
        let items = self.store.inbox(self.device, inbox.after, limits::INBOX_ITEMS_PER_TURN).await?;
        inbox.dirty = items.len() == limits::INBOX_ITEMS_PER_TURN;
        for item in items {
            inbox.after = item.number;
            turn.frames.push(reply::inbox_item(item));
        }
        Ok(())
    }

    async fn read_live(&mut self, turn: &mut Turn<'_>) -> Result<(), ReadError> {
        let (mut due, mut entries) = (std::mem::take(&mut self.due), std::mem::take(&mut self.entries));
        let live = |group: &GroupId| self.is_live(*group);
        due.extend(self.dirty.iter().copied().filter(live).take(limits::GROUPS_PER_TURN));
        let mut missed = Vec::new();
        for group in due.drain(..) {
            self.dirty.remove(&group);
            // Who is withheld what comes is woken when he may have it.
            let place = self.place(group).map(|place| *place).filter(|place| !place.is_held());
            let Some(Place { cursor, .. }) = place else { continue };
            match self.registration.read(group, cursor, &mut entries) {
                RingRead::UpToDate => {}
                RingRead::Entries { more } => {
                    self.send(group, &mut entries, turn).await?;
                    entries.clear();
                    if more {
                        self.dirty.insert(group);
                    }
                }
                RingRead::Miss => missed.push(group),
            }
        }
        (self.due, self.entries) = (due, entries);
        if missed.is_empty() { Ok(()) } else { Box::pin(self.read_missed(&missed, turn)).await }
    }

    /// Reads live groups from the log that memory no longer holds.
    async fn read_missed(&mut self, missed: &[GroupId], turn: &mut Turn<'_>) -> Result<(), ReadError> {
        let read = self.read_log(missed, turn).await?;
        self.dirty.extend(read.unread);
        for (group, floor) in read.lost {
            let details = Details::ResyncRequired { group, floor };
            turn.frames.push(Refusal::of(ErrorCode::ResyncRequired).with(details).frame(0));
        }
        Ok(())
    }

    async fn read_history(&mut self, turn: &mut Turn<'_>) -> Result<(), ReadError> {
        let Some(mut wave) = self.waves.pop_front() else { return Ok(()) };
        // Groups that were removed, or subscribed again in a later wave, are no longer this wave's.
        let places = &self.places;
        let mine = |group: &GroupId| places.get(group).is_some_and(|place| place.wave == wave.number);
        wave.unread.retain(mine);
        let count = wave.unread.len().min(limits::GROUPS_PER_TURN);
        let step: Vec<GroupId> = wave.unread.drain(..count).collect();
        let read = self.read_log(&step, turn).await?;
        let lost = read.lost.into_iter().map(|(group, floor)| (group, ErrorCode::ResyncRequired, floor));
        wave.refused.extend(lost);
        for group in read.unread.into_iter().rev() {
            wave.unread.push_front(group);
        }
        if !wave.unread.is_empty() {
            self.waves.push_front(wave);
            return Ok(());
        }
        turn.frames.push(reply::catchup_complete(wave.number, &wave.refused));
        for group in wave.groups {
            if let Some(place) = self.places.get_mut(&group).filter(|place| place.wave == wave.number) {
                place.wave = 0;
            }
        }
        Ok(())
    }

    /// Reads several groups from the log after their cursors.
    async fn read_log(&mut self, groups: &[GroupId], turn: &mut Turn<'_>) -> Result<LogRead, ReadError> {
        let mut read = LogRead::default();
        let mut from = Vec::with_capacity(groups.len());
        for group in groups {
            if let Some(place) = self.place(*group).filter(|place| !place.is_held()) {
                from.push(ReadFrom { group: *group, after: place.cursor, until: place.may_read_until() });
            }
        }
        if from.is_empty() {
            return Ok(read);
        }
        self.metrics.log_read();
        let limit = ReadLimit { entries: limits::ENTRIES_PER_TURN, bytes: limits::BYTES_PER_TURN };
        for Page { group, mut entries, more, floor } in self.store.read(from, limit).await? {
            let Some(place) = self.places.get(&group) else { continue };
            if floor > place.cursor {
                self.forget(group);
                read.lost.push((group, floor));
                continue;
            }
            self.send(group, &mut entries, turn).await?;
            if more && self.places.contains_key(&group) {
                read.unread.push(group);
            }
        }
        Ok(read)
    }

    /// Adds entries that follow the device's cursor to the turn, as far as the device may have them.
    async fn send<E: ForReaders>(
        &mut self,
        group: GroupId,
        entries: &mut Vec<E>,
        turn: &mut Turn<'_>,
    ) -> Result<(), ReadError> {
        let roster = if entries.iter().any(ForReaders::is_commit) {
            Some(self.store.roster_entry(group, self.device).await?)
        } else {
            None
        };
        let device = self.device;
        let Some(place) = self.place(group) else { return Ok(()) };
        if let Some(entry) = roster {
            place.limit(entry.as_ref());
        }
        place.admit(entries, device);
        let wave = place.wave;
        let finished = place.is_finished();
        turn.entries += entries.len();
        put_frames(group, wave, entries, device, turn.frames);
        if finished {
            self.forget(group);
        }
        Ok(())
    }

    /// The device's place in a group, with what is withheld at this moment.
    fn place(&mut self, group: GroupId) -> Option<&mut Place> {
        let place = self.places.get_mut(&group)?;
        place.held = self.withheld.after(group, &self.user);
        Some(place)
    }

    fn is_live(&self, group: GroupId) -> bool {
        // A group that is not read any more counts too, so that its mark is taken away.
        self.places.get(&group).is_none_or(|place| place.wave == 0)
    }

    fn forget(&mut self, group: GroupId) {
        self.registration.unsubscribe(group);
        self.places.remove(&group);
    }
}

/// What reading the log left over.
#[derive(Debug, Default)]
struct LogRead {
    /// Groups with more to read.
    unread: Vec<GroupId>,
    /// Groups whose log no longer reaches back to the cursor, and their floor.
    lost: Vec<(GroupId, Seq)>,
}
