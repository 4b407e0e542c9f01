//! Applying the log: strictly in order, each entry once, all of a frame in one transaction.

use cercle_proto::{
    certificate::DeviceIdentity,
    id::{DeviceId, Epoch, GroupId, MessageId, Seq},
    mls_message::{self, Header},
    v1::{self, EntryKind, client_frame::Body as Request},
};

use super::{Cx, Step};
use crate::{
    core::{DisconnectReason, GroupState},
    event::{Event, GapReason, Message},
    limits,
    message::Content,
    mls::{
        MlsError,
        application::{self, Processed},
        group,
    },
    store::messages::{MessageRecord, MessageRow},
};

/// What became of an entry.
enum Applied {
    /// Go on with the next.
    Next,
    /// Nobody can make anything of it here: it counts into a gap.
    Skipped(GapReason),
    /// The group cannot be followed any further.
    Stuck,
}

/// Who sent a message.
struct Sender {
    identity: DeviceIdentity,
    /// He administers the group, at this place of the log.
    administrator: bool,
}

impl Cx<'_, '_> {
    /// Entries of one group came.
    pub(crate) fn entries(&mut self, frame: v1::Entries) -> Step {
        let Ok(group) = GroupId::try_from(&frame.group) else { return Ok(()) };
        let entries = self.after_own_rejoin(group, &frame.entries)?;
        if self.count_entries(group, entries)? {
            return Ok(());
        }
        let mut gap: Option<(GapReason, u64)> = None;
        let mut applied = false;
        for entry in entries {
            let Some(lane) = self.m.groups.get(&group) else { return Ok(()) };
            if entry.seq <= lane.row.cursor {
                continue;
            }
            let stuck = lane.row.record.recovery.as_ref().is_some_and(|recovery| !recovery.readable);
            if lane.state() == GroupState::Closed || stuck {
                break;
            }
            if entry.seq != lane.row.cursor + 1 {
                self.disconnect(DisconnectReason::Fault("entries of a group are missing"), true);
                break;
            }
            match self.apply(group, entry)? {
                Applied::Next => {}
                Applied::Skipped(reason) => {
                    let (reason, skipped) = gap.unwrap_or((reason, 0));
                    gap = Some((reason, skipped + 1));
                }
                Applied::Stuck => break,
            }
            applied = true;
            if let Some(lane) = self.lane(group) {
                lane.row.cursor = entry.seq;
            }
        }
        if let Some((reason, skipped)) = gap {
            self.emit(Event::Gap { group, skipped, reason });
        }
        if applied {
            self.acknowledge(group)?;
        }
        self.touch(group);
        Ok(())
    }

    /// Stores the cursor; the hub is told once that is committed.
    pub(crate) fn acknowledge(&mut self, group: GroupId) -> Step {
        let Some(lane) = self.m.groups.get(&group) else { return Ok(()) };
        let seq = lane.row.cursor;
        self.tx.write_cursor(group, seq)?;
        self.m.session.acknowledgements.note(group, seq);
        Ok(())
    }

    fn apply(&mut self, group: GroupId, entry: &v1::Entry) -> Step<Applied> {
        let own = self.own_device();
        if DeviceId::try_from(&entry.sender).ok() == own {
            return self.apply_own(group, entry);
        }
        match EntryKind::try_from(entry.kind) {
            Ok(EntryKind::Application) => self.apply_message(group, entry),
            Ok(EntryKind::Commit) => self.apply_commit(group, entry),
            Ok(EntryKind::Proposal) => self.apply_proposal(group, entry),
            // A kind of a newer hub says nothing to this version.
            Ok(EntryKind::Unspecified) | Err(_) => Ok(Applied::Next),
        }
    }

