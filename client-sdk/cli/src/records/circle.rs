//! JSON records of patient circles and exports.

use cercle_proto::id::{GroupId, to_hex};
use cercle_sdk::{
    core::{GroupSummary, RefusalRecord},
    export::{Exported, Verified},
    message::{
        CircleAudience, CircleConsent, CircleMember, CircleStanding, HistoryPolicy, Language, Patient,
    },
    thread::{Circle, timeline::TimelineEntry},
};
use serde::Serialize;

/// A circle, without its members.
#[derive(Debug, Serialize)]
pub(crate) struct CircleRecord<'a> {
    group: String,
    title: &'a str,
    patient: &'a Patient,
    /// The five traits in one line.
    traits: String,
    /// Names of doubts about the traits.
    warnings: Vec<&'static str>,
    audience: CircleAudience,
    standing: CircleStanding,
    /// What a newcomer reads of before.
    history: HistoryPolicy,
    consents: &'a [CircleConsent],
    /// The patient objects to the circle as a whole.
    objection: bool,
    /// The beginning was told by a member.
    summary: bool,
}

/// An entry about a person.
#[derive(Debug, Serialize)]
pub(crate) struct CircleMemberRecord<'a> {
    group: String,
    #[serde(flatten)]
    entry: &'a CircleMember,
    /// It is the entry that counts, and its period is not over.
    current: bool,
    /// The person has a device in the group.
    present: bool,
}

/// One line of a timeline.
#[derive(Debug, Serialize)]
pub(crate) struct TimelineRecord<'a> {
    group: String,
    #[serde(flatten)]
    entry: &'a TimelineEntry,
}

/// An addition that was refused.
#[derive(Debug, Serialize)]
pub(crate) struct RefusalLine<'a> {
    group: Option<String>,
    user: &'a str,
    reason: &'static str,
    at_ms: u64,
}

/// A folder that was written.
#[derive(Debug, Serialize)]
pub(crate) struct ExportedRecord {
    group: String,
    messages: u64,
    documents: u64,
    missing: u64,
    manifest_sha256: String,
}

/// An export that was found whole.
#[derive(Debug, Serialize)]
pub(crate) struct VerifiedRecord<'a> {
    exporter: &'a str,
    device: String,
    display_name: &'a str,
    root_fingerprint: String,
    /// The root is the one that was expected; else it is only shown.
    root_expected: bool,
    exported_at_ms: u64,
    messages: u64,
    files: u64,
}

impl<'a> CircleRecord<'a> {
    pub(crate) fn new(group: &'a GroupSummary, circle: &'a Circle, language: Language) -> Self {
        Self {
            group: group.group.to_hex(),
            title: &group.profile.title,
            patient: &circle.patient,
            traits: circle.patient.traits(language),
            warnings: circle.patient.warnings().into_iter().map(|warning| warning.name()).collect(),
            audience: circle.audience,
            standing: circle.standing,
            history: group.profile.history,
            consents: &circle.consents,
            objection: circle.is_objected_to(),
            summary: circle.summary,
        }
    }
}

impl<'a> CircleMemberRecord<'a> {
    pub(crate) fn new(group: GroupId, entry: &'a CircleMember, current: bool, present: bool) -> Self {
        Self { group: group.to_hex(), entry, current, present }
    }
}

impl<'a> TimelineRecord<'a> {
    pub(crate) fn new(group: GroupId, entry: &'a TimelineEntry) -> Self {
        Self { group: group.to_hex(), entry }
    }
}

impl<'a> RefusalLine<'a> {
    pub(crate) fn new(record: &'a RefusalRecord) -> Self {
        Self {
            group: record.group.map(|group| to_hex(&group)),
            user: &record.user,
            reason: record.refusal.name(),
            at_ms: record.at_ms,
        }
    }
}

impl ExportedRecord {
    pub(crate) fn new(group: GroupId, exported: &Exported) -> Self {
        Self {
            group: group.to_hex(),
            messages: exported.messages,
            documents: exported.documents,
            missing: exported.missing,
            manifest_sha256: to_hex(&exported.manifest_sha256),
        }
    }
}

impl<'a> VerifiedRecord<'a> {
    pub(crate) fn new(verified: &'a Verified, root_expected: bool) -> Self {
        Self {
            exporter: verified.exporter.user.as_str(),
            device: verified.exporter.device.to_hex(),
            display_name: &verified.exporter.display_name,
            root_fingerprint: to_hex(&verified.root_fingerprint),
            root_expected,
            exported_at_ms: verified.exported_at_ms,
            messages: verified.messages,
            files: verified.files,
        }
    }
}
