//! The way back into a group that this device cannot follow: docs/protocol.md section 7, steps 3 and 4.
//!
//! A group in recovery is read on as long as its old state can open what comes, but nothing is encrypted
//! in it. Then the device joins by external commit, in place of its old leaf; everything between its
//! cursor and that commit is one gap. What waits in the outbox and among the intents goes on afterwards.

use cercle_proto::{
    frame,
    id::{GroupId, MessageId, Seq},
    v1::{self, client_frame::Body as Request},
};

use super::{
    Cx, Step,
    session::Pending,
    verdict::{Verdict, verdict},
};
use crate::{
    core::GroupState,
    event::{Event, GapReason},
    limits,
    mls::{
        MlsError,
        commit::{Author, Bundle},
        external, group,
    },
    store::{
        groups::{Recovery, Rejoin},
        intents::Change,
    },
};

impl Cx<'_, '_> {
    /// A group cannot be followed, or must not be written to in its present state. `readable`: the present
    /// state may still open messages.
    pub(crate) fn begin_recovery(&mut self, group: GroupId, reason: GapReason, readable: bool) -> Step {
        let Some(lane) = self.lane(group) else { return Ok(()) };
        match (lane.state(), &mut lane.row.record.recovery) {
            (GroupState::Closed | GroupState::Creating, _) => return Ok(()),
            (GroupState::Recovering, Some(recovery)) if recovery.readable && !readable => {
                recovery.readable = false;
                self.touch(group);
                return self.save(group);
            }
            (GroupState::Recovering, Some(_)) => return Ok(()),
            _ => {}
        }
        let leaving = lane.state() == GroupState::Leaving;
        lane.row.record.state = GroupState::Recovering;
        let mut recovery = Recovery::new(reason, readable);
        recovery.leaving = leaving;
        lane.row.record.recovery = Some(recovery);
        lane.in_flight.clear();
        lane.flushed = 0;
        lane.stale = None;
        lane.busy = false;
        self.save(group)?;
        self.tx.clear_ciphertexts(group)?;
        self.unstage_all(group)?;
        self.emit(Event::Recovering { group, reason });
        self.touch(group);
        Ok(())
    }

    /// Takes the next step of a recovery.
    pub(crate) fn drive_recovery(&mut self, group: GroupId) -> Step {
        let now = self.now;
        let Some(lane) = self.m.groups.get(&group) else { return Ok(()) };
        let Some(recovery) = lane.row.record.recovery.clone() else { return Ok(()) };
        if recovery.absent {
            return self.drive_absent(group, recovery.not_before);
        }
        let reads = recovery.readable || recovery.counted.is_some();
        let reads_on = reads && lane.subscribed && !lane.live;
        if lane.busy || reads_on {
            return Ok(());
        }
        if let Some(rejoin) = &recovery.rejoin {
            return self.send_rejoin(group, rejoin);
        }
        if recovery.not_before > now {
            self.wake_at(group, recovery.not_before);
            return Ok(());
        }
        if let Some(lane) = self.lane(group) {
            lane.busy = true;
        }
        let get = v1::GetGroupInfo { group: group.to_bytes() };
        self.request(Request::GetGroupInfo(get), Pending::GroupInfo { group });
        Ok(())
    }

    /// The hub gave out what an external commit needs.
    pub(crate) fn group_info(&mut self, group: GroupId, info: &v1::GroupInfo) -> Step {
        let Some(lane) = self.lane(group) else { return Ok(()) };
        lane.busy = false;
        let waits = lane.row.record.recovery.as_ref().is_some_and(|recovery| recovery.rejoin.is_none());
        if !waits {
            return Ok(());
        }
        match self.build_rejoin(group, info)? {
            Ok(bundle) => {
                let message = self.message_id();
                let body = Request::CommitBundle(v1::CommitBundle {
                    group: group.to_bytes(),
                    message_id: message.to_bytes(),
                    commit: bundle.commit.into(),
                    welcome: bundle.welcome.into(),
                    group_info: bundle.group_info.into(),
                    application: None,
                });
                let frame = frame::encode(&frame::client(0, body)).to_vec();
                let rejoin = Rejoin { message: *message.as_bytes(), frame };
                if let Some(recovery) = self.recovery(group) {
                    recovery.readable = false;
                    recovery.rejoin = Some(rejoin);
                }
                self.save(group)?;
                self.touch(group);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(group.id = ?group, %error, "an external commit cannot be built");
                self.try_again(group)
            }
        }
    }

    fn build_rejoin(&mut self, group: GroupId, info: &v1::GroupInfo) -> Step<Result<Bundle, MlsError>> {
        let (Some(identity), Some(me)) = (self.m.identity.clone(), self.m.me.clone()) else {
            return Ok(Err(MlsError::NoGroup));
        };
        let provider = self.provider();
        let author = Author { keys: &identity.keys, me: &me, now: self.now };
        self.m.cache.forget(group);
        self.tx.mark(0)?;
        match external::rejoin(&provider, author, group, info) {
            Ok((joined, bundle)) => {
                self.tx.keep_since_mark(0)?;
                self.m.cache.keep(group, joined);
                Ok(Ok(bundle))
            }
            Err(error) => {
                self.tx.rollback_to_mark(0)?;
                Ok(Err(error))
            }
        }
    }

    fn send_rejoin(&mut self, group: GroupId, rejoin: &Rejoin) -> Step {
        let decoded = frame::decode_client(rejoin.frame.clone().into());
        let Some(body) = decoded.ok().and_then(|frame| frame.body) else {
            return self.try_again(group);
        };
        if let Some(lane) = self.lane(group) {
            lane.busy = true;
        }
        self.request(body, Pending::Rejoin { group, message: rejoin.message() });
        Ok(())
    }