    /// An entry of this device: its header confirms what was sent.
    fn apply_own(&mut self, group: GroupId, entry: &v1::Entry) -> Step<Applied> {
        let Ok(message) = MessageId::try_from(&entry.message_id) else { return Ok(Applied::Next) };
        let kind = EntryKind::try_from(entry.kind).unwrap_or_default();
        if kind == EntryKind::Application {
            if self.confirm_message(group, message, entry.seq, entry.at_ms)?
                || self.tx.has_message(group, message)?
            {
                return Ok(Applied::Next);
            }
        } else {
            match self.confirm_change(group, message, entry.seq)? {
                Some(Ok(())) => return Ok(Applied::Next),
                Some(Err(_)) => {
                    self.begin_recovery(group, GapReason::InvalidCommit, false)?;
                    return Ok(Applied::Stuck);
                }
                None => {}
            }
        }
        // This device sent it, and this store does not know: the store is an older copy.
        self.rollback_detected()?;
        let readable = kind == EntryKind::Application;
        self.begin_recovery(group, GapReason::Rollback, readable)?;
        Ok(if readable { Applied::Skipped(GapReason::Rollback) } else { Applied::Stuck })
    }

    fn apply_message(&mut self, group: GroupId, entry: &v1::Entry) -> Step<Applied> {
        let now = self.now;
        let read = self.with_group(group, |provider, _, loaded, author| {
            let processed = application::process(provider, loaded, author.me, &entry.mls, now)?;
            let policy = group::policy(loaded)?;
            match processed {
                Processed::Application { sender, epoch, plaintext } if policy.may_post(&sender.user) => {
                    let administrator = policy.is_administrator(&sender.user);
                    Ok((Sender { identity: *sender, administrator }, epoch, plaintext))
                }
                Processed::Application { .. } => {
                    Err(MlsError::Refused("message", "the policy does not let its sender post".into()))
                }
                Processed::Commit(..) | Processed::Proposal(_) => {
                    Err(MlsError::Refused("message", "it is a handshake".into()))
                }
            }
        })?;
        match read {
            Ok((sender, epoch, plaintext)) => self.store_message(group, entry, &sender, epoch, plaintext),
            Err(error) => self.undecryptable(group, entry, &error),
        }
    }

    fn store_message(
        &mut self,
        group: GroupId,
        entry: &v1::Entry,
        sender: &Sender,
        epoch: Epoch,
        plaintext: Vec<u8>,
    ) -> Step<Applied> {
        let (Some(content), Ok(id)) = (Content::decode(&plaintext), MessageId::try_from(&entry.message_id))
        else {
            return Ok(Applied::Skipped(GapReason::Undecryptable));
        };
        let known = self.said_again(group, entry)?;
        let Some(lane) = self.lane(group) else { return Ok(Applied::Next) };
        let record = &mut lane.row.record;
        let mine = record.authenticators.iter().find(|(known, _)| *known == epoch).map(|(_, mine)| *mine);
        let forked = matches!((mine, content.authenticator), (Some(mine), Some(theirs)) if mine != theirs);
        let heals = std::mem::take(&mut record.undecryptable) > 0;
        if heals {
            self.save(group)?;
        }
        if known {
            return Ok(Applied::Next);
        }
        let Sender { identity: sender, administrator } = sender;
        let record = MessageRecord {
            sender: sender.user.as_str().to_owned(),
            device: *sender.device.as_bytes(),
            display_name: sender.display_name.clone(),
            own: false,
            expired_certificate: sender.not_after_ms < self.now,
            at_ms: entry.at_ms,
            envelope: plaintext,
            exported_by: None,
            by_administrator: *administrator,
        };
        let row = MessageRow { seq: entry.seq, id, record };
        self.tx.insert_message(group, &row)?;
        let message = read_message(group, &row, content)?;
        self.content_stored(&message)?;
        self.emit(Event::MessageReceived(message));
        if forked {
            self.begin_recovery(group, GapReason::Fork, true)?;
        }
        Ok(Applied::Next)
    }

