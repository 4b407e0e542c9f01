//! Linking a further device of the same user to one that is enrolled (docs/protocol.md, section "Linking").
//!
//! The old device shows a code ([`Client::begin_link`]); the new one reads it ([`Client::join_link`]) and shows
//! a number, which its user types on the old one ([`Met::confirm`]). Then the old device hands over an
//! invitation for its own user, sealed, and the new one enrols with it, joins every group of the user by
//! itself, and is given the history.
//!
//! - `channel`: keys and number, pure; `wire`: what is said; `lane`: slots on the hub.
//!
//! Whatever is interrupted before the number was typed is begun anew with another code and has changed
//! nothing. Whatever comes after is in both stores and goes on by itself.

mod channel;
mod lane;
mod wire;

use cercle_proto::{id::DeviceId, invitation::Invitation, link::LinkCode};

use crate::{
    client::{Client, ClientError, operations::unexpected},
    core::{Command, DevicesCommand, Identity, LinkProgress, NewInvitation, Outcome},
    error::Error,
    limits,
};
use channel::{Channel, HELLO, MET, Old, Place, VERDICT};
use lane::{Lane, LaneError};
use wire::{LinkGrant, LinkHello, LinkMet, LinkRefused, link_message::Body};

pub use channel::Foreign;

/// Why a linking came to nothing. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The device refused, or the hub did.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The code has ended: its time is over, it was cancelled, or the hub was restarted.
    #[error("the code has ended; show a new one")]
    Ended,
    /// Another device has used the code.
    #[error("another device has used the code; show a new one")]
    Used,
    /// The hub cannot be reached.
    #[error("the hub cannot be reached")]
    Unreachable,
    /// Somebody who has not seen the code answered.
    #[error(transparent)]
    Foreign(#[from] Foreign),
    /// The number is not the one that the new device shows.
    #[error("the number is not the one that the new device shows")]
    WrongNumber,
    /// The old device's user did not confirm.
    #[error("the other device did not confirm")]
    Refused,
}

impl From<Error> for LinkError {
    fn from(error: Error) -> Self {
        Self::Client(error.into())
    }
}

impl From<LaneError> for LinkError {
    fn from(error: LaneError) -> Self {
        match error {
            LaneError::Ended => Self::Ended,
            LaneError::Taken => Self::Used,
            LaneError::Unreachable => Self::Unreachable,
        }
    }
}

/// A code that is shown, on the old device.
pub struct Linking {
    client: Client,
    old: Old,
    lane: Lane,
    expires_at_ms: u64,
}

impl std::fmt::Debug for Linking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Linking")
    }
}

/// A device that has read the code, on the old device.
pub struct Met {
    client: Client,
    channel: Channel,
    lane: Lane,
    device: DeviceId,
}

impl std::fmt::Debug for Met {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Met").field("device", &self.device).finish_non_exhaustive()
    }
}

/// The old device has answered, on the new one.
pub struct Joining {
    client: Client,
    channel: Channel,
    lane: Lane,
    code: LinkCode,
}

impl std::fmt::Debug for Joining {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Joining")
    }
}

impl Client {
    /// Makes a code to be shown to a further device of this user. Needs a connection.
    ///
    /// # Errors
    /// When there is no connection or the hub refuses.
    pub async fn begin_link(&self) -> Result<Linking, LinkError> {
        self.command(Command::Devices(DevicesCommand::PrepareOwnGroup)).await?;
        let trust = self.query(|core| core.trust()).await?.ok_or(Error::NotEnrolled)?;
        let old = Old::new(trust.address, trust.root_fingerprint, trust.web_certificate);
        let place = Place::of(&old.code().secret);
        let open = DevicesCommand::OpenLane { lane: place.lane, token_sha256: place.token_sha256() };
        match self.command(Command::Devices(open)).await? {
            Outcome::LaneOpened { expires_at_ms } => {
                let lane = Lane::new(old.code(), place);
                Ok(Linking { client: self.clone(), old, lane, expires_at_ms })
            }
            _ => Err(unexpected().into()),
        }
    }

