//! Draft of a declaration of an adverse event. It is filed on the official portal, by a person: Cercle declares
//! nothing by itself. The number that the portal gave is recorded afterwards
//! ([`thread::declarations`](crate::thread::declarations)).

use cercle_proto::id::MessageId;

use super::{
    Kind, Language,
    field::{Page, choice, content, hex_message, present},
    kind::{bounded, required},
    moment,
};
use crate::{error::Error, limits};

/// Where declarations are filed, all types.
pub const PORTAL: &str = "https://signalement.social-sante.gouv.fr";

content! {
    /// Draft of a declaration, without the patient's identity.
    pub struct AdverseEvent {
        /// Required.
        pub event_type: AdverseEventType,
        /// Required.
        pub severity: AdverseEventSeverity,
        /// The day; required.
        pub date: String,
        /// Where; required.
        pub place: String,
        /// What happened, without the patient's identity; required.
        pub text: String,
        /// What was done at once; may be empty.
        pub measures: String,
        /// Medicine or device; required for those types.
        pub product: String,
        /// Batch or serial number; may be empty.
        pub batch: String,
    }
}

choice! {
    /// Which vigilance.
    pub enum AdverseEventType {
        /// Évènement indésirable associé aux soins.
        Care = "évènement associé aux soins", "related to care";
        /// Pharmacovigilance.
        Medicine = "pharmacovigilance", "medicine";
        /// Matériovigilance.
        Device = "matériovigilance", "medical device";
        /// Another one.
        Other = "autre", "other";
    }
}

choice! {
    /// What it did to the patient.
    pub enum AdverseEventSeverity {
        /// No harm.
        None = "sans conséquence", "no harm";
        /// Mineure.
        Minor = "mineure", "minor";
        /// Grave.
        Serious = "grave", "serious";
        /// Pronostic vital engagé.
        LifeThreatening = "pronostic vital engagé", "life-threatening";
        /// Décès.
        Death = "décès", "death";
    }
}

content! {
    /// The number that the portal gave to a declaration.
    pub struct AdverseEventReference {
        /// Message id of the draft; required.
        #[serde(with = "hex_message")]
        pub draft: Option<MessageId>,
        /// Number of the portal; required.
        pub reference: String,
        /// The day it was filed; required.
        pub date: String,
    }
}

impl Kind for AdverseEvent {
    fn check(&self) -> Result<(), Error> {
        self.event_type.chosen("event_type")?;
        self.severity.chosen("severity")?;
        moment::required_day("date", &self.date)?;
        required("place", &self.place, limits::TOPIC_BYTES_MAX)?;
        required("text", &self.text, limits::TEXT_BYTES_MAX)?;
        bounded("measures", &self.measures, limits::TEXT_BYTES_MAX)?;
        bounded("batch", &self.batch, limits::CODE_BYTES_MAX)?;
        if matches!(self.event_type, AdverseEventType::Medicine | AdverseEventType::Device) {
            return required("product", &self.product, limits::NAME_BYTES_MAX);
        }
        bounded("product", &self.product, limits::NAME_BYTES_MAX)
    }

    fn render(&self, language: Language) -> String {
        let draft = language.pick("évènement indésirable, brouillon", "adverse event, draft");
        let (kind, severity) = (self.event_type.label(language), self.severity.label(language));
        Page::new(language, &format!("[{draft}] {kind}, {severity}"))
            .plain(&self.text)
            .line("Le", "On", moment::day(&self.date, language))
            .line("Où", "Where", &self.place)
            .line("Produit", "Product", &self.product)
            .line("Lot", "Batch", &self.batch)
            .line("Mesures prises", "Measures taken", &self.measures)
            .line("À déclarer sur", "To be declared on", PORTAL)
            .finish()
    }
}

impl Kind for AdverseEventReference {
    fn check(&self) -> Result<(), Error> {
        present("draft", self.draft.as_ref())?;
        required("reference", &self.reference, limits::CODE_BYTES_MAX)?;
        moment::required_day("date", &self.date)
    }

    fn render(&self, language: Language) -> String {
        let date = moment::day(&self.date, language);
        let declared =
            language.pick("Évènement indésirable déclaré, numéro", "Adverse event declared, number");
        format!("{declared} {} ({date})", self.reference)
    }
}
