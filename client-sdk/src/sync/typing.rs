//! The ephemeral lane: somebody is writing.
//!
//! The hub relays it to whoever is connected and stores nothing. It is an MLS message like any other, so it
//! uses up a key of its sender's ratchet; three rules keep that from ever costing a real message:
//! - it is sent only when nothing of the group waits to be sent, and not too often in a row, so that the
//!   ratchets of the others need not jump far (RFC 9420 section 9.1, [`limits::FORWARD_MESSAGES`]);
//! - what the sender used is stored before it is sent, as for every message;
//! - a receiver opens it on a copy: whatever it is, the stored state of the group does not change, and
//!   messages that are still on their way in the log stay readable.

use cercle_proto::{
    id::{GroupId, TimestampMs},
    v1::{self, client_frame::Body as Request},
};

use super::{Cx, Step};
use crate::{
    core::GroupState,
    error::Error,
    event::Event,
    limits,
    message::{self, Body, Content, Typing},
    mls::{
        MlsError,
        application::{self, Processed},
        group,
    },
};

/// The ephemeral lane of a group, on the present connection.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Whisper {
    /// When something was sent last, and whether it was the end of writing.
    sent_at: TimestampMs,
    stopped: bool,
    /// Sent since the last message of this device came into the log.
    in_a_row: u32,
    /// When something was opened last.
    heard_at: TimestampMs,
}

impl Whisper {
    /// A message of this device is in the log: the others' ratchets follow.
    pub(crate) fn message_confirmed(&mut self) {
        self.in_a_row = 0;
        self.stopped = true;
    }
}

impl Cx<'_, '_> {
    /// Tells who is connected that this user writes, or has stopped. Dropped without a word when it is not
    /// possible or not useful at the moment.
    ///
    /// # Errors
    /// Inner: [`Error::UnknownGroup`], [`Error::NotMember`].
    pub(crate) fn tell_typing(&mut self, group: GroupId, typing: Typing) -> Step<Result<(), Error>> {
        if let Err(error) = self.usable(group) {
            return Ok(Err(error));
        }
        if !self.may_whisper(group, typing)? || self.m.pace.take(self.now).is_err() {
            return Ok(Ok(()));
        }
        let content = match message::compose_ephemeral(&typing, self.now) {
            Ok(content) => content,
            Err(error) => return Ok(Err(error)),
        };
        let encrypted = self.with_group(group, |provider, _, loaded, author| {
            let may = group::policy(loaded)?.may_post(&author.me.identity.user);
            let large = loaded.members().count() > limits::LARGE_GROUP_MEMBERS;
            if !may || large || loaded.has_pending_proposals() {
                return Ok(None);
            }
            let plaintext = message::with_authenticator(&content, group::authenticator(loaded));
            application::encrypt(provider, loaded, author.keys, &plaintext).map(Some)
        })?;
        if let Ok(Some(mls)) = encrypted {
            let now = self.now;
            if let Some(lane) = self.lane(group) {
                lane.whisper.sent_at = now;
                lane.whisper.stopped = typing.stopped;
                lane.whisper.in_a_row += 1;
            }
            let whisper =
                v1::Ephemeral { group: group.to_bytes(), sender: Vec::new().into(), mls: mls.into() };
            self.tell(Request::Ephemeral(whisper));
        }
        Ok(Ok(()))
    }

    fn may_whisper(&self, group: GroupId, typing: Typing) -> Step<bool> {
        let Some(lane) = self.m.groups.get(&group) else { return Ok(false) };
        let whisper = &lane.whisper;
        let news = if typing.stopped {
            // Only the end of what was said.
            whisper.in_a_row > 0 && !whisper.stopped
        } else {
            whisper.stopped || self.now >= whisper.sent_at + limits::TYPING_INTERVAL_MS
        };
        let open = lane.live && lane.state() == GroupState::Active;
        Ok(open && news && whisper.in_a_row < limits::TYPING_IN_A_ROW_MAX && !self.tx.has_outbox(group)?)
    }

    /// Something ephemeral came.
    pub(crate) fn ephemeral(&mut self, frame: &v1::Ephemeral) -> Step {
        let Ok(group) = GroupId::try_from(&frame.group) else { return Ok(()) };
        let now = self.now;
        let Some(lane) = self.lane(group) else { return Ok(()) };
        let flood = now < lane.whisper.heard_at + limits::TYPING_HEARD_INTERVAL_MS;
        if !lane.live || lane.state() != GroupState::Active || flood {
            return Ok(());
        }
        lane.whisper.heard_at = now;
        let (sender, content) = match self.open_on_a_copy(group, &frame.mls)? {
            Ok(Processed::Application { sender, plaintext, .. }) => (sender, Content::decode(&plaintext)),
            Ok(Processed::Commit(..) | Processed::Proposal(_)) => return Ok(()),
            Err(error) => {
                tracing::debug!(group.id = ?group, %error, "an ephemeral message did not open");
                return Ok(());
            }
        };
        let Some(Content { body: Body::Typing(typing), sent_at_ms, .. }) = content else { return Ok(()) };
        let own = self.m.me.as_ref().is_some_and(|me| me.identity.user == sender.user);
        // The hub could repeat an old one.
        if own || now.abs_diff(sent_at_ms) > limits::CLOCK_SKEW_MS_MAX {
            return Ok(());
        }
        self.emit(Event::Typing {
            group,
            user: sender.user,
            device: sender.device,
            display_name: sender.display_name,
            stopped: typing.stopped,
        });
        Ok(())
    }

    /// Opens a message and takes back every change of the group's state.
    fn open_on_a_copy(&mut self, group: GroupId, mls: &[u8]) -> Step<Result<Processed, MlsError>> {
        let Some(me) = self.m.me.clone() else { return Ok(Err(MlsError::NoGroup)) };
        let provider = self.provider();
        self.tx.mark(0)?;
        let loaded = self.m.cache.take(&provider, group);
        let opened =
            loaded.and_then(|mut loaded| application::process(&provider, &mut loaded, &me, mls, self.now));
        self.tx.rollback_to_mark(0)?;
        self.m.cache.forget(group);
        Ok(opened)
    }
}
