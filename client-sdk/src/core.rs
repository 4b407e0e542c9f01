//! One device as a state machine: (input, now) to actions.
//!
//! The shell owns a [`Core`] on one thread, feeds it what the network and the app say, and carries out the
//! [`Action`]s it returns, in order. Everything durable is committed before the actions are returned, so
//! that a device may stop at any point: opened again, the core goes on from what is stored.
//!
//! The core has no clock, socket, file or thread. Randomness is the operating system's, through openmls.

use cercle_proto::{
    ErrorCode,
    id::{DeviceId, TimestampMs},
    invitation::Invitation,
    link::LinkCode,
    recovery::RecoveryAddress,
    v1,
};
use std::sync::Arc;

pub use crate::sync::siblings::LinkProgress;
pub use crate::{event::Message, store::StoreKey};
pub use alert::{AlertCommand, AlertTally, GroupAlert};
pub use board::{BoardFilter, BoardRow, Part};
pub use circle::{HistoryFetch, HistoryUpload, NewCircle, RefusalRecord};
pub use command::{Act, Ask, Command, DeviceCursor, DeviceState, NewInvitation, Outcome, PolicyTemplate};
pub use held::Held;
pub use own::{DevicesCommand, VaultCommand};
pub use transfer::{PendingUpload, Ticket};
pub use view::{GroupState, GroupSummary, Identity, Member, QueuedMessage, Trust};

use crate::{
    error::{Error, OpenError},
    event::Event,
    message::archive::VaultManifest,
    mls::identity::DeviceKeys,
    recovery::code::{Cost, RecoveryKeys},
    store::{Store, StoreError, identity::IdentityRecord},
    sync::{Cx, Memory, dice::Dice, siblings, vault},
};

mod alert;
mod board;
mod circle;
mod command;
mod conversation;
mod held;
#[cfg(test)]
mod newer_kind;
mod own;
mod query;
mod transfer;
mod view;

/// One device: its identity, groups, messages, and its conversation with the hub.
#[derive(Debug)]
pub struct Core {
    store: Store,
    memory: Memory,
}

/// Behaviour that an app rarely changes.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Renew own keys in a group some time after many members were added at once, so that commits become
    /// small again. Tests that count commits switch it off.
    pub lazy_updates: bool,
    /// Messages sent at most, a second, in the long run; several seconds' worth may go out at once. Keep it
    /// below the hub's limit: above it, refused messages may be overtaken by later ones.
    pub messages_per_second: u32,
    /// Take identities under the OIDs of tests and demonstrations. In production they are refused.
    pub test_identities: bool,
    /// Work of Argon2id for recovery codes. The device that comes back must have the same as the one that made
    /// the code, so only tests change it.
    pub recovery_cost: Cost,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lazy_updates: true,
            messages_per_second: crate::limits::MESSAGES_PER_SECOND,
            test_identities: false,
            recovery_cost: Cost::STANDARD,
        }
    }
}

/// Something for the core to handle.
#[derive(Debug)]
pub enum Input {
    /// A connection to the hub is up; nothing was sent on it yet.
    Connected,
    /// The connection is gone (also after [`Action::Disconnect`]).
    Disconnected,
    /// A frame came from the hub.
    Frame(v1::ServerFrame),
    /// The app wants something; the answer is [`Action::Finished`] with the same id.
    Command {
        /// Chosen by the caller, unique while the command runs.
        id: u64,
        /// What it wants.
        command: Command,
    },
    /// Time has passed: call at the time of [`Core::next_wake`] or later.
    Tick,
}

/// Something for the shell to do.
#[derive(Debug)]
pub enum Action {
    /// Send this frame on the connection.
    Send(v1::ClientFrame),
    /// Tell the app.
    Emit(Event),
    /// A command has ended.
    Finished {
        /// The command's id.
        id: u64,
        /// How it ended.
        result: Result<Outcome, Error>,
    },
    /// Close the connection, then give [`Input::Disconnected`].
    Disconnect {
        /// Why.
        reason: DisconnectReason,
        /// Connect again, with the usual delay; else stop until the user acts.
        retry: bool,
    },
}

