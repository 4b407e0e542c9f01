//! Something is asked of others: adressage, téléexpertise, soins non programmés and so on.
//!
//! A [`Request`] says what is wanted, by when, and of whom; [`Transition`](super::Transition)s of the same
//! group say what becomes of it, and [`crate::thread::requests`] adds them up. Where it is shown to more
//! people than those who care for the patient it carries no identity (CSP L1110-4): see
//! [`guard`](super::guard).

use cercle_proto::id::{TimestampMs, UserId};
use serde::{Deserialize, Serialize};

use super::{
    Document, DocumentType, Kind, Language, Patient,
    field::missing,
    kind::{Wire, at_most, bounded, hidden, required},
    wire,
};
use crate::{error::Error, limits};

pub(crate) mod audience;
mod consent;
mod id;
mod purpose;
mod situation;
pub(crate) mod text_id;

pub use audience::{Audience, Several, Widening};
pub use consent::{RequestConsent, RequestConsentMode};
pub use id::RequestId;
pub use purpose::{Need, Purpose, PurposeKind};
pub use situation::Situation;

/// Something is asked of others.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The same in every group of its audience.
    pub id: RequestId,
    /// What is asked for.
    pub purpose: Purpose,
    /// One line.
    pub title: String,
    /// Reason, description; may be empty.
    #[serde(default)]
    pub reason: String,
    /// How urgent.
    #[serde(default)]
    pub priority: Priority,
    /// To be done by then, milliseconds since the Unix epoch.
    #[serde(default)]
    pub due_ms: Option<TimestampMs>,
    /// Nobody can own it after this time of the hub's clock, milliseconds since the Unix epoch.
    #[serde(default)]
    pub expires_ms: Option<TimestampMs>,
    /// Who is asked.
    #[serde(default)]
    pub audience: Audience,
    /// The only person who is asked.
    #[serde(default, with = "text_id::option")]
    pub assignee: Option<UserId>,
    /// The request that this one is a part of: the task of a discharge.
    #[serde(default)]
    pub part_of: Option<RequestId>,
    /// Whom it is about; only in a thread of two people or a patient circle.
    #[serde(default)]
    pub patient: Option<Patient>,
    /// Files that go with it.
    #[serde(default)]
    pub documents: Vec<Document>,
    /// In which situation the requester asks.
    #[serde(default)]
    pub situation: Situation,
    /// What the patient said to it.
    #[serde(default)]
    pub consent: Option<RequestConsent>,
    /// Number of the same matter in another tool (`ViaTrajectoire`); may be empty.
    #[serde(default)]
    pub reference: String,
}

hidden!(Request);

/// How urgent a request is (FHIR request-priority).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// In the usual time.
    #[default]
    Routine,
    /// Sooner.
    Urgent,
    /// As soon as possible.
    Asap,
    /// At once.
    Stat,
}

impl Priority {
    /// Its name for a person.
    #[must_use]
    pub const fn label(self, language: Language) -> &'static str {
        match self {
            Self::Routine => language.pick("courant", "routine"),
            Self::Urgent => language.pick("urgent", "urgent"),
            Self::Asap => language.pick("dès que possible", "as soon as possible"),
            Self::Stat => language.pick("immédiat", "at once"),
        }
    }
}

impl Request {
    /// A request of one line to the group that it is posted in; more is said in its fields.
    #[must_use]
    pub fn new(id: RequestId, purpose: Purpose, title: impl Into<String>) -> Self {
        Self {
            id,
            purpose,
            title: title.into(),
            reason: String::new(),
            priority: Priority::default(),
            due_ms: None,
            expires_ms: None,
            audience: Audience::ThisGroup,
            assignee: None,
            part_of: None,
            patient: None,
            documents: Vec::new(),
            situation: Situation::default(),
            consent: None,
            reference: String::new(),
        }
    }

    /// Checks what a request must say when it is asked, beyond what one that is read must: earlier versions
    /// asked for less. `named`: whoever takes it on is told, or knows, whom it is about.
    ///
    /// # Errors
    /// [`Error::Field`] with the first field that is missing.
    pub(crate) fn check_asked(&self, named: bool) -> Result<(), Error> {
        self.purpose.check_asked()?;
        let about_somebody =
            matches!(self.purpose.kind(), PurposeKind::PatientWithoutGp | PurposeKind::Prescription);
        if about_somebody && !named { Err(missing("patient")) } else { Ok(()) }
    }

    fn check_patient(&self, patient: &Patient) -> Result<(), Error> {
        if self.audience.register().is_some() {
            let problem = "must not be named to several groups";
            return Err(Error::Field { field: "patient", problem: problem.into() });
        }
        if self.consent.as_ref().is_some_and(|consent| !consent.allows_naming()) {
            return Err(RequestConsent::objection());
        }
        patient.check()
    }
}

