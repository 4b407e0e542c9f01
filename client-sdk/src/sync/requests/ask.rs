//! Posting a request, and what the device that asked keeps of it.

use std::collections::BTreeMap;

use cercle_proto::id::{GroupId, RegisterId, TimestampMs};
use serde::{Deserialize, Serialize};

use super::super::{Cx, Step, agenda::Appointment};
use crate::{
    core::{Ask, Outcome},
    error::Error,
    limits,
    message::{
        self, Body, Content, Draft, Patient, Request, RequestId, ThreadKind,
        guard::may_identify,
        request::{Audience, PurposeKind, RequestConsent, Several, audience::check_plan},
        transition::Receipt,
    },
    thread::requests::State,
};

/// Kind of the notes about own requests; the key is the request's id.
const NOTE: &str = "asked";

/// A request that this device has posted, until it is closed and every group knows it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// The message, to be posted in more groups.
    envelope: Vec<u8>,
    /// Where it was posted.
    groups: Vec<[u8; 16]>,
    /// Whom it is about, if the message does not say it.
    pub(super) patient: Option<Patient>,
    /// Who has it.
    pub(super) taken: Option<Taken>,
    /// How it ended, while there are groups that do not know it.
    pub(super) ended: Option<State>,
    /// Steps of the widening plan whose time came while this device was not up to date.
    pub(super) late: Vec<u32>,
    /// How often what is owed was tried again since the last step.
    pub(super) tries: u32,
    /// There is an appointment to try it again.
    pub(super) waits: bool,
}

/// Who has a request, as the device that asked tells it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Taken {
    /// The user.
    pub(super) user: String,
    /// His name, for groups that he is not in.
    pub(super) name: String,
    /// The group where he took it on.
    pub(super) home: [u8; 16],
    /// The hub's word for it, if a register decided.
    pub(super) receipt: Option<Receipt>,
    /// He was told whom it is about: the message is in the log of a group that he is in.
    pub(super) told: bool,
}

impl Asked {
    /// Where it was posted.
    pub(super) fn groups(&self) -> Vec<GroupId> {
        self.groups.iter().copied().map(GroupId::new).collect()
    }

    pub(super) fn add_groups(&mut self, groups: &[GroupId]) {
        self.groups.extend(groups.iter().map(|group| *group.as_bytes()));
    }

    /// The request as it is posted; `None` if the note is damaged.
    pub(super) fn request(&self) -> Option<Request> {
        match Content::decode(&self.envelope)?.body {
            Body::Request(request) => Some(*request),
            _ => None,
        }
    }

    /// Changes the request for groups to come.
    pub(super) fn renew(&mut self, request: Request, now: TimestampMs) {
        if let Ok(envelope) = message::compose(&Draft::from(Body::Request(Box::new(request))), now) {
            self.envelope = envelope;
        }
    }
}

