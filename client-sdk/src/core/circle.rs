//! Patient circles: what an app asks for and sees.

use std::collections::HashMap;

use cercle_proto::id::{GroupId, MessageId, TimestampMs};
use serde::{Deserialize, Serialize};

use super::Core;
use crate::{
    error::Error,
    event::Message,
    export::{
        ExportRecord, Signed,
        manifest::to_be_signed,
        record::{ExportedCircle, ExportedDocument, ExportedMessage, ExportedRefusal, Exporter},
    },
    limits,
    message::{
        Body, CircleAudience, CircleConsent, CircleMember, Content, Document, GroupProfile, Language,
        OwnHistory, Patient,
    },
    sync::{Cx, entries::read_message},
    thread::{
        Circle,
        circle::Refusal,
        timeline::{TimelineEntry, TimelineFilter},
    },
};

/// A circle to be made.
#[derive(Clone, Default)]
pub struct NewCircle {
    /// Title and what a newcomer is given; its thread kind is set. The title should not name the patient:
    /// notices may show it.
    pub profile: GroupProfile,
    /// Whom it is about.
    pub patient: Patient,
    /// Who may be in it.
    pub audience: CircleAudience,
    /// Role, basis and period of whoever makes it; user, name and class are filled in.
    pub founder: CircleMember,
    /// What the patient has said about sharing.
    pub consents: Vec<CircleConsent>,
    /// Make it even if there is a circle for this patient.
    pub despite_duplicate: bool,
}

impl std::fmt::Debug for NewCircle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewCircle")
    }
}

/// One line of the journal of refusals: kept on this device, part of an export.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalRecord {
    /// The circle; `None` for one that was not made.
    pub group: Option<[u8; 16]>,
    /// Who was to be added.
    pub user: String,
    /// Why that was refused.
    pub refusal: Refusal,
    /// When.
    pub at_ms: TimestampMs,
}

impl std::fmt::Debug for RefusalRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RefusalRecord").field("refusal", &self.refusal).finish_non_exhaustive()
    }
}

/// A part of a history that the shell is to put on the hub.
#[derive(Debug, Clone)]
pub struct HistoryUpload {
    /// Names it in [`Command::HistoryUploaded`](super::Command::HistoryUploaded).
    pub key: [u8; 16],
    /// The group whose members may read it.
    pub group: GroupId,
    /// The archive.
    pub bytes: Vec<u8>,
}

/// A part of a history that the shell is to fetch from the hub.
#[derive(Debug, Clone)]
pub struct HistoryFetch {
    /// The group.
    pub group: GroupId,
    /// The message that names it.
    pub message: MessageId,
    /// Where it lies, and its key.
    pub document: Document,
}

impl Core {
    /// The circle that a group is; `None` if it is none, or its beginning is not known here.
    ///
    /// # Errors
    /// [`Error::UnknownGroup`], or the store fails.
    pub fn circle(&mut self, group: GroupId) -> Result<Option<Circle>, Error> {
        if !self.memory.groups.contains_key(&group) {
            return Err(Error::UnknownGroup(group));
        }
        let tx = self.store.begin()?;
        Ok(self.memory.thread(&tx, group)?.circle().cloned())
    }

    /// The timeline of a group, in the order of its log. Steps of requests that did not count have no line.
    ///
    /// # Errors
    /// [`Error::UnknownGroup`], or the store fails.
    pub fn timeline(
        &mut self,
        group: GroupId,
        filter: &TimelineFilter,
        language: Language,
    ) -> Result<Vec<TimelineEntry>, Error> {
        let steps = self.steps(group)?;
        let mut lines = Vec::new();
        self.each_message(group, |message| {
            if !filter.wants(message) {
                return;
            }
            match (&message.body, steps.get(&message.id)) {
                (Body::Transition(_), None) => {}
                (_, Some(title)) => lines.push(TimelineEntry::of_step(message, title, language)),
                (_, None) => lines.push(TimelineEntry::of(message, language)),
            }
        })?;
        Ok(lines)
    }

    /// Messages that are steps of requests and counted, each with the title of its request.
    fn steps(&mut self, group: GroupId) -> Result<HashMap<MessageId, String>, Error> {
        if !self.memory.groups.contains_key(&group) {
            return Err(Error::UnknownGroup(group));
        }
        let tx = self.store.begin()?;
        let courses = self.memory.thread(&tx, group)?.requests.iter();
        let steps = courses.flat_map(|course| {
            course.history.iter().map(|step| (step.message, course.request.title.clone()))
        });
        Ok(steps.collect())
    }

