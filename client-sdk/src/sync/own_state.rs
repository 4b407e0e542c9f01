//! Read marks and drafts, the same on all devices of a user: what changes here is told to the others in the
//! group of own devices after a moment, what they tell is taken over. Claims need nothing of it: they are in
//! the logs of their groups.

use cercle_proto::id::{GroupId, Seq};

use super::{Cx, Step, agenda::Appointment};
use crate::{
    error::Error,
    event::{Event, Message},
    limits,
    message::{self, Body, OwnDraft, OwnState},
    mls::group,
    store::Tx,
};

/// Notes of groups whose read mark is to be told.
const READS: &str = "own_read_due";
/// Notes of groups whose draft is to be told.
const DRAFTS: &str = "own_draft_due";
/// Notes of drafts; the key is the group.
const DRAFT: &str = "own_draft";
/// The note that something is to be told soon.
const DUE: &str = "own_state_due";

impl Cx<'_, '_> {
    /// This user has read a group up to a place.
    pub(crate) fn own_read_changed(&mut self, group: GroupId, up_to: Seq) -> Step {
        if self.has_siblings()? {
            self.tx.write_note(READS, group.as_bytes(), &up_to)?;
            self.tell_own_soon()?;
        }
        Ok(())
    }

    /// This user has begun to write something; empty: nothing any more.
    pub(crate) fn set_draft(&mut self, group: GroupId, text: String) -> Step<Result<(), Error>> {
        if !self.m.groups.contains_key(&group) {
            return Ok(Err(Error::UnknownGroup(group)));
        }
        if text.len() > limits::TEXT_BYTES_MAX {
            return Ok(Err(Error::Invalid("a draft is longer than a message may be")));
        }
        let draft = OwnDraft { group: *group.as_bytes(), text, at_ms: self.now };
        self.tx.write_note(DRAFT, group.as_bytes(), &draft)?;
        if self.has_siblings()? {
            self.tx.write_note(DRAFTS, group.as_bytes(), &())?;
            self.tell_own_soon()?;
        }
        Ok(Ok(()))
    }

    /// What this user has begun to write in a group; empty: nothing.
    pub(crate) fn draft(tx: &Tx<'_>, group: GroupId) -> Step<String> {
        let draft = tx.note::<OwnDraft>(DRAFT, group.as_bytes())?;
        Ok(draft.map(|draft| draft.text).unwrap_or_default())
    }

    /// Whether something is to be told in a moment.
    pub(crate) fn own_state_waits(tx: &Tx<'_>) -> Step<bool> {
        Ok(tx.note::<()>(DUE, &[])?.is_some())
    }

    /// The others are told at once that they may join groups.
    pub(crate) fn own_groups_changed(&mut self) -> Step {
        let state = OwnState { groups_changed: true, ..OwnState::default() };
        self.tell_own(state)
    }

    /// The others are told at once with which keys the backup is kept.
    pub(crate) fn own_vault_changed(&mut self, vault_keys: Vec<u8>) -> Step {
        self.tell_own(OwnState { vault_keys, ..OwnState::default() })
    }

    /// The moment has come.
    pub(crate) fn tell_own_due(&mut self) -> Step {
        self.tx.delete_note(DUE, &[])?;
        let mut state = OwnState::default();
        let reads = self.tx.notes::<Seq>(READS)?;
        if reads.len() > limits::OWN_STATE_GROUPS_MAX {
            self.tell_own_soon()?;
        }
        for (key, up_to) in reads.into_iter().take(limits::OWN_STATE_GROUPS_MAX) {
            self.tx.delete_note(READS, &key)?;
            state.reads.extend(GroupId::try_from(key.as_slice()).ok().map(|group| (group, up_to)));
        }
        let mut bytes = 0;
        for (key, ()) in self.tx.notes::<()>(DRAFTS)? {
            let Some(draft) = self.tx.note::<OwnDraft>(DRAFT, &key)? else { continue };
            bytes += draft.text.len();
            let full = bytes > limits::TEXT_BYTES_MAX && !state.drafts.is_empty();
            if full || state.drafts.len() == limits::OWN_STATE_GROUPS_MAX {
                self.tell_own_soon()?;
                break;
            }
            self.tx.delete_note(DRAFTS, &key)?;
            state.drafts.push(draft);
        }
        self.tell_own(state)
    }

    fn tell_own(&mut self, state: OwnState) -> Step {
        let Some(own) = self.m.own_group() else { return Ok(()) };
        if state == OwnState::default() || !self.has_siblings()? {
            return Ok(());
        }
        match message::compose(&Body::OwnState(state).into(), self.now) {
            Ok(content) => self.queue(own, &content).map(drop),
            Err(error) => {
                tracing::error!(%error, "the state for other devices cannot be said");
                Ok(())
            }
        }
    }

    fn tell_own_soon(&mut self) -> Step {
        if self.tx.note::<()>(DUE, &[])?.is_some() {
            return Ok(());
        }
        self.tx.write_note(DUE, &[], &())?;
        self.remind(self.now + limits::OWN_STATE_PAUSE_MS, &Appointment::TellOwnState)
    }

    /// Another device of this user tells something.
    pub(crate) fn own_state_told(&mut self, message: &Message, state: &OwnState) -> Step {
        let own = self.m.groups.get(&message.group).is_some_and(|lane| lane.row.record.personal);
        let user = self.m.me.as_ref().is_some_and(|me| me.identity.user == message.sender);
        if message.own || !own || !user || message::Kind::check(state).is_err() {
            return Ok(());
        }
        for (group, up_to) in &state.reads {
            let cursor = self.m.groups.get(group).map(|lane| lane.row.cursor);
            if cursor.is_some() {
                self.returned_read(*group, *up_to)?;
                self.emit(Event::OwnStateChanged { group: *group });
            }
        }
        for draft in &state.drafts {
            let group = GroupId::new(draft.group);
            let known = self.tx.note::<OwnDraft>(DRAFT, &draft.group)?;
            if known.is_none_or(|known| known.at_ms <= draft.at_ms) {
                self.tx.write_note(DRAFT, &draft.group, draft)?;
                self.emit(Event::OwnStateChanged { group });
            }
        }
        if state.groups_changed {
            self.m.session.siblings_asked = false;
            self.ask_for_sibling_groups();
        }
        if !state.vault_keys.is_empty() {
            self.vault_keys_told(&state.vault_keys)?;
        }
        Ok(())
    }

    /// Whether another device of this user is in the group of own devices.
    fn has_siblings(&mut self) -> Step<bool> {
        let Some(own) = self.m.own_group() else { return Ok(false) };
        let members =
            self.with_group(own, |_, _, loaded, author| Ok(group::members(loaded, author.me)?.len()))?;
        Ok(members.unwrap_or(0) > 1)
    }
}