impl Cx<'_, '_> {
    /// Posts a request in its groups. Durable, all or nothing.
    pub(crate) fn ask_others(&mut self, id: u64, ask: Ask) -> Step<Result<(), Error>> {
        let prepared = self.prepare(ask, Documents::Named)?;
        let Prepared { request, envelope, groups, patient } = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Err(error)),
        };
        if self.tx.outbox_length()? + groups.len() as u64 > limits::OUTBOX_MESSAGES_MAX {
            return Ok(Err(Error::OutboxFull));
        }
        for group in &groups {
            self.queue(*group, &envelope)?;
        }
        if let Audience::Several(several) = &request.audience {
            for (step, widening) in (0..).zip(&several.widening) {
                self.remind(widening.at_ms, &Appointment::WidenRequest { request: request.id, step })?;
            }
        }
        if let Some(expires) = request.expires_ms {
            self.remind(expires + 1, &Appointment::RequestExpires { request: request.id })?;
            let forgotten = expires + limits::ASKED_KEEP_MS;
            self.remind(forgotten, &Appointment::ForgetRequest { request: request.id })?;
        }
        let groups = groups.iter().map(|group| *group.as_bytes()).collect();
        let asked = Asked {
            envelope,
            groups,
            patient,
            taken: None,
            ended: None,
            late: Vec::new(),
            tries: 0,
            waits: false,
        };
        self.write_asked(request.id, &asked)?;
        self.finish(id, Ok(Outcome::Asked(request.id)));
        Ok(Ok(()))
    }

    /// Whether a request would be posted once the documents that it is to name are uploaded.
    pub(crate) fn check_ask(&mut self, ask: Ask) -> Step<Result<(), Error>> {
        Ok(self.prepare(ask, Documents::ToCome)?.map(drop))
    }

    fn prepare(&mut self, ask: Ask, documents: Documents) -> Step<Result<Prepared, Error>> {
        let mut kinds = Vec::new();
        for group in &ask.groups {
            kinds.push((*group, self.thread_kind(*group)?));
        }
        let prepared = self.prepare_for(&kinds.into_iter().collect(), ask, documents);
        let Ok(Prepared { request, groups, .. }) = &prepared else { return Ok(prepared) };
        let draft = Draft::from(Body::Request(Box::new(request.clone())));
        for group in groups {
            if let Err(error) = self.may_send(*group, &draft)? {
                return Ok(Err(error));
            }
            if let Err(error) = self.permitted(*group, &draft.body)? {
                return Ok(Err(error));
            }
        }
        Ok(prepared)
    }

    fn prepare_for(
        &self,
        kinds: &BTreeMap<GroupId, ThreadKind>,
        ask: Ask,
        documents: Documents,
    ) -> Result<Prepared, Error> {
        let Ask { mut request, mut groups, widening, patient } = ask;
        groups.sort();
        groups.dedup();
        let first = *groups.first().ok_or(Error::Field { field: "groups", problem: "is missing".into() })?;
        for group in &groups {
            self.usable(*group)?;
        }
        check_plan(&widening)?;
        if request.expires_ms.is_some_and(|expires| expires <= self.now) {
            return Err(Error::Field { field: "expires_ms", problem: "must be later than now".into() });
        }
        for named in patient.iter().chain(&request.patient) {
            self.check_patient(named)?;
        }
        let kind_of = |group: &GroupId| kinds.get(group).copied().unwrap_or_default();
        request.id = RequestId::new(self.random());
        let alone = groups.len() == 1 && widening.is_empty();
        if !alone && (documents == Documents::ToCome || !request.documents.is_empty()) {
            // The hub gives the bytes of a document to the members of the group it was made for.
            let problem = "can be read in one group only; send them to the owner once there is one";
            return Err(Error::Field { field: "documents", problem: problem.into() });
        }
        request.audience = if alone {
            Audience::ThisGroup
        } else {
            let register = RegisterId::new(self.random());
            Audience::Several(Several { register, groups: groups.clone(), widening })
        };
        let mut withheld = patient;
        if alone && may_identify(kind_of(&first)) {
            request.patient = request.patient.take().or_else(|| withheld.take());
        }
        let kind = kind_of(&first);
        let named = withheld.is_some() || request.patient.is_some() || kind == ThreadKind::PatientCircle;
        request.check_asked(named)?;
        if withheld.is_some() && request.consent.as_ref().is_some_and(|consent| !consent.allows_naming()) {
            return Err(RequestConsent::objection());
        }
        if request.purpose.kind() == PurposeKind::Prescription && is_wide(kind) {
            // The document itself says who the patient is.
            return Err(Error::IdentityInWideThread { kind: request.purpose.kind().name() });
        }
        let draft = Draft::from(Body::Request(Box::new(request.clone())));
        let envelope = match message::compose(&draft, self.now) {
            Err(Error::Field { field: "documents", .. }) if documents == Documents::ToCome => Vec::new(),
            composed => composed?,
        };
        Ok(Prepared { request, envelope, groups, patient: withheld })
    }

    /// What this device keeps of a request that it has posted.
    pub(super) fn asked(&self, request: RequestId) -> Step<Option<Asked>> {
        self.tx.note(NOTE, request.as_bytes())
    }

    /// Whom an own request is about, if its message does not say it.
    pub(crate) fn withheld_patient(&self, request: RequestId) -> Step<Option<Patient>> {
        Ok(self.asked(request)?.and_then(|asked| asked.patient))
    }

    /// Every request that this device has posted and still owes something about, or may.
    pub(super) fn all_asked(&self) -> Step<Vec<(RequestId, Asked)>> {
        let notes = self.tx.notes(NOTE)?;
        Ok(notes.into_iter().filter_map(|(key, asked)| Some((RequestId::from_slice(&key)?, asked))).collect())
    }

    pub(super) fn write_asked(&self, request: RequestId, asked: &Asked) -> Step {
        self.tx.write_note(NOTE, request.as_bytes(), asked)
    }

    /// Nothing more is owed: nothing is kept.
    pub(super) fn forget_asked(&self, request: RequestId) -> Step {
        self.tx.delete_note(NOTE, request.as_bytes())
    }
}

/// Threads of people of whom most do not take part in one patient's care.
const fn is_wide(thread: ThreadKind) -> bool {
    matches!(
        thread,
        ThreadKind::Territory | ThreadKind::Theme | ThreadKind::Library | ThreadKind::Coordination
    )
}

/// Whether a request names its documents already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Documents {
    Named,
    /// They are uploaded when everything else is as it must be.
    ToCome,
}

/// A request that is ready to be posted.
struct Prepared {
    request: Request,
    envelope: Vec<u8>,
    groups: Vec<GroupId>,
    /// Whom it is about, if the message does not say it.
    patient: Option<Patient>,
}
