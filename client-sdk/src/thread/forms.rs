//! Forms and their results. What "without names" means is in [`message::form`](crate::message::form).

use std::collections::BTreeMap;

use cercle_proto::id::{MessageId, UserId};
use serde::Serialize;

use super::state::{self, Projected};
use crate::{
    event::Message,
    message::{
        Body, Form, FormAnswer, Language,
        form::{FormResults, QuestionType},
        moment,
    },
};

/// The forms of a thread, oldest first.
#[derive(Debug, Default)]
pub struct Forms {
    forms: Vec<Collected>,
}

/// A form and the newest answer of each user.
#[derive(Debug)]
struct Collected {
    id: MessageId,
    form: Form,
    answers: BTreeMap<UserId, FormAnswer>,
}

/// The results of a form.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct FormState {
    /// Message id.
    #[serde(serialize_with = "state::id")]
    pub id: MessageId,
    /// The form.
    pub form: Form,
    /// How many have answered.
    pub answers: usize,
    /// Who has answered; nobody without names.
    #[serde(serialize_with = "state::users")]
    pub answered_by: Vec<UserId>,
    /// For each question, in the order of the form.
    pub results: Vec<QuestionResult>,
}

crate::message::kind::hidden!(FormState);

/// The answers to one question.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct QuestionResult {
    /// Code of the question.
    pub question: String,
    /// How often each value was given. Texts without names stand in the order of the alphabet, so that their
    /// order does not tell who wrote them.
    pub counts: BTreeMap<String, usize>,
    /// Sum of the numbers, for the question type `number`.
    pub sum: Option<i64>,
    /// Values by user; empty without names.
    #[serde(serialize_with = "state::by_user")]
    pub by_user: BTreeMap<UserId, Vec<String>>,
}

crate::message::kind::hidden!(QuestionResult);

impl Forms {
    /// An answer counts if it fits the form and the hub accepted it before the form closed.
    pub(super) fn apply(&mut self, message: &Message) {
        match &message.body {
            Body::Form(form) => {
                let (id, form) = (message.id, form.clone());
                self.forms.push(Collected { id, form, answers: BTreeMap::new() });
            }
            Body::FormAnswer(answer) => {
                let found = self.forms.iter_mut().rev().find(|form| Some(form.id) == answer.form);
                let Some(found) = found else { return };
                let closed =
                    moment::at_ms(&found.form.closes_at).is_some_and(|end_ms| message.at_ms > end_ms);
                if !closed && found.form.takes(answer) {
                    found.answers.insert(message.sender.clone(), answer.clone());
                }
            }
            _ => {}
        }
    }

    pub(super) fn withdraw(&mut self, message: MessageId) {
        self.forms.retain(|form| form.id != message);
    }

    /// The results of all forms, in the order of the log.
    #[must_use]
    pub fn results(&self) -> Vec<FormState> {
        self.forms.iter().map(Collected::results).collect()
    }
}

impl Collected {
    fn results(&self) -> FormState {
        let named = self.form.results == FormResults::ByName;
        FormState {
            id: self.id,
            answers: self.answers.len(),
            answered_by: if named { self.answers.keys().cloned().collect() } else { Vec::new() },
            results: self.form.questions.iter().map(|question| self.result(&question.code, named)).collect(),
            form: self.form.clone(),
        }
    }

    fn result(&self, code: &str, named: bool) -> QuestionResult {
        let mut result = QuestionResult {
            question: code.to_owned(),
            counts: BTreeMap::new(),
            sum: None,
            by_user: BTreeMap::new(),
        };
        let question = self.form.questions.iter().find(|question| question.code == code);
        let number = question.is_some_and(|question| question.question_type == QuestionType::Number);
        for (user, answer) in &self.answers {
            let Some(given) = answer.answers.iter().find(|given| given.question == code) else { continue };
            for value in &given.values {
                *result.counts.entry(value.clone()).or_insert(0) += 1;
                if let (true, Ok(value)) = (number, value.parse::<i64>()) {
                    result.sum = Some(result.sum.unwrap_or(0).saturating_add(value));
                }
            }
            if named {
                result.by_user.insert(user.clone(), given.values.clone());
            }
        }
        result
    }
}

impl Projected for FormState {
    fn render(&self, language: Language) -> String {
        let heading = language.pick("réponses", "answers");
        let mut text = format!("[{}] {} {heading}", self.form.title, self.answers);
        for (question, result) in self.form.questions.iter().zip(&self.results) {
            let counts: Vec<String> =
                result.counts.iter().map(|(value, count)| format!("{value} × {count}")).collect();
            text.push_str(&format!("\n- {}: {}", question.text, counts.join(", ")));
            if let Some(sum) = result.sum {
                text.push_str(&format!(" ({} {sum})", language.pick("total", "total")));
            }
            for (user, values) in &result.by_user {
                text.push_str(&format!("\n    {}: {}", user.as_str(), values.join(", ")));
            }
        }
        text
    }
}
