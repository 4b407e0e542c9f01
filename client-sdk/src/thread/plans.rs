//! Care plans: the current version of each, and who has validated it.

use std::collections::BTreeMap;

use cercle_proto::id::{MessageId, TimestampMs, UserId};
use serde::Serialize;

use super::state::{self, Projected};
use crate::{
    event::Message,
    message::{
        Body, CarePlan, CarePlanValidation, Kind as _, Language,
        care_plan::{PlanDecision, PlanValidator},
    },
};

/// The plans of a thread.
#[derive(Debug, Default)]
pub struct Plans {
    plans: BTreeMap<String, PlanState>,
}

/// The current version of a plan.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct PlanState {
    /// Message id of the current version.
    #[serde(serialize_with = "state::id")]
    pub id: MessageId,
    /// Who wrote it.
    #[serde(serialize_with = "state::user")]
    pub author: UserId,
    /// When the hub accepted it.
    pub at_ms: TimestampMs,
    /// What it says.
    pub current: CarePlan,
    /// Newest decision of each role that must validate this version.
    pub decisions: BTreeMap<String, Decision>,
    /// Every role has approved.
    pub validated: bool,
    /// Versions that came with a number that was not higher: two authors at once.
    pub conflicts: u32,
}

crate::message::kind::hidden!(PlanState);

/// What a role said of a version.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Who decided.
    #[serde(serialize_with = "state::user")]
    pub user: UserId,
    /// What.
    pub decision: PlanDecision,
    /// Why.
    pub comment: String,
    /// When the hub accepted it.
    pub at_ms: TimestampMs,
}

crate::message::kind::hidden!(Decision);

impl Plans {
    pub(super) fn apply(&mut self, message: &Message) {
        match &message.body {
            Body::CarePlan(plan) => self.publish(message, plan),
            Body::CarePlanValidation(validation) => {
                if let Some(state) = self.plans.get_mut(&validation.plan) {
                    state.decide(message, validation);
                }
            }
            _ => {}
        }
    }

    /// The highest version counts, without decisions; among equals the first in the log.
    fn publish(&mut self, message: &Message, plan: &CarePlan) {
        let known = self.plans.get_mut(&plan.plan);
        let conflicts = known.as_ref().map_or(0, |known| known.conflicts);
        if let Some(known) = known.filter(|known| plan.version <= known.current.version) {
            known.conflicts += 1;
            return;
        }
        let state = PlanState {
            id: message.id,
            author: message.sender.clone(),
            at_ms: message.at_ms,
            current: plan.clone(),
            decisions: BTreeMap::new(),
            validated: false,
            conflicts,
        };
        self.plans.insert(plan.plan.clone(), state);
    }

    /// Current versions by the name of their plan.
    pub fn current(&self) -> impl Iterator<Item = &PlanState> {
        self.plans.values()
    }
}

impl PlanState {
    /// A decision counts for the current version, for a role that must validate, from whoever holds that role.
    fn decide(&mut self, message: &Message, validation: &CarePlanValidation) {
        let holds = |validator: &PlanValidator| {
            validator.role == validation.role
                && (validator.user.is_empty() || validator.user == message.sender.as_str())
        };
        if validation.version != self.current.version || !self.current.validators.iter().any(holds) {
            return;
        }
        let decision = Decision {
            user: message.sender.clone(),
            decision: validation.decision,
            comment: validation.comment.clone(),
            at_ms: message.at_ms,
        };
        self.decisions.insert(validation.role.clone(), decision);
        self.validated = self.current.validators.iter().all(|validator| {
            let decision = self.decisions.get(&validator.role);
            decision.is_some_and(|decision| decision.decision == PlanDecision::Approved)
        });
    }
}

impl Projected for PlanState {
    fn render(&self, language: Language) -> String {
        let mut text = self.current.render(language);
        for validator in &self.current.validators {
            let decision = self.decisions.get(&validator.role).map_or_else(
                || language.pick("en attente", "waiting").to_owned(),
                |decision| format!("{} ({})", decision.decision.label(language), decision.user.as_str()),
            );
            text.push_str(&format!("\n{} : {decision}", validator.role));
        }
        text
    }
}
