//! Questions to all members, and their answers; results are in [`thread::forms`](crate::thread::forms).
//!
//! **What "without names" means.** MLS authenticates the sender of every message to every member, so no answer in
//! a group is anonymous, and this project does not pretend otherwise. A form with
//! [`FormResults::WithoutNames`] has its results counted and shown without names. An answer to any form is neither
//! a line of the conversation nor an event of the timeline, is not counted as unread and not found by search; but
//! the device of each member has each answer with its sender, and a program that reads the store sees them. The
//! heading of the form says so to whoever is asked.

use std::collections::BTreeSet;

use cercle_proto::id::MessageId;

use super::{
    Kind, Language,
    field::{Page, choice, content, filled, hex_message, present, wrong},
    kind::{at_most, bounded, required},
    moment,
};
use crate::{error::Error, limits};

content! {
    /// Questions to all members.
    pub struct Form {
        /// One line; required.
        pub title: String,
        /// A few lines; may be empty.
        pub text: String,
        /// At least one.
        pub questions: Vec<Question>,
        /// How results are shown; required.
        pub results: FormResults,
        /// Answers that the hub accepts later do not count: a moment; may be empty.
        pub closes_at: String,
    }
}

content! {
    /// A question.
    pub struct Question {
        /// Short name, different from the others of the form; required.
        pub code: String,
        /// Required.
        pub text: String,
        /// Required.
        pub question_type: QuestionType,
        /// What can be chosen; required for `single` and `multiple`, else none.
        pub choices: Vec<String>,
        /// An answer without it does not count.
        pub required: bool,
    }
}

choice! {
    /// What answers a question.
    pub enum QuestionType {
        /// A text.
        Text = "texte", "text";
        /// `yes` or `no`.
        YesNo = "oui ou non", "yes or no";
        /// An integer.
        Number = "nombre", "number";
        /// One of the choices.
        Single = "un choix", "one choice";
        /// Some of the choices.
        Multiple = "plusieurs choix", "several choices";
    }
}

choice! {
    /// How results are shown.
    pub enum FormResults {
        /// With the names of those who answered.
        ByName = "nominatives", "by name";
        /// Counted, without names; not anonymous (see the head of this module).
        WithoutNames = "présentées sans noms, mais pas anonymes : chaque message est signé",
            "shown without names, but not anonymous: every message is signed";
    }
}

content! {
    /// Answers to a form. The newest of a sender counts.
    pub struct FormAnswer {
        /// Message id of the form; required.
        #[serde(with = "hex_message")]
        pub form: Option<MessageId>,
        /// At least one.
        pub answers: Vec<QuestionAnswer>,
    }
}

content! {
    /// The answer to one question.
    pub struct QuestionAnswer {
        /// Code of the question; required.
        pub question: String,
        /// One value; for `multiple` one or several.
        pub values: Vec<String>,
    }
}

impl Question {
    fn check(&self) -> Result<(), Error> {
        required("questions.code", &self.code, limits::CODE_BYTES_MAX)?;
        required("questions.text", &self.text, limits::TOPIC_BYTES_MAX)?;
        self.question_type.chosen("questions.question_type")?;
        if matches!(self.question_type, QuestionType::Single | QuestionType::Multiple) {
            filled("questions.choices", &self.choices, limits::PARTS_MAX)?;
        } else if !self.choices.is_empty() {
            return Err(wrong("questions.choices", "belong to \"single\" and \"multiple\" only"));
        }
        self.choices.iter().try_for_each(|text| required("questions.choices", text, limits::NAME_BYTES_MAX))
    }

    /// Whether these values answer the question.
    #[must_use]
    pub fn takes(&self, values: &[String]) -> bool {
        let one = || if let [value] = values { Some(value.as_str()) } else { None };
        match self.question_type {
            QuestionType::Unspecified => false,
            QuestionType::Text => one().is_some(),
            QuestionType::YesNo => matches!(one(), Some("yes" | "no")),
            QuestionType::Number => one().is_some_and(|value| value.parse::<i64>().is_ok()),
            QuestionType::Single => values.len() == 1 && self.choices.contains(&values[0]),
            QuestionType::Multiple => {
                let different: BTreeSet<_> = values.iter().collect();
                different.len() == values.len() && values.iter().all(|value| self.choices.contains(value))
            }
        }
    }
}

impl Form {
    /// Whether an answer fits: known questions once each, values that they take, all required ones.
    #[must_use]
    pub fn takes(&self, answer: &FormAnswer) -> bool {
        let mut seen = BTreeSet::new();
        let fits = answer.answers.iter().all(|given| {
            let question = self.questions.iter().find(|question| question.code == given.question);
            question.is_some_and(|question| question.takes(&given.values)) && seen.insert(&given.question)
        });
        fits && self.questions.iter().all(|question| !question.required || seen.contains(&question.code))
    }
}

impl Kind for Form {
    fn check(&self) -> Result<(), Error> {
        required("title", &self.title, limits::TITLE_BYTES_MAX)?;
        bounded("text", &self.text, limits::TEXT_BYTES_MAX)?;
        filled("questions", &self.questions, limits::PARTS_MAX)?;
        self.questions.iter().try_for_each(Question::check)?;
        let codes: BTreeSet<_> = self.questions.iter().map(|question| &question.code).collect();
        if codes.len() < self.questions.len() {
            return Err(wrong("questions.code", "must be different for each question"));
        }
        self.results.chosen("results")?;
        moment::optional_moment("closes_at", &self.closes_at)
    }

    fn render(&self, language: Language) -> String {
        let page = Page::new(language, &format!("[{}] {}", language.pick("formulaire", "form"), self.title))
            .plain(&self.text)
            .line("Réponses", "Answers", self.results.label(language))
            .line("Jusqu'au", "Until", moment::shown(&self.closes_at, language));
        let line = |question: &Question| {
            let what = match question.choices.as_slice() {
                [] => question.question_type.label(language).to_owned(),
                choices => choices.join(" / "),
            };
            format!("- {}: {} ({what})", question.code, question.text)
        };
        self.questions.iter().fold(page, |page, question| page.plain(&line(question))).finish()
    }
}

impl Kind for FormAnswer {
    fn check(&self) -> Result<(), Error> {
        present("form", self.form.as_ref())?;
        filled("answers", &self.answers, limits::PARTS_MAX)?;
        for answer in &self.answers {
            required("answers.question", &answer.question, limits::CODE_BYTES_MAX)?;
            filled("answers.values", &answer.values, limits::PARTS_MAX)?;
            at_most("answers.values", &answer.values, limits::PARTS_MAX)?;
            let mut values = answer.values.iter();
            values.try_for_each(|value| required("answers.values", value, limits::TOPIC_BYTES_MAX))?;
        }
        Ok(())
    }

    /// Without the answers, which a form may want to be shown without names.
    fn render(&self, language: Language) -> String {
        language.pick("Réponse à un formulaire", "Answer to a form").to_owned()
    }
}
