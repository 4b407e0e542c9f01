//! ETP, éducation thérapeutique du patient: one of the six steps of a programme.

use super::{
    Kind, Language, Patient,
    field::{Page, choice, content, missing, wrong},
    kind::{bounded, required},
    moment,
};
use crate::{error::Error, limits};

content! {
    /// One step of a programme.
    pub struct EducationStep {
        /// Name of the programme; required.
        pub programme: String,
        /// Required.
        pub step: EducationStepType,
        /// The day; required.
        pub date: String,
        /// Who led it; required.
        pub educator: String,
        /// Number of the session, from 1; required for a session, 0 for other steps.
        pub session: u32,
        /// Objectives, observations, results; may be empty.
        pub text: String,
        /// About whom; absent in the patient's own circle.
        pub patient: Option<Patient>,
    }
}

choice! {
    /// The six steps.
    pub enum EducationStepType {
        /// Inscription.
        Enrolment = "inscription", "enrolment";
        /// Objectifs.
        Objectives = "objectifs", "objectives";
        /// Évaluation initiale.
        InitialAssessment = "évaluation initiale", "initial assessment";
        /// Séance.
        Session = "séance", "session";
        /// Évaluation finale.
        FinalAssessment = "évaluation finale", "final assessment";
        /// Reporting.
        Reporting = "bilan", "reporting";
    }
}

impl Kind for EducationStep {
    fn check(&self) -> Result<(), Error> {
        required("programme", &self.programme, limits::NAME_BYTES_MAX)?;
        self.step.chosen("step")?;
        moment::required_day("date", &self.date)?;
        required("educator", &self.educator, limits::NAME_BYTES_MAX)?;
        match (self.step, self.session) {
            (EducationStepType::Session, 0) => return Err(missing("session")),
            (EducationStepType::Session, _) | (_, 0) => {}
            _ => return Err(wrong("session", "belongs to step \"session\" only")),
        }
        bounded("text", &self.text, limits::TEXT_BYTES_MAX)?;
        self.patient.iter().try_for_each(Patient::check)
    }

    fn render(&self, language: Language) -> String {
        let number = if self.session == 0 { String::new() } else { format!(" {}", self.session) };
        let step = self.step.label(language);
        Page::new(language, &format!("[ETP] {} : {step}{number}", self.programme))
            .plain(&self.text)
            .patient(self.patient.as_ref())
            .line("Par", "By", &self.educator)
            .line("Le", "On", moment::day(&self.date, language))
            .finish()
    }

    fn about_patient(&self) -> bool {
        true
    }

    fn patients(&self) -> Vec<&Patient> {
        self.patient.iter().collect()
    }
}
