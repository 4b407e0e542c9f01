//! What an app asks the hub about alerts and wake-ups, and what it learns. The hub knows numbers and times
//! only; what an alert says is a message ([`crate::message::CrisisAlert`]).

use cercle_proto::{
    id::{GroupId, UserId},
    v1::{self, client_frame::Body as Request},
};

use crate::{message::AlertId, thread::crisis::AlertState};

/// What an app asks about alerts and wake-ups. Each needs a connection.
#[derive(Clone)]
pub enum AlertCommand {
    /// Opens an alert whose messages are in their groups, or confirms one (`confirm`).
    Open(v1::OpenAlert),
    /// Says that the user has seen an alert, or acknowledges it.
    Acknowledge {
        /// Which.
        alert: AlertId,
        /// Acknowledged; else seen only.
        acknowledged: bool,
    },
    /// Asks how far an alert is.
    Watch {
        /// Which.
        alert: AlertId,
        /// Every change is an [`Event::AlertStatus`](crate::event::Event::AlertStatus) until the session ends.
        live: bool,
        /// Recipients after this user.
        after: Option<UserId>,
    },
    /// Ends an alert.
    Close(AlertId),
    /// Asks who could be reached.
    Reachability {
        /// Members of this group; `None`: all users.
        group: Option<GroupId>,
        /// Only who fits; `None`: all.
        target: Option<v1::AlertTarget>,
        /// Users after this one.
        after: Option<UserId>,
    },
    /// Says where this device is woken.
    RegisterPush(v1::RegisterPush),
}

impl std::fmt::Debug for AlertCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AlertCommand")
    }
}

impl AlertCommand {
    pub(crate) fn request(self) -> Request {
        let bytes = |alert: AlertId| alert.0.to_vec().into();
        let text = |user: Option<UserId>| user.map_or_else(String::new, |user| user.as_str().to_owned());
        match self {
            Self::Open(open) => Request::OpenAlert(open),
            Self::Acknowledge { alert, acknowledged } => {
                Request::AlertAck(v1::AlertAck { alert: bytes(alert), acknowledged })
            }
            Self::Watch { alert, live, after } => {
                Request::WatchAlert(v1::WatchAlert { alert: bytes(alert), live, after: text(after) })
            }
            Self::Close(alert) => Request::CloseAlert(v1::CloseAlert { alert: bytes(alert) }),
            Self::Reachability { group, target, after } => Request::GetReachability(v1::GetReachability {
                group: group.map_or_else(Default::default, GroupId::to_bytes),
                after: text(after),
                target,
            }),
            Self::RegisterPush(register) => Request::RegisterPush(register),
        }
    }
}

/// How far an alert is. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct AlertTally(pub v1::AlertStatus);

impl std::fmt::Debug for AlertTally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AlertTally")
    }
}

/// An alert as this device knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupAlert {
    /// The groups that it went to, of those that this device is in.
    pub groups: Vec<GroupId>,
    /// What it says and what became of it; answers of all groups together.
    pub state: AlertState,
}

impl GroupAlert {
    /// The same alert in another group.
    pub(crate) fn merge(&mut self, group: GroupId, other: &AlertState) {
        self.groups.push(group);
        self.state.superseded |= other.superseded;
        for (user, answer) in &other.answers {
            self.state.answers.entry(user.clone()).or_insert_with(|| answer.clone());
        }
    }
}