    /// Answers a code that another device of the user shows. This device must not be enrolled.
    ///
    /// # Errors
    /// When the device is enrolled, the code has ended or was used, or the hub is not the one of the code.
    pub async fn join_link(&self, code: &LinkCode) -> Result<Joining, LinkError> {
        let hub = code.clone();
        let (device, public_key) = self.query(move |core| core.begin_linking(&hub)).await??;
        let (channel, public) = channel::join(code)?;
        let hello = LinkHello { device: device.as_bytes().to_vec(), public_key: public_key.to_vec() };
        let first = [public.as_slice(), &channel.seal(HELLO, Body::Hello(hello))].concat();
        let lane = Lane::new(code, Place::of(&code.secret));
        self.on_transfers(lane.clone().put(HELLO, first)).await??;
        let answer = self.on_transfers(lane.clone().take(MET)).await??;
        match channel.open(MET, &answer)? {
            Body::Met(_) => Ok(Joining { client: self.clone(), channel, lane, code: code.clone() }),
            _ => Err(Foreign.into()),
        }
    }

    /// Goes on with an enrolment that was interrupted after this device had been given its invitation.
    ///
    /// # Errors
    /// As [`Client::enrol`].
    pub async fn resume_enrolment(&self) -> Result<Option<Identity>, ClientError> {
        match self.query(|core| core.pending_invitation()).await?? {
            Some(invitation) => self.enrol(&invitation).await.map(Some),
            None => Ok(None),
        }
    }

    /// Waits until this device is in every group in which another device of its user is. Without a limit:
    /// bound it.
    ///
    /// # Errors
    /// When the session has ended for good, or the client is closed.
    pub async fn groups_joined(&self) -> Result<(), ClientError> {
        let mut events = self.events();
        while !self.query(|core| core.has_joined_all()).await? {
            tokio::select! {
                biased;
                notice = events.next() => notice.map(drop).ok_or(ClientError::Closed)?,
                stopped = self.stopped() => return Err(stopped),
            }
        }
        Ok(())
    }
}

impl Client {
    /// Waits until everything has come that another device of this user hands over. Without a limit: bound it.
    ///
    /// # Errors
    /// As [`Client::groups_joined`].
    pub async fn history_complete(&self) -> Result<(), ClientError> {
        let mut events = self.events();
        while !self.query(|core| core.has_whole_history()).await? {
            tokio::select! {
                biased;
                notice = events.next() => notice.map(drop).ok_or(ClientError::Closed)?,
                stopped = self.stopped() => return Err(stopped),
            }
        }
        Ok(())
    }

    /// How far a device is that this one has linked.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn link_progress(&self, device: DeviceId) -> Result<LinkProgress, ClientError> {
        Ok(self.query(move |core| core.link_progress(device)).await??)
    }
}

impl Linking {
    /// What is shown, as text or as a picture of it.
    #[must_use]
    pub fn code(&self) -> String {
        self.old.code().to_text()
    }

    /// The code is good until then.
    #[must_use]
    pub const fn expires_at_ms(&self) -> u64 {
        self.expires_at_ms
    }

    /// Waits for a device that has read the code.
    ///
    /// # Errors
    /// When the code has ended, or somebody answers who has not seen it.
    pub async fn meet(self) -> Result<Met, LinkError> {
        let Self { client, old, lane, .. } = self;
        let first = client.on_transfers(lane.clone().take(HELLO)).await??;
        let met = old.meet(&first).map_err(LinkError::from).and_then(|(channel, body)| match body {
            Body::Hello(hello) => {
                let device = DeviceId::try_from(hello.device.as_slice()).map_err(|_| Foreign)?;
                Ok((channel, device))
            }
            _ => Err(Foreign.into()),
        });
        let (channel, device) = match met {
            Ok(met) => met,
            Err(error) => {
                close(&client, &lane).await;
                return Err(error);
            }
        };
        let answer = channel.seal(MET, Body::Met(LinkMet {}));
        client.on_transfers(lane.clone().put(MET, answer)).await??;
        Ok(Met { client, channel, lane, device })
    }

    /// Ends the code.
    pub async fn cancel(self) {
        close(&self.client, &self.lane).await;
    }
}

