//! The inbox of this device: welcomes, and reports to administrators.

use cercle_proto::{
    id::{DeviceId, GroupId, Seq},
    v1::{self, client_frame::Body as Request, inbox_item::Item, welcome_ack::Outcome as WelcomeOutcome},
};

use super::{Cx, Lane, Step};
use crate::{
    core::GroupState,
    event::{Event, GapReason},
    mls::{MlsError, group, welcome},
    store::groups::{GroupRecord, GroupRow},
};

impl Cx<'_, '_> {
    /// Something addressed to this device alone. It is done, whatever came of it, when this step is
    /// committed.
    pub(crate) fn inbox_item(&mut self, item: v1::InboxItem) -> Step {
        if item.number <= self.m.standing.inbox {
            return Ok(());
        }
        match item.item {
            Some(Item::Welcome(welcome)) => self.welcome(&welcome)?,
            Some(Item::InvalidCommitReported(report)) => {
                let ids = (GroupId::try_from(&report.group), DeviceId::try_from(&report.reporter));
                if let (Ok(group), Ok(reporter)) = ids {
                    self.emit(Event::InvalidCommitReported { group, seq: report.seq, reporter });
                }
            }
            None => {}
        }
        self.m.standing.inbox = item.number;
        self.tx.write_standing(&self.m.standing)?;
        self.tell(Request::Ack(v1::Ack { groups: Vec::new(), inbox: item.number }));
        Ok(())
    }

    fn welcome(&mut self, welcome: &v1::Welcome) -> Step {
        let Ok(group) = GroupId::try_from(&welcome.group) else { return Ok(()) };
        self.m.session.orphans.remove(&group);
        let known = self.m.groups.get(&group);
        let usable = known.is_some_and(|lane| {
            matches!(lane.state(), GroupState::Active | GroupState::Leaving)
                && lane.row.record.epoch >= welcome.epoch
        });
        if usable {
            // Joined by external commit already, or the same welcome again.
            return self.acknowledge_welcome(group, WelcomeOutcome::Joined);
        }
        match self.join(group, welcome)? {
            Ok(record) => self.joined(group, welcome.joined_at, record),
            Err(error) => {
                let outcome = match error {
                    MlsError::NoMatchingKeyPackage => WelcomeOutcome::NoMatchingKeyPackage,
                    _ => WelcomeOutcome::Invalid,
                };
                self.acknowledge_welcome(group, outcome)?;
                match self.m.groups.contains_key(&group) {
                    true => self.begin_recovery(group, GapReason::WelcomeLost, false),
                    false => self.adopt(group, welcome.joined_at),
                }
            }
        }
    }

    fn join(&mut self, id: GroupId, welcome: &v1::Welcome) -> Step<Result<GroupRecord, MlsError>> {
        let Some(me) = self.m.me.clone() else { return Ok(Err(MlsError::NoGroup)) };
        let provider = self.provider();
        self.m.cache.forget(id);
        self.tx.mark(0)?;
        match welcome::join(&provider, &me, id, &welcome.welcome) {
            Ok((joined, inviter)) => {
                self.tx.keep_since_mark(0)?;
                let epoch = joined.epoch().as_u64();
                let mut record = GroupRecord::new(GroupState::Active, epoch, welcome.joined_at);
                record.enter_epoch(epoch, group::authenticator(&joined));
                record.let_in_by = Some(inviter.user.as_str().to_owned());
                self.m.cache.keep(id, joined);
                Ok(Ok(record))
            }
            Err(error) => {
                self.tx.rollback_to_mark(0)?;
                Ok(Err(error))
            }
        }
    }

    fn joined(&mut self, group: GroupId, joined_at: Seq, mut record: GroupRecord) -> Step {
        let old = self.m.groups.remove(&group);
        if let Some(old) = &old {
            let known = &old.row.record;
            record.profile.clone_from(&known.profile);
            if !known.profile.title.is_empty() && known.let_in_by.is_none() {
                record.let_in_by = None;
            }
        }
        self.m.groups.insert(group, Lane::new(GroupRow { cursor: joined_at, record }));
        self.save(group)?;
        self.tx.clear_ciphertexts(group)?;
        self.unstage_all(group)?;
        if let Some(old) = &old {
            self.welcomed_back(group, old)?;
        }
        match old.filter(|old| old.state() != GroupState::Closed) {
            Some(old) => {
                let recovery = old.row.record.recovery.as_ref();
                let skipped = joined_at.saturating_sub(old.row.cursor).saturating_sub(1);
                let reason = recovery.map_or(GapReason::Expired, |recovery| recovery.reason);
                if skipped > 0 {
                    self.emit(Event::Gap { group, skipped, reason });
                }
                self.emit(Event::Recovered { group });
            }
            None => self.emit(Event::GroupJoined { group }),
        }
        self.plan_refresh_after_join(group)?;
        self.acknowledge_welcome(group, WelcomeOutcome::Joined)?;
        let wave = self.subscribe(&[group]);
        if !self.m.session.caught_up {
            // The hub sends what waits in the inbox ahead of the history, so what was said in a group that
            // this device was added to meanwhile is part of catching up.
            self.m.session.first_waves.insert(wave);
        }
        Ok(())
    }

    fn acknowledge_welcome(&mut self, group: GroupId, outcome: WelcomeOutcome) -> Step {
        let ack = v1::WelcomeAck { group: group.to_bytes(), outcome: outcome.into() };
        self.owe(Request::WelcomeAck(ack))
    }
}
