//! Something happened to a patient: a fall, a refusal of care, an admission. Those it is for acknowledge it.
//!
//! Emitter, patient, recipients, date and location are mandatory (URPS study, "gestion d'alerte"); type,
//! priority and text too. Who has acknowledged is in [`thread::alerts`](crate::thread::alerts).

use cercle_proto::id::MessageId;

use super::{
    AlertId, Kind, Language, Patient,
    field::{Page, choice, content, hex_message, present, texts},
    kind::{bounded, required},
    moment,
};
use crate::{error::Error, limits};

content! {
    /// Something happened to a patient. Every field is required.
    pub struct EventAlert {
        /// Who says so: person and practice or structure.
        pub emitter: String,
        /// To whom it happened.
        pub patient: Option<Patient>,
        /// Who must know: user ids, or names of people and structures.
        pub recipients: Vec<String>,
        /// When it happened: a moment.
        pub date: String,
        /// Where it happened.
        pub location: String,
        /// What kind of event.
        pub alert_type: EventAlertType,
        /// How fast somebody must react.
        pub priority: EventAlertPriority,
        /// What happened.
        pub text: String,
        /// Number of the alert on the hub, if the author asks for acknowledgement there: every member is rung until
        /// he acknowledges, and the author sees who has. `None`: he does not ask.
        pub hub_alert: Option<AlertId>,
    }
}

choice! {
    /// What kind of event; the national code list (JDV J46) has codes for some only.
    pub enum EventAlertType {
        /// Chute.
        Fall = "chute", "fall";
        /// Refus de soins.
        CareRefusal = "refus de soins", "refusal of care";
        /// Décompensation.
        Decompensation = "décompensation", "decompensation";
        /// Admission (ADM).
        Admission = "admission", "admission";
        /// Sortie (SOR).
        Discharge = "sortie", "discharge";
        /// Dépôt de document (DOC).
        Document = "document", "document";
        /// Note (NOT).
        Note = "note", "note";
        /// Another event.
        Other = "autre", "other";
    }
}

choice! {
    /// How fast somebody must react (FHIR request-priority).
    pub enum EventAlertPriority {
        /// At the next occasion.
        Routine = "courant", "routine";
        /// Within the day.
        Urgent = "urgent", "urgent";
        /// As soon as possible.
        Asap = "dès que possible", "as soon as possible";
        /// At once.
        Stat = "immédiat", "immediate";
    }
}

content! {
    /// Somebody has read an alert, and perhaps takes over.
    pub struct EventAlertAck {
        /// Message id of the alert; required.
        #[serde(with = "hex_message")]
        pub alert: Option<MessageId>,
        /// The sender takes care of it.
        pub taking_over: bool,
        /// A few words; may be empty.
        pub comment: String,
    }
}

impl Kind for EventAlert {
    fn check(&self) -> Result<(), Error> {
        required("emitter", &self.emitter, limits::NAME_BYTES_MAX)?;
        present("patient", self.patient.as_ref())?;
        self.patient.iter().try_for_each(Patient::check)?;
        texts("recipients", &self.recipients, limits::PARTS_MAX, limits::NAME_BYTES_MAX)?;
        moment::required_moment("date", &self.date)?;
        required("location", &self.location, limits::TOPIC_BYTES_MAX)?;
        self.alert_type.chosen("alert_type")?;
        self.priority.chosen("priority")?;
        required("text", &self.text, limits::TEXT_BYTES_MAX)
    }

    fn render(&self, language: Language) -> String {
        let (alert, kind) = (language.pick("Alerte", "Alert"), self.alert_type.label(language));
        let priority = self.priority.label(language);
        let asked = if self.hub_alert.is_some() { language.pick("demandé", "asked for") } else { "" };
        Page::new(language, &format!("{alert} ({kind}, {priority})"))
            .plain(&self.text)
            .patient(self.patient.as_ref())
            .line("Quand", "When", moment::shown(&self.date, language))
            .line("Où", "Where", &self.location)
            .line("De", "From", &self.emitter)
            .line("Pour", "For", self.recipients.join(", "))
            .line("Accusé de lecture", "Acknowledgement", asked)
            .finish()
    }

    fn patients(&self) -> Vec<&Patient> {
        self.patient.iter().collect()
    }
}

impl Kind for EventAlertAck {
    fn check(&self) -> Result<(), Error> {
        present("alert", self.alert.as_ref())?;
        bounded("comment", &self.comment, limits::TEXT_BYTES_MAX)
    }

    fn render(&self, language: Language) -> String {
        let heading = if self.taking_over {
            language.pick("Alerte prise en charge", "Alert taken over")
        } else {
            language.pick("Alerte lue", "Alert acknowledged")
        };
        Page::new(language, heading).plain(&self.comment).finish()
    }
}