/// Why the core wants the connection closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// No frame came for twice the ping interval.
    Silent,
    /// The hub broke the protocol; the text says how.
    Fault(&'static str),
    /// The hub ends the session.
    Refused {
        /// Its code: [`ErrorCode::SessionReplaced`], [`ErrorCode::DeviceRevoked`],
        /// [`ErrorCode::InvitationUsed`] and so on; `None` for a code that this version does not know.
        code: Option<ErrorCode>,
        /// Wait at least this long before connecting again.
        retry_after_ms: u32,
    },
    /// What the hub presented at enrolment is not trusted.
    Untrusted,
    /// The local store failed: everything in memory was dropped and is read again.
    StoreFailed,
    /// There is nothing to do: the device has neither identity nor invitation.
    NotEnrolled,
}

impl Core {
    /// Opens the store in this database, or makes it.
    ///
    /// # Errors
    /// See [`OpenError`]; with a wrong key nothing is changed.
    pub fn open(
        connection: rusqlite::Connection,
        key: StoreKey,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        let store = Store::open(connection, &key)?;
        let memory = Memory::load(&store.begin()?, settings)?;
        Ok(Self { store, memory })
    }

    /// Notes an invitation and makes this device's id and key, durably, before anything is sent. The next
    /// connection redeems it; [`Event::Enrolled`] tells when.
    ///
    /// An invitation may be replaced by another until one is redeemed; the device keeps its id and key.
    ///
    /// # Errors
    /// [`Error::AlreadyEnrolled`], or the store fails.
    pub fn begin_enrolment(&mut self, invitation: &Invitation) -> Result<(), Error> {
        self.note_identity(invitation, Some(invitation.secret), None).map(drop)
    }

    fn note_identity(
        &mut self,
        invitation: &Invitation,
        secret: Option<[u8; 32]>,
        link: Option<[u8; 32]>,
    ) -> Result<Arc<IdentityRecord<DeviceKeys>>, Error> {
        if self.memory.me.is_some() {
            return Err(Error::AlreadyEnrolled);
        }
        let fresh = || DeviceKeys::generate().map_err(|error| Error::Mls(error.to_string()));
        let tx = self.store.begin()?;
        let (device, keys) = match tx.identity::<DeviceKeys>()? {
            Some(begun) => (begun.device, begun.keys),
            None => (self.memory.random_id(), fresh()?),
        };
        let record = IdentityRecord {
            address: invitation.address.clone(),
            root_fingerprint: invitation.root_fingerprint,
            web_certificate: invitation.web_certificate,
            device,
            keys,
        };
        tx.write_identity(&record)?;
        tx.write_invitation(secret)?;
        tx.delete_note(vault::RETURN, &[])?;
        if let Some(key) = link {
            tx.write_note(siblings::LINK, &[], &siblings::LinkNote { key })?;
        }
        tx.commit()?;
        let record = Arc::new(record);
        self.memory.identity = Some(record.clone());
        Ok(record)
    }

    /// Makes this device's id and key, durably, for a hub that a linking code names; returns id and public key.
    /// The invitation comes later ([`Core::accept_link`]).
    ///
    /// # Errors
    /// [`Error::AlreadyEnrolled`], or the store fails.
    pub(crate) fn begin_linking(&mut self, code: &LinkCode) -> Result<(DeviceId, [u8; 32]), Error> {
        let hub = Invitation {
            address: code.address.clone(),
            secret: [0; 32],
            root_fingerprint: code.root_fingerprint,
            web_certificate: code.web_certificate,
        };
        let record = self.note_identity(&hub, None, None)?;
        Ok((DeviceId::new(record.device), record.keys.public()))
    }

    /// Notes the invitation that the old device has handed over, and the key of what it will hand over.
    ///
    /// # Errors
    /// [`Error::AlreadyEnrolled`], or the store fails.
    pub(crate) fn accept_link(
        &mut self,
        invitation: &Invitation,
        key: [u8; 32],
        vault_keys: Vec<[u8; 32]>,
    ) -> Result<(), Error> {
        if self.memory.me.is_none() && !vault_keys.is_empty() {
            let tx = self.store.begin()?;
            tx.write_note(vault::KEEPER, &[], &vault::Keeper { keys: vault_keys })?;
            tx.commit()?;
        }
        self.note_identity(invitation, Some(invitation.secret), Some(key)).map(drop)
    }

