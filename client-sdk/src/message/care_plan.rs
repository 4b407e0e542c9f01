//! PPS, plan personnalisé de santé: objectives and steps, by version, validated by role. Which version counts and
//! who has validated it is in [`thread::plans`](crate::thread::plans).

use super::{
    Kind, Language, Patient,
    field::{Page, choice, content, filled, missing, wrong},
    kind::{at_most, bounded, required},
    moment,
};
use crate::{error::Error, limits};

content! {
    /// A version of a plan.
    pub struct CarePlan {
        /// Short name that stays the same over all versions; required.
        pub plan: String,
        /// From 1; the highest counts, the first in the log among equals; required.
        pub version: u32,
        /// One line; required.
        pub title: String,
        /// At least one.
        pub objectives: Vec<PlanObjective>,
        /// At least one.
        pub steps: Vec<PlanStep>,
        /// Roles that must validate it; at least one.
        pub validators: Vec<PlanValidator>,
        /// About whom; absent in the patient's own circle.
        pub patient: Option<Patient>,
    }
}

content! {
    /// What is to be reached.
    pub struct PlanObjective {
        /// Short name, different from the others of the plan; required.
        pub code: String,
        /// Required.
        pub text: String,
        /// Until which day; may be empty.
        pub due: String,
        /// Required.
        pub state: PlanState,
    }
}

content! {
    /// What is done for an objective.
    pub struct PlanStep {
        /// Code of the objective; required.
        pub objective: String,
        /// Required.
        pub text: String,
        /// Role or person who does it; required.
        pub who: String,
        /// Until which day; may be empty.
        pub due: String,
        /// Required.
        pub state: PlanState,
    }
}

content! {
    /// Who must validate a plan.
    pub struct PlanValidator {
        /// Role, for example `médecin traitant`; required.
        pub role: String,
        /// User id of whoever holds it; empty: any member who says so, under his own name.
        pub user: String,
    }
}

choice! {
    /// How far an objective or step is.
    pub enum PlanState {
        /// Prévu.
        Planned = "prévu", "planned";
        /// En cours.
        InProgress = "en cours", "in progress";
        /// Atteint.
        Achieved = "atteint", "achieved";
        /// Abandonné.
        Abandoned = "abandonné", "abandoned";
    }
}

content! {
    /// A role approves or refuses a version. The newest decision of a role counts.
    pub struct CarePlanValidation {
        /// Name of the plan; required.
        pub plan: String,
        /// Version; required.
        pub version: u32,
        /// Role for which the sender decides; required.
        pub role: String,
        /// Required.
        pub decision: PlanDecision,
        /// Required with a refusal.
        pub comment: String,
    }
}

choice! {
    /// What a role says of a version.
    pub enum PlanDecision {
        /// Validé.
        Approved = "validé", "approved";
        /// Refusé.
        Refused = "refusé", "refused";
    }
}

impl CarePlan {
    fn check_objectives(&self) -> Result<(), Error> {
        filled("objectives", &self.objectives, limits::PARTS_MAX)?;
        for (at, objective) in self.objectives.iter().enumerate() {
            required("objectives.code", &objective.code, limits::CODE_BYTES_MAX)?;
            required("objectives.text", &objective.text, limits::TOPIC_BYTES_MAX)?;
            moment::optional_day("objectives.due", &objective.due)?;
            objective.state.chosen("objectives.state")?;
            if self.objectives[..at].iter().any(|earlier| earlier.code == objective.code) {
                return Err(wrong("objectives.code", "must be different for each objective"));
            }
        }
        Ok(())
    }

    fn check_steps(&self) -> Result<(), Error> {
        filled("steps", &self.steps, limits::PARTS_MAX)?;
        for step in &self.steps {
            required("steps.objective", &step.objective, limits::CODE_BYTES_MAX)?;
            required("steps.text", &step.text, limits::TOPIC_BYTES_MAX)?;
            required("steps.who", &step.who, limits::NAME_BYTES_MAX)?;
            moment::optional_day("steps.due", &step.due)?;
            step.state.chosen("steps.state")?;
            if !self.objectives.iter().any(|objective| objective.code == step.objective) {
                return Err(wrong("steps.objective", "must be the code of an objective of the plan"));
            }
        }
        Ok(())
    }
}

impl Kind for CarePlan {
    fn check(&self) -> Result<(), Error> {
        required("plan", &self.plan, limits::CODE_BYTES_MAX)?;
        if self.version == 0 {
            return Err(missing("version"));
        }
        required("title", &self.title, limits::TITLE_BYTES_MAX)?;
        self.check_objectives()?;
        self.check_steps()?;
        filled("validators", &self.validators, limits::PARTS_MAX)?;
        at_most("validators", &self.validators, limits::PARTS_MAX)?;
        for validator in &self.validators {
            required("validators.role", &validator.role, limits::NAME_BYTES_MAX)?;
            bounded("validators.user", &validator.user, limits::NAME_BYTES_MAX)?;
        }
        self.patient.iter().try_for_each(Patient::check)
    }

    fn render(&self, language: Language) -> String {
        let state = |state: PlanState, due: &str| {
            let due =
                if due.is_empty() { String::new() } else { format!(", {}", moment::day(due, language)) };
            format!("({}{due})", state.label(language))
        };
        let mut page = Page::new(language, &format!("[PPS] {}, v{}", self.title, self.version))
            .patient(self.patient.as_ref());
        for objective in &self.objectives {
            let state_of_it = state(objective.state, &objective.due);
            page = page.plain(&format!("- {}: {} {state_of_it}", objective.code, objective.text));
            for step in self.steps.iter().filter(|step| step.objective == objective.code) {
                let state_of_it = state(step.state, &step.due);
                page = page.plain(&format!("  · {}, {} {state_of_it}", step.text, step.who));
            }
        }
        let roles: Vec<&str> = self.validators.iter().map(|validator| validator.role.as_str()).collect();
        page.line("À valider par", "To be validated by", roles.join(", ")).finish()
    }

    fn about_patient(&self) -> bool {
        true
    }

    fn patients(&self) -> Vec<&Patient> {
        self.patient.iter().collect()
    }
}

impl Kind for CarePlanValidation {
    fn check(&self) -> Result<(), Error> {
        required("plan", &self.plan, limits::CODE_BYTES_MAX)?;
        if self.version == 0 {
            return Err(missing("version"));
        }
        required("role", &self.role, limits::NAME_BYTES_MAX)?;
        self.decision.chosen("decision")?;
        if self.decision == PlanDecision::Refused {
            return required("comment", &self.comment, limits::TEXT_BYTES_MAX);
        }
        bounded("comment", &self.comment, limits::TEXT_BYTES_MAX)
    }

    fn render(&self, language: Language) -> String {
        let decision = self.decision.label(language);
        Page::new(language, &format!("[PPS] {} v{} : {decision} ({})", self.plan, self.version, self.role))
            .plain(&self.comment)
            .finish()
    }
}
