//! Boards: what was asked and what is to be done, over all groups.
//!
//! A request to several groups is one row: where somebody owns it says more than where it is open, and the
//! owner's own group says more than what the requester tells the others.

use std::collections::BTreeMap;

use cercle_proto::id::{GroupId, TimestampMs, UserId};

use super::{Ask, Core};
use crate::{
    error::Error,
    message::{
        Patient, RequestId,
        request::{Priority, PurposeKind, Situation},
        transition::PrescriptionStep,
    },
    sync::Cx,
    thread::requests::{Course, Owner, State},
};

/// Which requests a board shows. Without anything: all that are not closed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BoardFilter {
    /// Own part in it.
    pub part: Part,
    /// Only what should have been done by the time asked about.
    pub overdue: bool,
    /// Closed ones too.
    pub closed: bool,
    /// Of this kind.
    pub kind: Option<PurposeKind>,
    /// Asked by, owned by or addressed to this person.
    pub person: Option<UserId>,
    /// About a patient whose birth name, used name or INS begins so, case aside.
    pub patient: Option<String>,
    /// Asked at this time or later, milliseconds since the Unix epoch.
    pub since_ms: Option<TimestampMs>,
    /// Asked before this time.
    pub until_ms: Option<TimestampMs>,
}

impl std::fmt::Debug for BoardFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoardFilter").field("part", &self.part).finish_non_exhaustive()
    }
}

/// Own part in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Part {
    /// Whatever.
    #[default]
    Any,
    /// Asked by this user.
    Mine,
    /// To be done by this user: he owns it, or is the one who is asked.
    ToDo,
}

/// A request, in one line.
#[derive(Clone, PartialEq, Eq)]
pub struct BoardRow {
    /// The request.
    pub request: RequestId,
    /// What is asked for.
    pub kind: PurposeKind,
    /// One line.
    pub title: String,
    /// How urgent.
    pub priority: Priority,
    /// Where it stands.
    pub state: State,
    /// How far a prescription is.
    pub progress: Option<PrescriptionStep>,
    /// It should have been done by now.
    pub overdue: bool,
    /// Who asks.
    pub requester: UserId,
    /// His name.
    pub requester_name: String,
    /// In which situation he asks.
    pub situation: Situation,
    /// Who has it.
    pub owner: Option<Owner>,
    /// The only person who is asked.
    pub assignee: Option<UserId>,
    /// Whom it is about, as far as this device may know.
    pub patient: Option<Patient>,
    /// The hub is still to decide a claim of this device.
    pub claiming: bool,
    /// When it was asked.
    pub asked_at_ms: TimestampMs,
    /// When the last step was taken.
    pub changed_at_ms: TimestampMs,
    /// To be done by then.
    pub due_ms: Option<TimestampMs>,
    /// Nobody can own it after that.
    pub expires_ms: Option<TimestampMs>,
    /// Groups in which this device sees it; the first is where it went furthest.
    pub groups: Vec<GroupId>,
}

impl std::fmt::Debug for BoardRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("BoardRow");
        out.field("request", &self.request).field("state", &self.state).finish_non_exhaustive()
    }
}

impl Core {
    /// The requests that this device knows, most urgent first, then oldest.
    ///
    /// # Errors
    /// When the store fails.
    pub fn board(&mut self, filter: &BoardFilter, now: TimestampMs) -> Result<Vec<BoardRow>, Error> {
        let Some(me) = self.memory.me.as_ref().map(|me| me.identity.user.clone()) else {
            return Err(Error::NotEnrolled);
        };
        let tx = self.store.begin()?;
        let mut cx = Cx { tx: &tx, m: &mut self.memory, now, actions: Vec::new() };
        let mut rows = Vec::new();
        for courses in cx.all_courses()?.into_values() {
            let row = cx.row(&courses)?;
            if shows(filter, &row, &me) {
                rows.push(row);
            }
        }
        rows.sort_by_key(|row| (std::cmp::Reverse(row.priority), row.asked_at_ms, row.request));
        Ok(rows)
    }

    /// Whether a request would be posted once the documents that it is to name are uploaded: what is missing
    /// is said before any of them is.
    ///
    /// # Errors
    /// As the command [`Ask`](super::Command::Ask).
    pub fn check_ask(&mut self, ask: Ask, now: TimestampMs) -> Result<(), Error> {
        let tx = self.store.begin()?;
        let mut cx = Cx { tx: &tx, m: &mut self.memory, now, actions: Vec::new() };
        cx.check_ask(ask)?
    }

