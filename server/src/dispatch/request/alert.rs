//! Frames about push and alerts, read.

use cercle_proto::{
    ErrorCode,
    id::{GroupId, UserId},
    v1::{self, client_frame::Body},
};

use super::{array, cursors};
use crate::{
    alert::{
        Audience, OpenRequest,
        record::{AlertId, Mode, Policy, Priority},
    },
    directory::rule::Rule,
    dispatch::directory,
    error::Refusal,
    push::address::Address,
};

/// Registers a push address, or none, and perhaps tries it.
#[derive(Debug)]
pub struct RegisterPush {
    /// Where the device is woken.
    pub address: Option<Address>,
    /// Wakes it at once.
    pub test: bool,
}

/// A request about push or alerts.
#[derive(Debug)]
#[expect(missing_docs, reason = "each variant is the frame of the same name, whose .proto is the reference")]
pub enum AlertCall {
    RegisterPush(RegisterPush),
    Open { request: Box<OpenRequest>, target: Option<Target> },
    Confirm(AlertId),
    Ack { alert: AlertId, acknowledged: bool },
    Watch { alert: AlertId, live: bool, after: Option<UserId> },
    Close(AlertId),
    GetReachability { group: Option<GroupId>, target: Option<Target>, after: Option<UserId> },
}

/// Whom an alert is meant for, by what the directory says.
#[derive(Debug, Clone)]
pub struct Target {
    /// Who; without values: everybody.
    pub who: Rule,
    /// Only who is on duty.
    pub on_duty: bool,
}

impl AlertCall {
    /// Name for metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::RegisterPush(_) => "register_push",
            Self::Open { .. } => "open_alert",
            Self::Confirm(_) => "confirm_alert",
            Self::Ack { .. } => "alert_ack",
            Self::Watch { .. } => "watch_alert",
            Self::Close(_) => "close_alert",
            Self::GetReachability { .. } => "get_reachability",
        }
    }
}

pub(super) fn call(body: Body) -> Result<AlertCall, Refusal> {
    Ok(match body {
        Body::RegisterPush(request) => AlertCall::RegisterPush(register(request)?),
        Body::OpenAlert(request) if request.confirm => AlertCall::Confirm(alert_id(&request.alert)?),
        Body::OpenAlert(mut request) => {
            let target = request.target.take().map(target);
            if target.is_some() && !request.same_recipients_as.is_empty() {
                let wrong = "target and same_recipients_as exclude each other";
                return Err(Refusal::new(ErrorCode::InvalidField, wrong));
            }
            AlertCall::Open { request: Box::new(open(request)?), target }
        }
        Body::AlertAck(v1::AlertAck { alert, acknowledged }) => {
            AlertCall::Ack { alert: alert_id(&alert)?, acknowledged }
        }
        Body::WatchAlert(v1::WatchAlert { alert, live, after }) => {
            AlertCall::Watch { alert: alert_id(&alert)?, live, after: user_after(&after)? }
        }
        Body::CloseAlert(v1::CloseAlert { alert }) => AlertCall::Close(alert_id(&alert)?),
        Body::GetReachability(request) => AlertCall::GetReachability {
            group: group_or_all(&request.group)?,
            target: request.target.map(target),
            after: user_after(&request.after)?,
        },
        _ => return Err(Refusal::of(ErrorCode::UnknownRequest)),
    })
}

fn register(request: v1::RegisterPush) -> Result<RegisterPush, Refusal> {
    let address = request.address.map(Address::try_from).transpose();
    let address = address.map_err(|error| Refusal::new(ErrorCode::InvalidField, error.to_string()))?;
    Ok(RegisterPush { address, test: request.test })
}

fn target(target: v1::AlertTarget) -> Target {
    let who = target.who.map(directory::rule).unwrap_or_default();
    Target { who, on_duty: target.on_duty }
}

fn alert_id(bytes: &bytes::Bytes) -> Result<AlertId, Refusal> {
    array(bytes, "alert must be 16 bytes").map(AlertId)
}

fn user_after(text: &str) -> Result<Option<UserId>, Refusal> {
    Ok(if text.is_empty() { None } else { Some(UserId::parse(text)?) })
}

fn group_or_all(bytes: &bytes::Bytes) -> Result<Option<GroupId>, Refusal> {
    Ok(if bytes.is_empty() { None } else { Some(GroupId::try_from(bytes)?) })
}

fn open(request: v1::OpenAlert) -> Result<OpenRequest, Refusal> {
    let missing = |wrong| Refusal::new(ErrorCode::InvalidField, wrong);
    let mode = match request.mode() {
        v1::AlertMode::Actual => Mode::Actual,
        v1::AlertMode::Exercise => Mode::Exercise,
        v1::AlertMode::Test => Mode::Test,
        v1::AlertMode::Unspecified => return Err(missing("mode is missing")),
    };
    let priority = match request.priority() {
        v1::AlertPriority::Normal => Priority::Normal,
        v1::AlertPriority::High => Priority::High,
        v1::AlertPriority::Unspecified => return Err(missing("priority is missing")),
    };
    let audience = match &request.same_recipients_as {
        earlier if earlier.is_empty() => Audience::All,
        earlier => Audience::As(array(earlier, "same_recipients_as must be 16 bytes").map(AlertId)?),
    };
    let policy = request.policy.unwrap_or_default();
    Ok(OpenRequest {
        alert: alert_id(&request.alert)?,
        groups: cursors(request.groups)?,
        mode,
        priority,
        expires_at: request.expires_at_ms,
        policy: Policy {
            ack_within_ms: policy.ack_within_ms,
            repeat_every_ms: policy.repeat_every_ms,
            repeat_max: policy.repeat_max,
            fallback_after_ms: policy.fallback_after_ms,
            escalate_after_ms: policy.escalate_after_ms,
            next_in_line: policy.next_in_line,
            needed: policy.needed,
        },
        audience,
    })
}
