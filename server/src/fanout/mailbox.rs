//! What one session has to look at: filled by [`super::Fanout`], emptied by the session's actor.
//!
//! Bounded: dirty groups by the session's subscriptions, relayed hints by
//! [`limits::RELAYED_MAX`] (the oldest are dropped: they are hints).

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use cercle_proto::{
    ErrorCode,
    id::{DeviceId, GroupId},
};

use super::{MembershipHint, bell::Bell, lock};
use crate::{
    joining::{Declined, Request},
    limits,
    membership::Due,
};

/// The wake-ups of one session.
#[derive(Debug)]
pub struct Mailbox {
    device: DeviceId,
    connection: u64,
    news: Mutex<News>,
    bell: Arc<Bell>,
}

/// Everything that happened since the session last looked.
#[derive(Debug, Default)]
pub struct News {
    /// Groups with entries that the session may not have read.
    pub groups: HashSet<GroupId>,
    /// The inbox has new items.
    pub inbox: bool,
    /// One-time key packages left, if they are few.
    pub key_packages_left: Option<usize>,
    /// Hints to pass on.
    pub relayed: VecDeque<Relayed>,
    /// The session must end.
    pub end: Option<ErrorCode>,
}

/// Something that is passed on once and never stored.
#[derive(Debug, Clone)]
pub enum Relayed {
    /// About a member of a group.
    Membership {
        /// The group.
        group: GroupId,
        /// What about whom; shared by the receivers.
        hint: Arc<MembershipHint>,
    },
    /// Who is to be added to a group and removed from it.
    MembershipDue(Arc<Due>),
    /// Who wants to join a group.
    JoinRequests(Arc<Vec<Request>>),
    /// That a request to join a group was declined.
    JoinDeclined(Arc<Declined>),
    /// An ephemeral message.
    Ephemeral {
        /// The group.
        group: GroupId,
        /// Who sent it.
        sender: DeviceId,
        /// The MLS message.
        mls: Bytes,
    },
    /// How far an alert is, for a session that watches it.
    AlertStatus(Arc<crate::alert::Status>),
}

impl Mailbox {
    pub(super) fn new(device: DeviceId, connection: u64, bell: Arc<Bell>) -> Self {
        Self { device, connection, news: Mutex::default(), bell }
    }

    /// The device whose session this is.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// Number of the connection that the session runs on.
    pub(super) fn connection(&self) -> u64 {
        self.connection
    }

    /// Returns when there may be news. Cancel-safe: a wake-up that nobody waited for is kept.
    pub async fn changed(&self) {
        self.bell.rung().await;
    }

    /// Moves the news into `into`, which must be empty; its room is used for the next ones.
    pub fn take(&self, into: &mut News) {
        std::mem::swap(&mut *lock(&self.news), into);
    }

    /// Why the session must end, if it must.
    #[must_use]
    pub fn ended(&self) -> Option<ErrorCode> {
        lock(&self.news).end
    }

    /// How many groups and hints wait.
    pub(super) fn held(&self) -> (usize, usize) {
        let news = lock(&self.news);
        (news.groups.len(), news.relayed.len())
    }

    pub(super) fn mark_group(&self, group: GroupId) {
        self.change(|news| {
            news.groups.insert(group);
        });
    }

    pub(super) fn mark_inbox(&self) {
        self.change(|news| news.inbox = true);
    }

    pub(super) fn mark_key_packages_low(&self, left: usize) {
        self.change(|news| news.key_packages_left = Some(left));
    }

    pub(super) fn relay(&self, what: Relayed) {
        self.change(|news| {
            if news.relayed.len() == limits::RELAYED_MAX {
                news.relayed.pop_front();
            }
            news.relayed.push_back(what);
        });
    }

    pub(super) fn end(&self, code: ErrorCode) {
        self.change(|news| {
            news.end.get_or_insert(code);
        });
    }

    fn change(&self, change: impl FnOnce(&mut News)) {
        change(&mut lock(&self.news));
        self.bell.ring();
    }
}