impl Met {
    /// The device that has read the code.
    #[must_use]
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// Compares the number that the user has read on the new device. If it is the right one, the device may
    /// enrol, and is handed over what was said as soon as it is in its groups; else nothing is given out and
    /// the code has ended.
    ///
    /// # Errors
    /// [`LinkError::WrongNumber`], or the hub refuses.
    pub async fn confirm(self, typed: &str) -> Result<DeviceId, LinkError> {
        let Self { client, channel, lane, device } = self;
        let digits: String = typed.chars().filter(char::is_ascii_digit).collect();
        if digits != channel.number() {
            refuse(&client, &channel, &lane).await;
            return Err(LinkError::WrongNumber);
        }
        let note = DevicesCommand::NoteLinked { device, key: channel.history_key() };
        client.command(Command::Devices(note)).await?;
        let valid_for_ms = limits::LINK_INVITATION_MS;
        let invitation = NewInvitation { valid_for_ms, ..NewInvitation::default() };
        let Outcome::InvitationCreated { link, .. } =
            client.command(Command::CreateInvitation(invitation)).await?
        else {
            return Err(unexpected().into());
        };
        let keeper = client.query(|core| core.vault_keeper()).await??;
        let vault_keys = keeper.iter().flat_map(|keeper| &keeper.keys).map(|key| key.to_vec()).collect();
        let grant = channel.seal(VERDICT, Body::Grant(LinkGrant { invitation: link, vault_keys }));
        client.on_transfers(lane.put(VERDICT, grant)).await??;
        Ok(device)
    }

    /// Refuses the device.
    pub async fn refuse(self) {
        refuse(&self.client, &self.channel, &self.lane).await;
    }
}

impl Joining {
    /// The number to be shown: its user types it on the old device.
    #[must_use]
    pub fn number(&self) -> String {
        self.channel.number()
    }

    /// Waits until the old device has confirmed, and enrols.
    ///
    /// # Errors
    /// [`LinkError::Refused`], or as [`Client::enrol`].
    pub async fn finish(self) -> Result<Identity, LinkError> {
        let Self { client, channel, lane, code } = self;
        let verdict = client.on_transfers(lane.take(VERDICT)).await??;
        let grant = match channel.open(VERDICT, &verdict)? {
            Body::Grant(grant) => grant,
            Body::Refused(_) => return Err(LinkError::Refused),
            _ => return Err(Foreign.into()),
        };
        let invitation = Invitation::parse(&grant.invitation).map_err(|_| Foreign)?;
        // The address of the code is the one that works from here.
        let invitation = Invitation { address: code.address.clone(), ..invitation };
        if invitation.root_fingerprint != code.root_fingerprint {
            return Err(Foreign.into());
        }
        let (key, noted) = (channel.history_key(), invitation.clone());
        let vault: Vec<[u8; 32]> =
            grant.vault_keys.iter().filter_map(|key| key.as_slice().try_into().ok()).collect();
        client.query(move |core| core.accept_link(&noted, key, vault)).await??;
        Ok(client.enrol(&invitation).await?)
    }
}

async fn refuse(client: &Client, channel: &Channel, lane: &Lane) {
    let refused = channel.seal(VERDICT, Body::Refused(LinkRefused {}));
    // If the other device does not hear of it, the lane ends all the same.
    let _ = client.on_transfers(lane.clone().put(VERDICT, refused)).await;
}

async fn close(client: &Client, lane: &Lane) {
    let close = DevicesCommand::CloseLane { lane: lane.id() };
    // It ends by itself.
    let _ = client.command(Command::Devices(close)).await;
}

/// Reads what came as the first slot, and as what lies behind a seal.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_slot(data: &[u8]) {
    use prost::Message as _;
    let met = Old::new("hub.example:8443".to_owned(), [7; 32], false).meet(data);
    assert!(met.is_err(), "nobody has seen the code");
    if let Ok(message) = wire::LinkMessage::decode(data) {
        let again = wire::LinkMessage::decode(message.encode_to_vec().as_slice());
        assert_eq!(again, Ok(message), "a message changed on its way through");
    }
}
