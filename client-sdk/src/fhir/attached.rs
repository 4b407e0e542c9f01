//! The documents of a request and of its steps, each as a `DocumentReference` of the request's bundle.

use std::collections::BTreeMap;

use cercle_proto::id::BlobId;
use serde_json::{Value, json};

use super::{
    document::{Sent, resources},
    part_url,
    role::Roles,
    system,
};
use crate::{message::Document, thread::requests::Course};

/// What documents hold, as far as it is at hand, by their place on the hub.
pub type Contents = BTreeMap<BlobId, Vec<u8>>;

/// A document of a request.
pub(super) struct Attached {
    /// The step that it came with, by its place in the history; `None`: it came with the request.
    pub(super) step: Option<usize>,
    /// What points at it.
    pub(super) reference: Value,
    /// The resources that it is, with their URLs.
    pub(super) resources: Vec<(String, Value)>,
}

/// Every document of a request, in the order of its steps.
pub(super) fn all(course: &Course, subject: Option<&str>, contents: &Contents) -> Vec<Attached> {
    let steps = course.history.iter().enumerate().map(|(at, step)| (Some(at), step.action.documents()));
    let mut all = Vec::new();
    for (step, documents) in std::iter::once((None, course.request.documents.as_slice())).chain(steps) {
        for (number, document) in (1..).zip(documents) {
            all.push(attached(course, (step, number), document, subject, contents));
        }
    }
    all
}

fn attached(
    course: &Course,
    (at, number): (Option<usize>, usize),
    document: &Document,
    subject: Option<&str>,
    contents: &Contents,
) -> Attached {
    let request = &course.request;
    let step = at.and_then(|at| course.history.get(at));
    let asked = (&course.requester, course.requester_name.as_str(), &request.situation, course.asked_at_ms);
    let (by, name, situation, at_ms) =
        step.map_or(asked, |step| (&step.by, step.name.as_str(), &step.situation, step.at_ms));
    let said_in = step.map_or_else(
        || format!("request/{}", request.id.to_hex()),
        |step| format!("step/{}", step.message.to_hex()),
    );
    let mut roles = Roles::default();
    let sent = Sent {
        identifier: json!({ "system": system::DOCUMENT, "value": format!("{said_in}/{number}") }),
        at_ms,
        author: roles.reference(by, name, situation),
        subject: subject.map(|url| json!({ "reference": url })),
        contained: roles.contained(),
    };
    let urls = ["document", "binary"]
        .map(|part| part_url(request.id.as_bytes(), &format!("{said_in}/{number}/{part}")));
    let reference = json!({ "reference": urls[0], "display": document.name });
    let content = contents.get(&document.blob).map(Vec::as_slice);
    Attached { step: at, reference, resources: resources(urls, document, sent, content) }
}