impl Kind for Request {
    fn check(&self) -> Result<(), Error> {
        required("title", &self.title, limits::TITLE_BYTES_MAX)?;
        bounded("reason", &self.reason, limits::TEXT_BYTES_MAX)?;
        self.purpose.check()?;
        self.audience.check()?;
        self.situation.check()?;
        self.consent.iter().try_for_each(RequestConsent::check)?;
        bounded("reference", &self.reference, limits::CODE_BYTES_MAX)?;
        at_most("documents", &self.documents, limits::DOCUMENTS_PER_MESSAGE_MAX)?;
        for document in &self.documents {
            document.check()?;
        }
        if let Some(patient) = &self.patient {
            self.check_patient(patient)?;
        }
        let prescription = |document: &Document| document.document_type == DocumentType::Prescription;
        if self.purpose.kind() == PurposeKind::Prescription && !self.documents.iter().any(prescription) {
            return Err(Error::Field { field: "documents", problem: "holds no prescription".into() });
        }
        Ok(())
    }

    fn render(&self, language: Language) -> String {
        let kind = self.purpose.kind().label(language);
        let mut lines = vec![match self.priority {
            Priority::Routine => format!("[{kind}] {}", self.title),
            priority => format!("[{kind}, {}] {}", priority.label(language), self.title),
        }];
        lines.extend(
            [self.purpose.render(language), self.reason.clone()].into_iter().filter(|l| !l.is_empty()),
        );
        if !self.reference.is_empty() {
            lines.push(format!("{} {}", language.pick("Référence", "Reference"), self.reference));
        }
        lines.extend(self.consent.iter().map(|consent| consent.render(language)));
        lines.extend(self.documents.iter().map(|document| document.render(language)));
        lines.join("\n")
    }

    fn documents(&self) -> Vec<&Document> {
        self.documents.iter().collect()
    }

    fn patients(&self) -> Vec<&Patient> {
        self.patient.iter().collect()
    }
}

impl Wire for Request {
    type Message = wire::Request;

    fn to_wire(&self) -> wire::Request {
        let (register, groups, widening) = self.audience.to_wire();
        wire::Request {
            id: self.id.as_bytes().to_vec(),
            title: self.title.clone(),
            reason: self.reason.clone(),
            priority: match self.priority {
                Priority::Routine => wire::Priority::Routine,
                Priority::Urgent => wire::Priority::Urgent,
                Priority::Asap => wire::Priority::Asap,
                Priority::Stat => wire::Priority::Stat,
            }
            .into(),
            due_ms: self.due_ms.unwrap_or(0),
            expires_ms: self.expires_ms.unwrap_or(0),
            register,
            groups,
            widening,
            assignee: self.assignee.as_ref().map_or_else(String::new, |user| user.as_str().to_owned()),
            part_of: self.part_of.map_or_else(Vec::new, |request| request.as_bytes().to_vec()),
            patient: self.patient.as_ref().map(Patient::to_wire),
            documents: self.documents.iter().map(Wire::to_wire).collect(),
            situation: Some(self.situation.to_wire()),
            consent: self.consent.as_ref().map(RequestConsent::to_wire),
            reference: self.reference.clone(),
            purpose: Some(self.purpose.to_wire()),
        }
    }

    fn from_wire(message: wire::Request) -> Option<Self> {
        let priority = match message.priority() {
            wire::Priority::Unspecified | wire::Priority::Routine => Priority::Routine,
            wire::Priority::Urgent => Priority::Urgent,
            wire::Priority::Asap => Priority::Asap,
            wire::Priority::Stat => Priority::Stat,
        };
        let assignee = Some(&message.assignee).filter(|user| !user.is_empty());
        let part_of = Some(&message.part_of).filter(|request| !request.is_empty());
        Some(Self {
            id: RequestId::from_slice(&message.id)?,
            purpose: Purpose::from_wire(message.purpose?)?,
            priority,
            due_ms: Some(message.due_ms).filter(|due| *due > 0),
            expires_ms: Some(message.expires_ms).filter(|expires| *expires > 0),
            audience: Audience::from_wire(&message.register, &message.groups, message.widening)?,
            assignee: assignee.map(|user| UserId::parse(user)).transpose().ok()?,
            part_of: match part_of {
                Some(request) => Some(RequestId::from_slice(request)?),
                None => None,
            },
            title: message.title,
            reason: message.reason,
            patient: message.patient.map(Patient::from_wire),
            documents: documents_from_wire(message.documents)?,
            situation: Situation::from_wire(message.situation),
            // A way to say it that is newer than this version is left out; the rest can be read.
            consent: message.consent.and_then(RequestConsent::from_wire),
            reference: message.reference,
        })
    }
}

/// The documents of a message; `None` if one cannot be read.
pub(super) fn documents_from_wire(documents: Vec<wire::Document>) -> Option<Vec<Document>> {
    documents.into_iter().map(Document::from_wire).collect()
}

#[cfg(test)]
mod tests;