    /// What was refused on this device, oldest first: in one group, or everywhere.
    ///
    /// # Errors
    /// When the store fails.
    pub fn refusals(&self, group: Option<GroupId>) -> Result<Vec<RefusalRecord>, Error> {
        let records = self.store.begin()?.notes::<RefusalRecord>("refusal")?;
        let wanted =
            |record: &RefusalRecord| group.is_none_or(|group| record.group == Some(*group.as_bytes()));
        Ok(records.into_iter().map(|(_, record)| record).filter(wanted).collect())
    }

    /// Parts of histories that are to be put on the hub.
    ///
    /// # Errors
    /// When the store fails.
    pub fn history_uploads(&self) -> Result<Vec<HistoryUpload>, Error> {
        Ok(Cx::history_uploads(&self.store.begin()?)?)
    }

    /// Parts of histories that are to be fetched from the hub.
    ///
    /// # Errors
    /// When the store fails.
    pub fn history_fetches(&self) -> Result<Vec<HistoryFetch>, Error> {
        let groups = &self.memory.groups;
        let ready = |history: &OwnHistory| match groups.get(&history.group) {
            Some(lane) => !lane.is_new_here(),
            None => history.closed,
        };
        Ok(Cx::history_fetches(&self.store.begin()?, ready)?)
    }

    /// Looks at every message of a group, in the order of its log, holding few at a time.
    pub(super) fn each_message(&self, group: GroupId, mut look: impl FnMut(&Message)) -> Result<(), Error> {
        if !self.memory.groups.contains_key(&group) {
            return Err(Error::UnknownGroup(group));
        }
        let tx = self.store.begin()?;
        let mut after = 0;
        loop {
            let rows = tx.messages(group, after, limits::MESSAGES_PER_READ)?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.seq;
            for row in &rows {
                let content = Content::decode_stored(&row.record.envelope);
                look(&read_message(group, row, content)?);
            }
        }
    }
}

impl Core {
    /// Everything that an export of a group says, and the documents that belong to it, in the same order.
    ///
    /// # Errors
    /// [`Error::NotEnrolled`], [`Error::UnknownGroup`], or the store fails.
    pub fn export(
        &mut self,
        group: GroupId,
        now: TimestampMs,
    ) -> Result<(ExportRecord, Vec<Document>), Error> {
        let identity = self.identity().ok_or(Error::NotEnrolled)?;
        let circle = self.circle(group)?.map(|circle| ExportedCircle::new(&circle));
        let steps = self.steps(group)?;
        let (mut messages, mut documents, mut files) = (Vec::new(), Vec::new(), Vec::new());
        self.each_message(group, |message| {
            let ignored = matches!(message.body, Body::Transition(_)) && !steps.contains_key(&message.id);
            let exported = ExportedMessage::new(message);
            messages.push(ExportedMessage { event: exported.event && !ignored, ..exported });
            for (entry, document) in ExportedDocument::of(message) {
                documents.push(entry);
                files.push(document);
            }
        })?;
        let refusals = self.refusals(Some(group))?.iter().map(ExportedRefusal::new).collect();
        let title = self.memory.groups.get(&group).map(|lane| lane.row.record.profile.title.clone());
        let record = ExportRecord {
            format: 1,
            group: group.to_hex(),
            title: title.unwrap_or_default(),
            exported_at_ms: now,
            exporter: Exporter::new(&identity),
            circle,
            refusals,
            documents,
            messages,
        };
        Ok((record, files))
    }

    /// Signs the manifest of an export with the device key.
    ///
    /// # Errors
    /// [`Error::NotEnrolled`], or the device key is damaged.
    pub fn sign_export(&self, manifest: &[u8]) -> Result<Signed, Error> {
        let (Some(identity), Some(me)) = (&self.memory.identity, &self.memory.me) else {
            return Err(Error::NotEnrolled);
        };
        let signature = identity.keys.sign(&to_be_signed(manifest));
        let signature = signature.map_err(|error| Error::Mls(error.to_string()))?;
        Ok(Signed::new(manifest, &me.certificate, me.verifier.root().der(), &signature))
    }
}