    /// The invitation that this device has noted and not redeemed.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn pending_invitation(&self) -> Result<Option<Invitation>, Error> {
        let Some(record) = self.memory.identity.as_ref().filter(|_| self.memory.me.is_none()) else {
            return Ok(None);
        };
        let secret = self.store.begin()?.invitation()?;
        Ok(secret.map(|secret| Invitation {
            address: record.address.clone(),
            secret,
            root_fingerprint: record.root_fingerprint,
            web_certificate: record.web_certificate,
        }))
    }

    /// Notes that this device is to come back as a user, and makes its id and key, durably.
    ///
    /// # Errors
    /// [`Error::AlreadyEnrolled`], or the store fails.
    pub(crate) fn begin_recovery(
        &mut self,
        address: &RecoveryAddress,
        keys: RecoveryKeys,
    ) -> Result<(), Error> {
        let hub = Invitation {
            address: address.address.clone(),
            secret: [0; 32],
            root_fingerprint: address.root_fingerprint,
            web_certificate: address.web_certificate,
        };
        self.note_identity(&hub, None, None)?;
        let tx = self.store.begin()?;
        Cx::note_return(&tx, &address.user, keys)?;
        Ok(tx.commit()?)
    }

    /// Work of Argon2id for recovery codes.
    pub(crate) const fn recovery_cost(&self) -> Cost {
        self.memory.settings.recovery_cost
    }

    /// With which keys this device keeps the user's backup, if it does.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn vault_keeper(&self) -> Result<Option<vault::Keeper>, Error> {
        Ok(Memory::keeper(&self.store.begin()?)?)
    }

    /// What the backup lacks, given its manifest.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn plan_vault(&mut self, manifest: &VaultManifest) -> Result<Option<vault::Plan>, Error> {
        let tx = self.store.begin()?;
        let mut cx = Cx { tx: &tx, m: &mut self.memory, now: 0, actions: Vec::new() };
        Ok(cx.plan_vault(manifest)?)
    }

    /// Whether this device has something to tell the user's others in a moment.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn own_state_waits(&self) -> Result<bool, Error> {
        Ok(Cx::own_state_waits(&self.store.begin()?)?)
    }

    /// Whether something of the user's backup is still to come back to this device.
    ///
    /// # Errors
    /// When the store fails.
    pub fn is_returning(&self) -> Result<bool, Error> {
        Ok(Memory::returning(&self.store.begin()?)?.is_some())
    }

    /// Whether the vault is to be fetched and opened first.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn awaits_vault(&self) -> Result<bool, Error> {
        let returning = Memory::returning(&self.store.begin()?)?;
        Ok(returning.is_some_and(|returning| returning.awaits_vault()))
    }

    /// Which version of the vault this device comes back to.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn returning_version(&self) -> Result<u64, Error> {
        Ok(Memory::returning(&self.store.begin()?)?.map_or(0, |returning| returning.version()))
    }

    /// Whether this device is in every group in which another device of its user is, as far as it knows.
    #[must_use]
    pub fn has_joined_all(&self) -> bool {
        self.memory.standing.siblings_known && self.memory.joining() == 0
    }

    /// Whether everything has come that another device of this user hands over.
    #[must_use]
    pub fn has_whole_history(&self) -> bool {
        let mut lanes = self.memory.groups.values();
        self.has_joined_all() && lanes.all(|lane| lane.row.record.history_awaited.is_none())
    }

    /// How far a device is that this one has linked.
    ///
    /// # Errors
    /// When the store fails.
    pub fn link_progress(&mut self, device: DeviceId) -> Result<LinkProgress, Error> {
        let tx = self.store.begin()?;
        let mut cx = Cx { tx: &tx, m: &mut self.memory, now: 0, actions: Vec::new() };
        Ok(cx.link_progress(device)?)
    }

    /// Takes ids and delays from a seed from here on, so that a simulation can be repeated. Keys never come
    /// from it. Not for an app: ids that can be guessed are no ids.
    pub fn seed_for_simulation(&mut self, seed: u64) {
        self.memory.dice = Dice::seeded(seed);
    }

    /// Who this device is, once it is enrolled.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        let (record, me) = (self.memory.identity.as_ref()?, self.memory.me.as_ref()?);
        Some(Identity {
            user: me.identity.user.clone(),
            device: DeviceId::new(record.device),
            display_name: me.identity.display_name.clone(),
            profession: me.identity.profession.clone(),
            class: me.identity.class,
            address: record.address.clone(),
            root_fingerprint: record.root_fingerprint,
            web_certificate: record.web_certificate,
            certificate_expires_at_ms: me.identity.not_after_ms,
        })
    }

    /// What the TLS connection must check; `None` before an invitation is noted.
    #[must_use]
    pub fn trust(&self) -> Option<Trust> {
        let record = self.memory.identity.as_ref()?;
        Some(Trust {
            address: record.address.clone(),
            root_fingerprint: record.root_fingerprint,
            root: self.memory.me.as_ref().map(|me| me.verifier.root().der().to_vec()),
            web_certificate: record.web_certificate,
        })
    }

    /// Handles one input. The actions are to be carried out in order.
    pub fn handle(&mut self, input: Input, now: TimestampMs) -> Vec<Action> {
        self.handle_all([input], now)
    }

    /// Handles several inputs in one transaction: one write to the disk instead of one each.
    ///
    /// When the store fails nothing of them is kept: commands among them fail, the connection is to be
    /// closed, and what is in memory is read again from the store.
    pub fn handle_all(&mut self, inputs: impl IntoIterator<Item = Input>, now: TimestampMs) -> Vec<Action> {
        let inputs: Vec<Input> = inputs.into_iter().collect();
        let commands = inputs.iter().filter_map(|input| match input {
            Input::Command { id, .. } => Some(*id),
            _ => None,
        });
        let commands: Vec<u64> = commands.collect();
        match self.try_handle(inputs, now) {
            Ok(actions) => actions,
            Err(error) => self.recover_from(error, &commands),
        }
    }

    fn try_handle(&mut self, inputs: Vec<Input>, now: TimestampMs) -> Result<Vec<Action>, StoreError> {
        let tx = self.store.begin()?;
        let mut cx = Cx { tx: &tx, m: &mut self.memory, now, actions: Vec::new() };
        for input in inputs {
            match input {
                Input::Connected => cx.connected(),
                Input::Disconnected => cx.disconnected(),
                Input::Frame(frame) => cx.frame(frame)?,
                Input::Command { id, command } => cx.command(id, command)?,
                Input::Tick => cx.check_alive(),
            }
        }
        cx.keep_appointments()?;
        cx.drive()?;
        cx.acknowledge_what_is_due();
        let actions = cx.actions;
        tx.commit()?;
        Ok(actions)
    }

    /// The transaction is undone; memory is ahead of the store and is dropped.
    fn recover_from(&mut self, error: StoreError, commands: &[u64]) -> Vec<Action> {
        tracing::error!(%error, "the local store failed");
        let waiting = std::mem::take(&mut self.memory.waiting);
        let dice = std::mem::take(&mut self.memory.dice);
        let loaded = self.store.begin().and_then(|tx| Memory::load(&tx, self.memory.settings));
        match loaded {
            Ok(memory) => self.memory = Memory { waiting, dice, ..memory },
            Err(again) => tracing::error!(error = %again, "the local store cannot be read"),
        }
        let reason = DisconnectReason::StoreFailed;
        let mut actions = vec![Action::Disconnect { reason, retry: true }];
        let mut cause = Some(error);
        for id in commands {
            let error = cause.take().unwrap_or(StoreError::Damaged("an earlier command of the batch failed"));
            actions.push(Action::Finished { id: *id, result: Err(Error::Store(error)) });
        }
        actions
    }

    /// What the hub should still be told before the connection is closed on purpose.
    pub fn last_words(&mut self, now: TimestampMs) -> Vec<v1::ClientFrame> {
        let acks = self.memory.session.acknowledgements.take(now);
        let frame = |ack| cercle_proto::frame::client(0, v1::client_frame::Body::Ack(ack));
        acks.into_iter().map(frame).collect()
    }

    /// When [`Input::Tick`] is due, if nothing else happens before.
    #[must_use]
    pub fn next_wake(&self) -> Option<TimestampMs> {
        self.memory.next_wake()
    }
}
