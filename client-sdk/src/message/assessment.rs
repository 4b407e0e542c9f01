//! A scale that was filled in for a patient: what was observed, the score, who rated and when.
//!
//! The scales of [`scale`] are computed here, in integers; a score of theirs that does not follow from the items
//! is refused, before sending and after receiving. Any other scale is kept as its rater says.

use super::{
    Kind, Language, Patient,
    field::{Page, content, missing, wrong},
    kind::{at_most, bounded, required},
    moment,
};
use crate::{error::Error, limits};

pub mod scale;

content! {
    /// A scale that was filled in.
    pub struct Assessment {
        /// `imc`, `icope1`, `bpco5`, or the code of another scale; required.
        pub scale: String,
        /// What was observed; required for a computed scale.
        pub items: Vec<AssessmentItem>,
        /// Required; [`Assessment::computed`] fills it in for a computed scale.
        pub score: Option<Score>,
        /// Who rated; required.
        pub rater: String,
        /// The day; required.
        pub date: String,
        /// A few lines; may be empty.
        pub comment: String,
        /// About whom; absent in the patient's own circle.
        pub patient: Option<Patient>,
    }
}

content! {
    /// One observation.
    pub struct AssessmentItem {
        /// Which.
        pub code: String,
        /// An integer in the unit of the item; 1 or 0 for yes or no.
        pub value: i64,
    }
}

content! {
    /// `value / 10^decimals`.
    pub struct Score {
        /// The digits.
        pub value: i64,
        /// How many of them stand after the point.
        pub decimals: u32,
    }
}

impl Assessment {
    /// A computed scale, with its score.
    ///
    /// # Errors
    /// When the scale is not one that the SDK computes, or an item is missing or out of range.
    pub fn of(scale: &str, items: &[(&str, i64)], rater: &str, date: &str) -> Result<Self, Error> {
        let item = |(code, value): &(&str, i64)| AssessmentItem { code: (*code).to_owned(), value: *value };
        let assessment = Self {
            scale: scale.to_owned(),
            items: items.iter().map(item).collect(),
            rater: rater.to_owned(),
            date: date.to_owned(),
            ..Self::default()
        };
        let assessment = assessment.computed()?;
        assessment.check()?;
        Ok(assessment)
    }

    /// Fills in the score that follows from the items, if the SDK computes this scale.
    ///
    /// # Errors
    /// When an item is missing or out of range.
    pub fn computed(mut self) -> Result<Self, Error> {
        if self.score.is_none() {
            self.score = scale::result(&self)?.map(|result| result.score);
        }
        Ok(self)
    }
}

impl Score {
    /// With the decimal sign of the language.
    #[must_use]
    pub fn shown(&self, language: Language) -> String {
        let scale = 10_u64.pow(self.decimals.min(limits::SCORE_DECIMALS_MAX));
        let (sign, digits) = (if self.value < 0 { "-" } else { "" }, self.value.unsigned_abs());
        if scale == 1 {
            return format!("{sign}{digits}");
        }
        let width = self.decimals as usize;
        let point = language.pick(",", ".");
        format!("{sign}{}{point}{:0width$}", digits / scale, digits % scale)
    }
}

impl Kind for Assessment {
    fn check(&self) -> Result<(), Error> {
        required("scale", &self.scale, limits::CODE_BYTES_MAX)?;
        at_most("items", &self.items, limits::PARTS_MAX)?;
        self.items.iter().try_for_each(|item| required("items.code", &item.code, limits::CODE_BYTES_MAX))?;
        let result = scale::result(self)?;
        let score = self.score.as_ref().ok_or_else(|| missing("score"))?;
        if score.decimals > limits::SCORE_DECIMALS_MAX {
            return Err(wrong("score", "has at most 6 decimals"));
        }
        if result.is_some_and(|result| result.score != *score) {
            return Err(wrong("score", "does not follow from the items; leave it out"));
        }
        required("rater", &self.rater, limits::NAME_BYTES_MAX)?;
        moment::required_day("date", &self.date)?;
        bounded("comment", &self.comment, limits::TEXT_BYTES_MAX)?;
        self.patient.iter().try_for_each(Patient::check)
    }

    fn render(&self, language: Language) -> String {
        let result = scale::result(self).ok().flatten();
        let title = result.as_ref().map_or(self.scale.as_str(), |result| result.title(language));
        let score = self.score.as_ref().map_or_else(String::new, |score| score.shown(language));
        let meaning = result.map_or("", |result| result.meaning(language));
        Page::new(language, &format!("[{}] {title} : {score}", language.pick("évaluation", "assessment")))
            .plain(meaning)
            .patient(self.patient.as_ref())
            .line("Par", "By", &self.rater)
            .line("Le", "On", moment::day(&self.date, language))
            .plain(&self.comment)
            .finish()
    }

    fn about_patient(&self) -> bool {
        true
    }

    fn patients(&self) -> Vec<&Patient> {
        self.patient.iter().collect()
    }
}
