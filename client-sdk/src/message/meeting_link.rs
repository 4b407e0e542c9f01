//! Where to meet on the screen. The tool is another one's; Cercle carries its address and the time.

use super::{
    Kind, Language, Patient,
    field::{Page, choice, content, https},
    kind::{bounded, required},
    moment,
};
use crate::{error::Error, limits};

content! {
    /// Where and when to meet.
    pub struct MeetingLink {
        /// Required.
        pub purpose: MeetingPurpose,
        /// https only; required.
        pub url: String,
        /// A moment; required.
        pub start: String,
        /// A moment; required.
        pub end: String,
        /// Name of the tool; required.
        pub tool: String,
        /// One line; may be empty.
        pub title: String,
        /// About whom; only where a patient may be named.
        pub patient: Option<Patient>,
    }
}

choice! {
    /// What for.
    pub enum MeetingPurpose {
        /// Téléconsultation.
        Teleconsultation = "téléconsultation", "teleconsultation";
        /// Visioconférence.
        VideoMeeting = "visioconférence", "video meeting";
    }
}

impl Kind for MeetingLink {
    fn check(&self) -> Result<(), Error> {
        self.purpose.chosen("purpose")?;
        https("url", &self.url)?;
        moment::required_moment("start", &self.start)?;
        moment::required_moment("end", &self.end)?;
        moment::ordered("end", &self.start, &self.end)?;
        required("tool", &self.tool, limits::NAME_BYTES_MAX)?;
        bounded("title", &self.title, limits::TITLE_BYTES_MAX)?;
        self.patient.iter().try_for_each(Patient::check)
    }

    fn render(&self, language: Language) -> String {
        Page::new(language, &format!("[{}] {}", self.purpose.label(language), self.title))
            .line("Quand", "When", moment::span(&self.start, &self.end, language))
            .line("Lien", "Link", format!("{} ({})", self.url, self.tool))
            .patient(self.patient.as_ref())
            .finish()
    }

    fn patients(&self) -> Vec<&Patient> {
        self.patient.iter().collect()
    }
}
