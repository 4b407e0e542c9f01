//! Who is asked: the group that a request is posted in, or several groups and, step by step, more.
//!
//! The logs of several groups have no common order, so a request to several carries a first-wins register
//! of the hub: whoever claims that first owns the request everywhere.

use cercle_proto::id::{GroupId, RegisterId, TimestampMs};
use serde::{Deserialize, Serialize};

use super::text_id;
use crate::{
    error::Error,
    limits,
    message::{kind::at_most, wire},
};

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// The members of the group that it is posted in; the order of its log decides who owns it.
    #[default]
    ThisGroup,
    /// Several groups, or one that may become several; a register decides.
    Several(Several),
}

/// Several groups under one register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Several {
    /// Whoever claims it first owns the request.
    #[serde(with = "text_id")]
    pub register: RegisterId,
    /// The groups that are asked at first.
    #[serde(with = "text_id::list")]
    pub groups: Vec<GroupId>,
    /// Who is asked next if nobody owns it by then.
    pub widening: Vec<Widening>,
}

/// One step of a plan: more groups at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Widening {
    /// When, milliseconds since the Unix epoch.
    pub at_ms: TimestampMs,
    /// Whom.
    #[serde(with = "text_id::list")]
    pub groups: Vec<GroupId>,
}

impl Audience {
    /// The register, if there is one.
    #[must_use]
    pub const fn register(&self) -> Option<RegisterId> {
        match self {
            Self::ThisGroup => None,
            Self::Several(several) => Some(several.register),
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let Self::Several(several) = self else { return Ok(()) };
        if several.groups.is_empty() {
            return Err(Error::Field { field: "audience", problem: "names no group".into() });
        }
        at_most("audience", &several.groups, limits::AUDIENCE_GROUPS_MAX)?;
        check_plan(&several.widening)
    }

    pub(super) fn to_wire(&self) -> (Vec<u8>, Vec<Vec<u8>>, Vec<wire::Widening>) {
        let Self::Several(several) = self else { return Default::default() };
        let widening = several
            .widening
            .iter()
            .map(|step| wire::Widening { at_ms: step.at_ms, groups: groups_to_wire(&step.groups) });
        (several.register.as_bytes().to_vec(), groups_to_wire(&several.groups), widening.collect())
    }

    pub(super) fn from_wire(
        register: &[u8],
        groups: &[Vec<u8>],
        widening: Vec<wire::Widening>,
    ) -> Option<Self> {
        if register.is_empty() {
            return Some(Self::ThisGroup);
        }
        let step = |step: wire::Widening| {
            Some(Widening { at_ms: step.at_ms, groups: groups_from_wire(&step.groups)? })
        };
        Some(Self::Several(Several {
            register: RegisterId::try_from(register).ok()?,
            groups: groups_from_wire(groups)?,
            widening: widening.into_iter().map(step).collect::<Option<_>>()?,
        }))
    }
}

/// Checks a widening plan: bounded, in order of time, no empty step.
///
/// # Errors
/// [`Error::Field`].
pub(crate) fn check_plan(plan: &[Widening]) -> Result<(), Error> {
    at_most("widening", plan, limits::WIDENING_STEPS_MAX)?;
    for step in plan {
        at_most("widening", &step.groups, limits::AUDIENCE_GROUPS_MAX)?;
        if step.groups.is_empty() {
            return Err(Error::Field { field: "widening", problem: "has a step without group".into() });
        }
    }
    if !plan.is_sorted_by_key(|step| step.at_ms) {
        return Err(Error::Field { field: "widening", problem: "is not in the order of time".into() });
    }
    Ok(())
}

/// Group ids as they go into a message.
pub(crate) fn groups_to_wire(groups: &[GroupId]) -> Vec<Vec<u8>> {
    groups.iter().map(|group| group.as_bytes().to_vec()).collect()
}

/// Group ids of a message; `None` if one is malformed.
pub(crate) fn groups_from_wire(groups: &[Vec<u8>]) -> Option<Vec<GroupId>> {
    groups.iter().map(|group| GroupId::try_from(group.as_slice()).ok()).collect()
}