    /// If this frame holds the own external commit, the group is followed from there; returns the entries
    /// that are left to apply.
    pub(crate) fn after_own_rejoin<'e>(
        &mut self,
        group: GroupId,
        entries: &'e [v1::Entry],
    ) -> Step<&'e [v1::Entry]> {
        let Some(rejoin) = self.recovery(group).and_then(|recovery| recovery.rejoin.clone()) else {
            return Ok(entries);
        };
        let own = |entry: &v1::Entry| entry.message_id.as_ref() == rejoin.message.as_slice();
        match entries.iter().position(own) {
            Some(index) => {
                self.count_entries(group, &entries[..index])?;
                self.rejoined(group, entries[index].seq)?;
                Ok(&entries[index + 1..])
            }
            None => Ok(entries),
        }
    }

    /// The hub has stored the external commit.
    pub(crate) fn rejoin_accepted(&mut self, group: GroupId, message: MessageId, seq: Seq) -> Step {
        let awaited = self
            .recovery(group)
            .is_some_and(|recovery| recovery.rejoin.as_ref().is_some_and(|r| r.message() == message));
        // What is counted is counted up to the commit itself, which comes with the entries.
        let counts = self.m.groups.get(&group).is_some_and(|lane| {
            lane.subscribed && lane.row.record.recovery.as_ref().is_some_and(|r| r.counted.is_some())
        });
        if awaited && !counts { self.rejoined(group, seq) } else { Ok(()) }
    }

    fn rejoined(&mut self, group: GroupId, seq: Seq) -> Step {
        let entered = self.with_group(group, |_, _, loaded, _| {
            Ok((loaded.epoch().as_u64(), group::authenticator(loaded)))
        })?;
        let Ok((epoch, authenticator)) = entered else { return self.try_again(group) };
        let Some(lane) = self.lane(group) else { return Ok(()) };
        let Some(recovery) = lane.row.record.recovery.take() else { return Ok(()) };
        let skipped = match recovery.counted {
            Some(counted) => recovery.missed + seq.saturating_sub(counted).saturating_sub(1),
            None => seq.saturating_sub(lane.row.cursor).saturating_sub(1),
        };
        let subscribed = lane.subscribed;
        lane.busy = false;
        lane.row.cursor = seq;
        lane.row.record.state = GroupState::Active;
        lane.row.record.profile_awaited = true;
        // What he said may be in the gap.
        lane.row.record.let_in_by = None;
        lane.row.record.authenticators.clear();
        lane.row.record.enter_epoch(epoch, authenticator);
        self.save(group)?;
        if recovery.reason == GapReason::NewDevice {
            self.joined_as_sibling(group, seq)?;
        } else {
            if skipped > 0 {
                self.emit(Event::Gap { group, skipped, reason: recovery.reason });
            }
            self.emit(Event::Recovered { group });
        }
        self.came_back(group);
        if recovery.leaving {
            self.add_intent(group, Change::Leave, false)?;
        }
        self.acknowledge(group)?;
        if !subscribed {
            self.subscribe(&[group]);
        }
        self.touch(group);
        Ok(())
    }

    /// The group info or the external commit was refused.
    pub(crate) fn rejoin_refused(
        &mut self,
        group: GroupId,
        message: Option<MessageId>,
        error: &v1::Error,
    ) -> Step {
        let now = self.now;
        if let Some(lane) = self.lane(group) {
            lane.busy = false;
        }
        let Some(recovery) = self.recovery(group) else { return Ok(()) };
        let sent = recovery.rejoin.as_ref().map(Rejoin::message);
        if message.is_some() && message != sent {
            return Ok(());
        }
        match verdict(error) {
            Verdict::Later(delay) => {
                if let Some(lane) = self.lane(group) {
                    lane.hold_until = now + delay;
                }
                // A stored external commit keeps its message id: perhaps it was accepted.
                self.delay_recovery(group, delay)
            }
            Verdict::ReadOn => {
                recovery.rejoin = None;
                let delay = self.rejoin_again_in(group);
                self.delay_recovery(group, delay)
            }
            Verdict::NotMember if recovery.reason == GapReason::NewDevice => self.forget_unjoined(group),
            Verdict::NotMember => self.close_group(group, None),
            Verdict::Rejoin | Verdict::Never => self.try_again(group),
        }
    }

    /// Gives a welcome the time to come before an external commit is made.
    pub(crate) fn await_welcome(&mut self, group: GroupId) -> Step {
        self.delay_recovery(group, limits::WELCOME_PATIENCE_MS)
    }

    fn delay_recovery(&mut self, group: GroupId, delay: u64) -> Step {
        let at = self.now + delay;
        if let Some(recovery) = self.recovery(group) {
            recovery.not_before = at;
        }
        self.save(group)?;
        self.wake_at(group, at);
        self.touch(group);
        Ok(())
    }

    /// Another external commit after a while; after some, the members are asked for help.
    fn try_again(&mut self, group: GroupId) -> Step {
        let Some(recovery) = self.recovery(group) else { return Ok(()) };
        recovery.rejoin = None;
        recovery.attempts += 1;
        if recovery.attempts < limits::REJOIN_ATTEMPTS_MAX {
            let delay = limits::REJOIN_DELAY_MS << recovery.attempts.min(16);
            return self.delay_recovery(group, delay);
        }
        recovery.attempts = 0;
        recovery.asked = true;
        self.delay_recovery(group, limits::RE_ADD_PATIENCE_MS)?;
        self.owe(Request::RequestReAdd(v1::RequestReAdd { group: group.to_bytes() }))
    }

    pub(crate) fn recovery(&mut self, group: GroupId) -> Option<&mut Recovery> {
        self.lane(group)?.row.record.recovery.as_mut()
    }
}