    /// The life of a request in each group where this device knows it, the furthest first.
    ///
    /// # Errors
    /// When the store fails.
    pub fn request(&mut self, request: RequestId, now: TimestampMs) -> Result<Vec<Course>, Error> {
        let tx = self.store.begin()?;
        let mut cx = Cx { tx: &tx, m: &mut self.memory, now, actions: Vec::new() };
        let mut courses = cx.courses(request)?;
        courses.sort_by_key(|course| std::cmp::Reverse(distance(course, now)));
        Ok(courses)
    }
}

/// A request by who asks: another member of one group cannot put his request in the place of one that was
/// asked in another group, though he knows its id.
type Key = (UserId, RequestId);

impl Cx<'_, '_> {
    /// Every request in each of its groups, the furthest first.
    fn all_courses(&mut self) -> Result<BTreeMap<Key, Vec<Course>>, Error> {
        let groups = self.m.shown_groups();
        let mut all: BTreeMap<Key, Vec<Course>> = BTreeMap::new();
        for group in groups {
            for course in self.m.thread(self.tx, group)?.requests.iter() {
                let key = (course.requester.clone(), course.request.id);
                all.entry(key).or_default().push(course.clone());
            }
        }
        for courses in all.values_mut() {
            courses.sort_by_key(|course| std::cmp::Reverse(distance(course, self.now)));
        }
        Ok(all)
    }

    fn row(&mut self, courses: &[Course]) -> Result<BoardRow, Error> {
        let course = &courses[0];
        let request = &course.request;
        let steps = courses.iter().filter_map(|course| course.history.last());
        Ok(BoardRow {
            request: request.id,
            kind: request.purpose.kind(),
            title: request.title.clone(),
            priority: request.priority,
            state: course.state_at(self.now),
            progress: course.standing.progress,
            overdue: course.is_overdue(self.now),
            requester: course.requester.clone(),
            requester_name: course.requester_name.clone(),
            situation: request.situation.clone(),
            owner: course.standing.owner.clone(),
            assignee: course.standing.assignee.clone(),
            patient: self.patient_of(course)?,
            claiming: self.is_claiming(request.id)?,
            asked_at_ms: courses.iter().map(|course| course.asked_at_ms).min().unwrap_or(0),
            changed_at_ms: steps.map(|step| step.at_ms).max().unwrap_or(course.asked_at_ms),
            due_ms: request.due_ms,
            expires_ms: request.expires_ms,
            groups: courses.iter().map(|course| course.group).collect(),
        })
    }

    /// Whom a request is about: as it says, as this device kept back, or as the requester handed over.
    fn patient_of(&mut self, course: &Course) -> Result<Option<Patient>, Error> {
        if let Some(patient) = &course.request.patient {
            return Ok(Some(patient.clone()));
        }
        if let Some(patient) = self.withheld_patient(course.request.id)? {
            return Ok(Some(patient));
        }
        let groups = self.m.shown_groups();
        for group in groups {
            let requests = &self.m.thread(self.tx, group)?.requests;
            if let Some(patient) = requests.handed_over(course.request.id, &course.requester) {
                return Ok(Some(patient.clone()));
            }
        }
        Ok(None)
    }
}

/// How far a request is in a group: the further one is the truth about it.
fn distance(course: &Course, now: TimestampMs) -> (u8, bool, usize) {
    let state = course.state_at(now);
    let rank = match state {
        State::Open | State::Expired => 0,
        _ if state.is_owned() => 1,
        _ => 2,
    };
    let elsewhere = course.standing.owner.as_ref().is_some_and(|owner| owner.elsewhere);
    (rank, !elsewhere, course.history.len())
}

fn shows(filter: &BoardFilter, row: &BoardRow, me: &UserId) -> bool {
    let is = |user: &UserId| {
        row.requester == *user
            || row.owner.as_ref().is_some_and(|owner| owner.user == *user)
            || row.assignee.as_ref() == Some(user)
    };
    let part = match filter.part {
        Part::Any => true,
        Part::Mine => row.requester == *me,
        Part::ToDo => match &row.owner {
            Some(owner) => owner.user == *me,
            None => row.assignee.as_ref() == Some(me),
        },
    };
    part && (filter.closed || !row.state.is_closed())
        && (!filter.overdue || row.overdue)
        && filter.kind.is_none_or(|kind| row.kind == kind)
        && filter.person.as_ref().is_none_or(is)
        && filter.patient.as_ref().is_none_or(|words| is_about(row.patient.as_ref(), words))
        && filter.since_ms.is_none_or(|since| row.asked_at_ms >= since)
        && filter.until_ms.is_none_or(|until| row.asked_at_ms < until)
}

fn is_about(patient: Option<&Patient>, words: &str) -> bool {
    let words = words.to_lowercase();
    patient.is_some_and(|patient| {
        let traits = [&patient.birth_name, &patient.used_name, &patient.ins];
        traits.iter().any(|said| said.to_lowercase().starts_with(&words))
    })
}
