//! The model's inboxes. Items hold a welcome without its bytes; those are looked up when read.

use std::collections::BTreeSet;

use bytes::Bytes;
use cercle_proto::id::{DeviceId, TimestampMs};

use super::{Model, State, Welcome};
use crate::store::{Inbox, InboxBody, InboxRecord, ReadError, WriteError};

#[async_trait::async_trait]
impl Inbox for Model {
    async fn inbox(&self, device: DeviceId, after: u64, limit: usize) -> Result<Vec<InboxRecord>, ReadError> {
        let state = self.state();
        let items = state.inboxes.get(&device).into_iter().flat_map(|inbox| &inbox.items);
        let wanted = items.filter(|(number, _)| **number > after).take(limit);
        Ok(wanted.map(|(number, body)| InboxRecord { number: *number, body: state.filled(body) }).collect())
    }

    async fn notify(&self, devices: Vec<DeviceId>, body: InboxBody) -> Result<(), WriteError> {
        let mut state = self.state();
        if matches!(body, InboxBody::InvalidCommitReported { .. }) {
            devices.into_iter().for_each(|device| state.deliver(device, body.clone()));
        }
        Ok(())
    }

    async fn acknowledge_inbox(&self, device: DeviceId, up_to: u64) -> Result<(), WriteError> {
        let mut state = self.state();
        let Some(inbox) = state.inboxes.get_mut(&device) else { return Ok(()) };
        let kept = up_to.checked_add(1).map(|first| inbox.items.split_off(&first)).unwrap_or_default();
        for (_, body) in std::mem::replace(&mut inbox.items, kept) {
            if let InboxBody::Welcome { group, epoch, .. } = body {
                let welcome = state.welcomes.get_mut(&(group, epoch));
                let gone = welcome.is_some_and(|welcome| {
                    welcome.pointers -= 1;
                    welcome.pointers == 0
                });
                if gone {
                    state.welcomes.remove(&(group, epoch));
                }
            }
        }
        Ok(())
    }
}

impl State {
    /// Stores a welcome once and points to it from each recipient's inbox.
    pub(super) fn deliver_welcome(&mut self, welcome: InboxBody, recipients: &[DeviceId], at: TimestampMs) {
        let recipients: BTreeSet<DeviceId> = recipients.iter().copied().collect();
        if let InboxBody::Welcome { group, epoch, joined_at, body } = welcome
            && !recipients.is_empty()
        {
            self.welcomes.insert((group, epoch), Welcome { body, at, pointers: recipients.len() });
            let pointer = InboxBody::Welcome { group, epoch, joined_at, body: Bytes::new() };
            recipients.into_iter().for_each(|device| self.deliver(device, pointer.clone()));
        }
    }

    fn deliver(&mut self, device: DeviceId, body: InboxBody) {
        let inbox = self.inboxes.entry(device).or_default();
        inbox.newest += 1;
        inbox.items.insert(inbox.newest, body);
    }

    fn filled(&self, body: &InboxBody) -> InboxBody {
        let mut body = body.clone();
        if let InboxBody::Welcome { group, epoch, body, .. } = &mut body
            && let Some(welcome) = self.welcomes.get(&(*group, *epoch))
        {
            *body = welcome.body.clone();
        }
        body
    }
}
