//! When somebody can see patients: slots, new patients, absence, duty. It links to the agenda that the
//! professional has; it is no agenda itself. What counts at a time is in
//! [`thread::availability`](crate::thread::availability).

use super::{
    Kind, Language,
    field::{Page, choice, content, filled, https, wrong},
    kind::{at_most, bounded},
    moment,
};
use crate::{error::Error, limits};

content! {
    /// When somebody can see patients. The newest of a sender and type counts, until it ends.
    pub struct Availability {
        /// Required.
        pub availability_type: AvailabilityType,
        /// From when: a moment; may be empty.
        pub from: String,
        /// Until when: a moment; required.
        pub until: String,
        /// Required for slots, else none.
        pub slots: Vec<Slot>,
        /// Where; may be empty.
        pub place: String,
        /// A few words; may be empty.
        pub text: String,
        /// Takes back the earlier one of this type.
        pub withdrawn: bool,
    }
}

content! {
    /// A time that can be booked (SAS, Slot).
    pub struct Slot {
        /// A moment; required.
        pub start: String,
        /// A moment; required.
        pub end: String,
        /// Who may book; required.
        pub audience: SlotAudience,
        /// Where to book, https; may be empty.
        pub url: String,
    }
}

choice! {
    /// What somebody says of his time.
    pub enum AvailabilityType {
        /// Créneaux.
        Slots = "créneaux", "slots";
        /// Accepte de nouveaux patients.
        AcceptsNewPatients = "accepte de nouveaux patients", "accepts new patients";
        /// Indisponible.
        Unavailable = "indisponible", "unavailable";
        /// De garde.
        OnDuty = "de garde", "on duty";
    }
}

choice! {
    /// Who may book a slot (`TRE_R314`).
    pub enum SlotAudience {
        /// Anybody (PUBLIC).
        Public = "grand public", "public";
        /// Soins non programmés (SNP).
        Snp = "soins non programmés", "unscheduled care";
        /// Professionals (PRO).
        Pro = "professionnels", "professionals";
        /// Members of the CPTS (CPTS).
        Cpts = "CPTS", "CPTS";
    }
}

impl Slot {
    fn check(&self) -> Result<(), Error> {
        moment::required_moment("slots.start", &self.start)?;
        moment::required_moment("slots.end", &self.end)?;
        moment::ordered("slots.end", &self.start, &self.end)?;
        self.audience.chosen("slots.audience")?;
        if self.url.is_empty() { Ok(()) } else { https("slots.url", &self.url) }
    }

    fn line(&self, language: Language) -> String {
        let span = moment::span(&self.start, &self.end, language);
        let link = if self.url.is_empty() { String::new() } else { format!(" {}", self.url) };
        format!("- {span} ({}){link}", self.audience.label(language))
    }
}

impl Kind for Availability {
    fn check(&self) -> Result<(), Error> {
        self.availability_type.chosen("availability_type")?;
        moment::optional_moment("from", &self.from)?;
        moment::required_moment("until", &self.until)?;
        if !self.from.is_empty() {
            moment::ordered("until", &self.from, &self.until)?;
        }
        if self.availability_type != AvailabilityType::Slots {
            if !self.slots.is_empty() {
                return Err(wrong("slots", "belong to availability_type \"slots\" only"));
            }
        } else if !self.withdrawn {
            filled("slots", &self.slots, limits::PARTS_MAX)?;
        }
        at_most("slots", &self.slots, limits::PARTS_MAX)?;
        self.slots.iter().try_for_each(Slot::check)?;
        bounded("place", &self.place, limits::TOPIC_BYTES_MAX)?;
        bounded("text", &self.text, limits::TEXT_BYTES_MAX)
    }

    fn render(&self, language: Language) -> String {
        let taken_back = language.pick(" (retiré)", " (withdrawn)");
        let state = if self.withdrawn { taken_back } else { "" };
        let heading = format!(
            "[{}] {}{state}",
            language.pick("disponibilité", "availability"),
            self.availability_type.label(language)
        );
        let page = Page::new(language, &heading)
            .line("À partir de", "From", moment::shown(&self.from, language))
            .line("Jusqu'à", "Until", moment::shown(&self.until, language))
            .line("Lieu", "Place", &self.place)
            .plain(&self.text);
        self.slots.iter().fold(page, |page, slot| page.plain(&slot.line(language))).finish()
    }
}
