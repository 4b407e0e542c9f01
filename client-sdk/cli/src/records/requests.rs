//! What `--json` prints about requests, and the same as CSV.

use cercle_proto::id::GroupId;
use cercle_sdk::{
    core::BoardRow,
    message::{Language, Patient, request::Situation, transition::Action},
    thread::requests::{Course, Step},
};
use serde::Serialize;

/// A request, in one line.
#[derive(Debug, Serialize)]
pub(crate) struct RequestRecord<'a> {
    request: String,
    kind: &'static str,
    title: &'a str,
    priority: &'a cercle_sdk::message::request::Priority,
    state: &'static str,
    /// How far a prescription is.
    progress: Option<cercle_sdk::message::transition::PrescriptionStep>,
    overdue: bool,
    requester: &'a str,
    requester_name: &'a str,
    /// In which situation he asks.
    situation: &'a Situation,
    owner: Option<&'a str>,
    owner_name: Option<&'a str>,
    assignee: Option<&'a str>,
    /// Whom it is about, as far as this device may know.
    patient: Option<&'a Patient>,
    /// The hub is still to decide a claim of this device.
    claiming: bool,
    asked_at_ms: u64,
    changed_at_ms: u64,
    due_ms: Option<u64>,
    expires_ms: Option<u64>,
    groups: Vec<String>,
}

/// A step in the life of a request.
#[derive(Debug, Serialize)]
pub(crate) struct StepRecord<'a> {
    request: String,
    group: String,
    seq: u64,
    at_ms: u64,
    by: &'a str,
    name: &'a str,
    /// In which situation he acts.
    situation: &'a Situation,
    action: &'a Action,
    /// As a person reads it.
    text: String,
    /// Where the request stood then.
    state: &'static str,
}

impl<'a> RequestRecord<'a> {
    pub(crate) fn new(row: &'a BoardRow) -> Self {
        Self {
            request: row.request.to_hex(),
            kind: row.kind.name(),
            title: &row.title,
            priority: &row.priority,
            state: row.state.name(),
            progress: row.progress,
            overdue: row.overdue,
            requester: row.requester.as_str(),
            requester_name: &row.requester_name,
            situation: &row.situation,
            owner: row.owner.as_ref().map(|owner| owner.user.as_str()),
            owner_name: row.owner.as_ref().map(|owner| owner.name.as_str()),
            assignee: row.assignee.as_ref().map(|user| user.as_str()),
            patient: row.patient.as_ref(),
            claiming: row.claiming,
            asked_at_ms: row.asked_at_ms,
            changed_at_ms: row.changed_at_ms,
            due_ms: row.due_ms,
            expires_ms: row.expires_ms,
            groups: row.groups.iter().copied().map(GroupId::to_hex).collect(),
        }
    }
}

impl<'a> StepRecord<'a> {
    pub(crate) fn new(course: &Course, step: &'a Step, language: Language) -> Self {
        Self {
            request: course.request.id.to_hex(),
            group: course.group.to_hex(),
            seq: step.seq,
            at_ms: step.at_ms,
            by: step.by.as_str(),
            name: &step.name,
            situation: &step.situation,
            action: &step.action,
            text: step.action.render(language),
            state: step.state.name(),
        }
    }
}

/// The titles of the CSV form.
pub(crate) const CSV_TITLES: &str = "request,kind,title,priority,state,overdue,requester,owner,assignee,asked_at_ms,changed_at_ms,due_ms,expires_ms,groups";

/// A request as a line of CSV (RFC 4180), without the patient: such a list is handed around.
pub(crate) fn csv(row: &BoardRow) -> String {
    let time = |at_ms: Option<u64>| at_ms.map_or_else(String::new, |at_ms| at_ms.to_string());
    let groups: Vec<String> = row.groups.iter().copied().map(GroupId::to_hex).collect();
    let fields = [
        row.request.to_hex(),
        row.kind.name().to_owned(),
        row.title.clone(),
        row.priority.label(Language::English).to_owned(),
        row.state.name().to_owned(),
        row.overdue.to_string(),
        row.requester.as_str().to_owned(),
        row.owner.as_ref().map_or_else(String::new, |owner| owner.user.as_str().to_owned()),
        row.assignee.as_ref().map_or_else(String::new, |user| user.as_str().to_owned()),
        row.asked_at_ms.to_string(),
        row.changed_at_ms.to_string(),
        time(row.due_ms),
        time(row.expires_ms),
        groups.join(" "),
    ];
    fields.iter().map(|field| quoted(field)).collect::<Vec<_>>().join(",")
}

/// A field of CSV. What a spreadsheet would take for a formula is made text.
fn quoted(field: &str) -> String {
    let formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let field = if formula { format!("'{field}") } else { field.to_owned() };
    if field.contains([',', '"', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_csv_is_text_whatever_it_holds() {
        assert_eq!(quoted("Visite"), "Visite");
        assert_eq!(quoted("a, \"b\"\nc"), "\"a, \"\"b\"\"\nc\"");
        assert_eq!(quoted("=1+1"), "'=1+1");
    }
}
