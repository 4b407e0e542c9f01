//! A meeting, training or other event, and who comes. The count is in [`thread::agenda`](crate::thread::agenda).

use cercle_proto::id::MessageId;

use super::{
    Kind, Language,
    field::{Page, choice, content, hex_message, present},
    kind::{bounded, required},
    moment,
};
use crate::{error::Error, limits};

content! {
    /// A meeting, training or other event.
    pub struct AgendaEvent {
        /// One line; required.
        pub title: String,
        /// A moment; required.
        pub start: String,
        /// A moment; required.
        pub end: String,
        /// An address or a link; required.
        pub place: String,
        /// Who invites; required.
        pub organiser: String,
        /// A few lines; may be empty.
        pub text: String,
        /// Places; 0: as many as come.
        pub places_max: u32,
        /// Until when to answer: a moment; may be empty.
        pub answer_by: String,
    }
}

content! {
    /// Whether the sender comes. His newest answer counts.
    pub struct Rsvp {
        /// Message id of the event; required.
        #[serde(with = "hex_message")]
        pub event: Option<MessageId>,
        /// Required.
        pub answer: RsvpAnswer,
        /// A few words; may be empty.
        pub comment: String,
    }
}

choice! {
    /// Whether somebody comes.
    pub enum RsvpAnswer {
        /// Vient.
        Yes = "vient", "comes";
        /// Ne vient pas.
        No = "ne vient pas", "does not come";
        /// Peut-être.
        Maybe = "peut-être", "perhaps";
    }
}

impl Kind for AgendaEvent {
    fn check(&self) -> Result<(), Error> {
        required("title", &self.title, limits::TITLE_BYTES_MAX)?;
        moment::required_moment("start", &self.start)?;
        moment::required_moment("end", &self.end)?;
        moment::ordered("end", &self.start, &self.end)?;
        required("place", &self.place, limits::TOPIC_BYTES_MAX)?;
        required("organiser", &self.organiser, limits::NAME_BYTES_MAX)?;
        bounded("text", &self.text, limits::TEXT_BYTES_MAX)?;
        moment::optional_moment("answer_by", &self.answer_by)
    }

    fn render(&self, language: Language) -> String {
        let places = if self.places_max == 0 { String::new() } else { self.places_max.to_string() };
        Page::new(language, &format!("[{}] {}", language.pick("évènement", "event"), self.title))
            .line("Quand", "When", moment::span(&self.start, &self.end, language))
            .line("Où", "Where", &self.place)
            .line("Organisé par", "Organised by", &self.organiser)
            .plain(&self.text)
            .line("Places", "Places", places)
            .line("Réponse avant", "Answer by", moment::shown(&self.answer_by, language))
            .finish()
    }
}

impl Kind for Rsvp {
    fn check(&self) -> Result<(), Error> {
        present("event", self.event.as_ref())?;
        self.answer.chosen("answer")?;
        bounded("comment", &self.comment, limits::TEXT_BYTES_MAX)
    }

    fn render(&self, language: Language) -> String {
        let heading = format!("[{}] {}", language.pick("réponse", "answer"), self.answer.label(language));
        Page::new(language, &heading).plain(&self.comment).finish()
    }
}
