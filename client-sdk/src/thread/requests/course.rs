//! The life of one request in one group.

use cercle_proto::id::{DeviceId, GroupId, MessageId, RegisterId, Seq, TimestampMs, UserId};
use serde::{Deserialize, Serialize};

use crate::{
    event::Message,
    message::{
        Language, Request, Transition,
        kind::hidden,
        request::Situation,
        transition::{Action, PrescriptionStep},
    },
};

/// The life of one request in one group.
#[derive(Clone, PartialEq, Eq)]
pub struct Course {
    /// What is asked.
    pub request: Request,
    /// The group.
    pub group: GroupId,
    /// Who asks.
    pub requester: UserId,
    /// His name, as his certificate says.
    pub requester_name: String,
    /// When the hub had it.
    pub asked_at_ms: TimestampMs,
    /// Its place in the log.
    pub seq: Seq,
    /// What the steps have led to.
    pub standing: Standing,
    /// Every step that counted, in log order.
    pub history: Vec<Step>,
}

/// What the steps of a request have led to.
#[derive(Clone, PartialEq, Eq)]
pub struct Standing {
    /// Where it stands; whether its time is over is said by [`Course::state_at`].
    pub state: State,
    /// Who has taken it on.
    pub owner: Option<Owner>,
    /// The only person who is asked.
    pub assignee: Option<UserId>,
    /// The register that decides; `None` for a request to this group alone, and after the owner has let
    /// go until the requester names a fresh one.
    pub register: Option<RegisterId>,
    /// Who said that he will not take it on.
    pub declined_by: Vec<UserId>,
    /// How far a prescription is.
    pub progress: Option<PrescriptionStep>,
}

hidden!(Course, Standing);

/// Who has taken a request on.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The user.
    #[serde(with = "crate::message::request::text_id")]
    pub user: UserId,
    /// His name: as his certificate says, or, in a group that he is not in, as the requester says.
    pub name: String,
    /// He took it on in another group; the requester says so here, with the hub's receipt.
    pub elsewhere: bool,
}

hidden!(Owner);

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody has it.
    Open,
    /// Somebody has it.
    Claimed,
    /// The owner has asked back.
    InfoRequested,
    /// The owner has answered.
    Answered,
    /// There is a time for it.
    Scheduled,
    /// Done.
    Completed,
    /// Who was asked will not do it.
    Declined,
    /// Taken back by the requester.
    Cancelled,
    /// Nobody took it on in time.
    Expired,
}

impl State {
    /// Its name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Claimed => "claimed",
            Self::InfoRequested => "info_requested",
            Self::Answered => "answered",
            Self::Scheduled => "scheduled",
            Self::Completed => "completed",
            Self::Declined => "declined",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// Its name for a person.
    #[must_use]
    pub const fn label(self, language: Language) -> &'static str {
        match self {
            Self::Open => language.pick("ouverte", "open"),
            Self::Claimed => language.pick("prise en charge", "claimed"),
            Self::InfoRequested => language.pick("précision demandée", "information requested"),
            Self::Answered => language.pick("répondue", "answered"),
            Self::Scheduled => language.pick("planifiée", "scheduled"),
            Self::Completed => language.pick("traitée", "completed"),
            Self::Declined => language.pick("déclinée", "declined"),
            Self::Cancelled => language.pick("annulée", "cancelled"),
            Self::Expired => language.pick("expirée", "expired"),
        }
    }

    /// Whether there is nothing more to do.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Completed | Self::Declined | Self::Cancelled | Self::Expired)
    }

    /// Whether somebody has it.
    #[must_use]
    pub const fn is_owned(self) -> bool {
        matches!(self, Self::Claimed | Self::InfoRequested | Self::Answered | Self::Scheduled)
    }
}

/// A step that counted.
#[derive(Clone, PartialEq, Eq)]
pub struct Step {
    /// The message.
    pub message: MessageId,
    /// Its place in the log.
    pub seq: Seq,
    /// When the hub had it.
    pub at_ms: TimestampMs,
    /// Who took it.
    pub by: UserId,
    /// His name, as his certificate says.
    pub name: String,
    /// With this device.
    pub device: DeviceId,
    /// In which situation.
    pub situation: Situation,
    /// What he did.
    pub action: Action,
    /// Where the request stood then.
    pub state: State,
}

hidden!(Step);

impl Course {
    pub(super) fn new(message: &Message, request: &Request) -> Self {
        Self {
            request: request.clone(),
            group: message.group,
            requester: message.sender.clone(),
            requester_name: message.display_name.clone(),
            asked_at_ms: message.at_ms,
            seq: message.seq,
            standing: Standing {
                state: State::Open,
                owner: None,
                assignee: request.assignee.clone(),
                register: request.audience.register(),
                declined_by: Vec::new(),
                progress: None,
            },
            history: Vec::new(),
        }
    }

    /// Where it stands at a time: open beyond its end is expired.
    #[must_use]
    pub fn state_at(&self, now: TimestampMs) -> State {
        let over = self.request.expires_ms.is_some_and(|expires| now > expires);
        let state = self.standing.state;
        if over && state == State::Open { State::Expired } else { state }
    }

    /// Whether it should have been done by then.
    #[must_use]
    pub fn is_overdue(&self, now: TimestampMs) -> bool {
        !self.state_at(now).is_closed() && self.request.due_ms.is_some_and(|due| now > due)
    }

    /// Whether a register decides who owns it.
    #[must_use]
    pub const fn is_wide(&self) -> bool {
        self.request.audience.register().is_some()
    }
}

impl Step {
    pub(super) fn new(message: &Message, transition: &Transition, state: State) -> Self {
        Self {
            message: message.id,
            seq: message.seq,
            at_ms: message.at_ms,
            by: message.sender.clone(),
            name: message.display_name.clone(),
            device: message.device,
            situation: transition.situation.clone(),
            action: transition.action.clone(),
            state,
        }
    }
}