    /// A message did not open. One may be damaged by its sender; several in a row mean that this device is
    /// on another branch of the group.
    fn undecryptable(&mut self, group: GroupId, entry: &v1::Entry, error: &MlsError) -> Step<Applied> {
        tracing::debug!(group.id = ?group, seq = entry.seq, %error, "a message did not open");
        if self.said_again(group, entry)? {
            // Sent once more just as it was, to a hub that had forgotten it: its key was used already.
            return Ok(Applied::Next);
        }
        let epoch = match mls_message::read_header(&entry.mls) {
            Ok(Header::Private { epoch, .. }) => epoch,
            _ => entry.epoch,
        };
        let Some(lane) = self.lane(group) else { return Ok(Applied::Next) };
        let record = &mut lane.row.record;
        if epoch < record.joined_epoch {
            // Sent by who had not seen this device yet. To a new member he said nothing; to a further device of
            // a member he did, and a hub that takes such a message after its joining leaves a gap.
            let skipped = Applied::Skipped(GapReason::Undecryptable);
            return Ok(if record.joined_by_itself { skipped } else { Applied::Next });
        }
        if epoch >= record.epoch {
            // Of a later epoch: the commit that leads there was withheld.
            record.undecryptable += 1;
        }
        let forked = record.undecryptable >= limits::UNDECRYPTABLE_IN_A_ROW_MAX;
        self.save(group)?;
        if forked {
            self.begin_recovery(group, GapReason::Fork, true)?;
        }
        Ok(Applied::Skipped(GapReason::Undecryptable))
    }

    fn apply_commit(&mut self, group: GroupId, entry: &v1::Entry) -> Step<Applied> {
        let now = self.now;
        let merged = self.with_group(group, |provider, _, loaded, author| {
            let view = application::merge(provider, loaded, author.me, &entry.mls, now)?;
            Ok((view, loaded.epoch().as_u64(), group::authenticator(loaded)))
        })?;
        match merged {
            Ok((view, epoch, authenticator)) => {
                if let Some(lane) = self.lane(group) {
                    lane.row.cursor = entry.seq;
                    lane.row.record.enter_epoch(epoch, authenticator);
                }
                self.lost_the_epoch(group)?;
                self.commit_applied(group, (entry.seq, entry.at_ms), &view)?;
                Ok(Applied::Next)
            }
            Err(error) => {
                tracing::warn!(group.id = ?group, seq = entry.seq, %error, "a commit cannot be processed");
                self.report_invalid(group, entry.seq)?;
                self.begin_recovery(group, GapReason::InvalidCommit, false)?;
                Ok(Applied::Stuck)
            }
        }
    }

    /// Tells the hub of an accepted commit that does not verify; not while this device itself is at fault.
    fn report_invalid(&mut self, group: GroupId, seq: Seq) -> Step {
        let healthy = self.m.groups.get(&group).is_some_and(|lane| lane.state() != GroupState::Recovering);
        if healthy {
            let report = v1::ReportInvalidCommit { group: group.to_bytes(), seq };
            self.owe(Request::ReportInvalidCommit(report))?;
        }
        Ok(())
    }

    fn apply_proposal(&mut self, group: GroupId, entry: &v1::Entry) -> Step<Applied> {
        let now = self.now;
        let kept = self.with_group(group, |provider, _, loaded, author| {
            match application::process(provider, loaded, author.me, &entry.mls, now)? {
                Processed::Proposal(proposal) => application::keep_proposal(provider, loaded, *proposal),
                Processed::Application { .. } | Processed::Commit(..) => {
                    Err(MlsError::Refused("proposal", "it is another kind of message".into()))
                }
            }
        })?;
        match kept {
            Ok(()) => {
                if let Some(lane) = self.lane(group) {
                    lane.row.cursor = entry.seq;
                    lane.row.record.proposals_wait = true;
                }
                self.save(group)?;
                self.proposal_waits(group)?;
                Ok(Applied::Next)
            }
            // What cannot be read cannot be committed here; a commit that covers it will show it.
            Err(_) => Ok(Applied::Skipped(GapReason::Undecryptable)),
        }
    }
}

/// The app's view of a stored message.
///
/// # Errors
/// When the row is damaged.
pub(crate) fn read_message(group: GroupId, row: &MessageRow, content: Content) -> Step<Message> {
    let record = &row.record;
    Ok(Message {
        group,
        seq: row.seq,
        id: row.id,
        sender: record.sender()?,
        device: record.device(),
        display_name: record.display_name.clone(),
        own: record.own,
        expired_certificate: record.expired_certificate,
        at_ms: record.at_ms,
        sent_at_ms: content.sent_at_ms,
        in_reply_to: content.in_reply_to,
        exported_by: record.exported_by()?,
        by_administrator: record.by_administrator,
        body: content.body,
    })
}
