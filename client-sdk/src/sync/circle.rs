//! Patient circles: who may be added and why not, what follows an accepted change, and periods that end.
//!
//! The rules are in [`crate::thread::circle`]; here they meet commands, intents and appointments. What must
//! be said after a change of the group (an entry about the person added) is a note beside the intent, and is
//! queued in the transaction in which the change is found in the log: both happen or neither.

use cercle_proto::{
    id::{GroupId, TimestampMs, UserId},
    v1,
};
use prost::Message as _;
use serde::{Deserialize, Serialize};

use super::{Cx, Step, agenda::Appointment, user_ids};
use crate::{
    core::{GroupState, NewCircle, Outcome, PolicyTemplate, RefusalRecord},
    error::Error,
    event::Event,
    limits,
    message::{
        self, Body, CircleAudience, CircleClass, CircleMember, CircleOpened, CircleStanding, ConsentDecision,
        Draft, GroupProfile, Patient, ThreadKind,
    },
    mls::{group, key_packages},
    store::intents::{Change, IntentRow},
    thread::circle::{Circle, Refusal},
};

/// A command was taken, or refused at once.
type Begun = Result<(), Error>;

/// Notes of what follows a change; the key is the intent's number.
const FOLLOWUPS: &str = "after_intent";
/// Notes of refusals; the key is time and a random number.
const REFUSALS: &str = "refusal";

/// What is to be said once a change is in the log.
#[derive(Serialize, Deserialize)]
struct Followup {
    /// Composed messages.
    contents: Vec<Vec<u8>>,
    /// The class that the added user's certificate must name.
    class: Option<CircleClass>,
}

/// What is wrong with a message about somebody else in a circle.
const OTHER_PATIENT: &str =
    "is not whom this circle is about; write in that patient's circle or a direct thread";

impl Cx<'_, '_> {
    /// The circle that a group is.
    pub(crate) fn circle(&mut self, group: GroupId) -> Step<Option<&Circle>> {
        let tx = self.tx;
        Ok(self.m.thread(tx, group)?.circle())
    }

    /// Makes a circle: a group that begins with its identity and its first member.
    pub(crate) fn open_circle(&mut self, id: u64, circle: NewCircle) -> Step<Begun> {
        let Some(me) = self.m.me.clone() else { return Ok(Err(Error::NotEnrolled)) };
        let NewCircle { mut profile, patient, audience, mut founder, consents, despite_duplicate } = circle;
        if let Err(error) = self.check_patient(&patient) {
            return Ok(Err(error));
        }
        if !despite_duplicate && let Some(other) = self.same_circle(&patient, audience, None)? {
            return Ok(Err(Error::CircleExists(other)));
        }
        me.identity.user.as_str().clone_into(&mut founder.user);
        founder.display_name.clone_from(&me.identity.display_name);
        founder.class = me.identity.class.into();
        if founder.starts_at_ms == 0 {
            founder.starts_at_ms = self.now;
        }
        let opened = CircleOpened { patient, audience, members: vec![founder], consents, summary: false };
        let content = match message::compose(&Body::CircleOpened(opened.clone()).into(), self.now) {
            Ok(content) => content,
            Err(error) => return Ok(Err(error)),
        };
        if let Some(founder) = opened.members.first()
            && let Err(refusal) = Circle::open(&opened).may_add(founder, self.now)
        {
            return self.refuse(None, &founder.user, refusal).map(Err);
        }
        profile.thread = ThreadKind::PatientCircle;
        let made = self.create_group(id, profile, PolicyTemplate::Conversation)?;
        if made.is_ok() {
            self.follow(id, &Followup { contents: vec![content], class: None })?;
        }
        Ok(made)
    }

    /// Adds a person to a circle, if the rules allow it.
    pub(crate) fn add_to_circle(&mut self, id: u64, group: GroupId, mut entry: CircleMember) -> Step<Begun> {
        if entry.starts_at_ms == 0 {
            entry.starts_at_ms = self.now;
        }
        if let Err(error) = self.usable(group) {
            return Ok(Err(error));
        }
        let content = match message::compose(&Body::CircleMember(entry.clone()).into(), self.now) {
            Ok(content) => content,
            Err(error) => return Ok(Err(error)),
        };
        let now = self.now;
        let Some(circle) = self.circle(group)? else { return Ok(Err(not_a_circle())) };
        if let Err(refusal) = circle.may_add(&entry, now) {
            return self.refuse(Some(group), &entry.user, refusal).map(Err);
        }
        let Ok(user) = UserId::parse(&entry.user) else { return Ok(Err(not_a_circle())) };
        let claim = self.random();
        let begun = self.change_members(id, group, &[user], |users| Change::Invite { users, claim })?;
        if begun.is_ok() {
            self.follow(id, &Followup { contents: vec![content], class: Some(entry.class) })?;
        }
        Ok(begun)
    }

    /// Ends a person's period in a circle and removes him from the group.
    pub(crate) fn end_membership(
        &mut self,
        id: u64,
        group: GroupId,
        user: &UserId,
        note: String,
    ) -> Step<Begun> {
        let now = self.now;
        if let Err(error) = self.usable(group) {
            return Ok(Err(error));
        }
        let Some(circle) = self.circle(group)? else { return Ok(Err(not_a_circle())) };
        let Some(entry) = circle.member(user).cloned() else {
            return Ok(Err(Error::NotInGroup { users: vec![user.clone()] }));
        };
        let ends_at_ms = Some(now.max(entry.starts_at_ms));
        let entry = CircleMember { ends_at_ms, note, ..entry };
        let content = match message::compose(&Body::CircleMember(entry).into(), now) {
            Ok(content) => content,
            Err(error) => return Ok(Err(error)),
        };
        let begun =
            self.change_members(id, group, std::slice::from_ref(user), |users| Change::Remove { users })?;
        if begun.is_ok() {
            self.follow(id, &Followup { contents: vec![content], class: None })?;
        }
        Ok(begun)
    }

    /// Whether people may be added to a group by a plain invitation: into a circle only those who have an
    /// entry, with further devices, and nobody against an objection; into a direct thread no third person.
    pub(crate) fn may_invite(&mut self, group: GroupId, users: &[UserId]) -> Step<Begun> {
        let now = self.now;
        if let Some(user) = self.third_person(group, users)? {
            return self.refuse(Some(group), user.as_str(), Refusal::ThirdInDirect).map(Err);
        }
        let Some(circle) = self.known_circle(group)? else {
            let kind = self.profile_of(group).map(|profile| profile.thread);
            return match users.first().filter(|_| kind == Some(ThreadKind::PatientCircle)) {
                // Whoever it is: as long as its opening is not known, nobody has a basis.
                Some(user) => self.refuse(Some(group), user.as_str(), Refusal::NoBasis).map(Err),
                None => Ok(Ok(())),
            };
        };
        if let Some(user) = users.iter().find(|user| circle.decision(user) == ConsentDecision::Objection) {
            return self.refuse(Some(group), user.as_str(), Refusal::Objection).map(Err);
        }
        let missing = users.iter().find(|user| circle.member(user).is_none() || circle.has_ended(user, now));
        match missing.cloned() {
            Some(user) => self.refuse(Some(group), user.as_str(), Refusal::NoBasis).map(Err),
            None => Ok(Ok(())),
        }
    }

    /// Whether a message may be sent: identities of tests, closed circles, entries without a basis.
    pub(crate) fn may_send(&mut self, group: GroupId, draft: &Draft) -> Step<Begun> {
        for patient in draft.body.patients() {
            if let Err(error) = self.check_patient(patient) {
                return Ok(Err(error));
            }
        }
        let now = self.now;
        let Some(circle) = self.known_circle(group)? else { return Ok(Ok(())) };
        let record = matches!(
            draft.body,
            Body::CircleStatus(_) | Body::CircleConsent(_) | Body::CircleMember(_) | Body::GroupProfile(_)
        );
        if circle.standing != CircleStanding::Open && !record {
            return Ok(Err(Error::CircleRefused(Refusal::Closed)));
        }
        if let Body::CircleMember(entry) = &draft.body
            && entry.ends_at_ms.is_none_or(|end| end > now)
            && let Err(refusal) = circle.may_add(entry, now)
        {
            return self.refuse(Some(group), &entry.user, refusal).map(Err);
        }
        Ok(Ok(()))
    }

    /// A circle, if the group is known to be one.
    fn known_circle(&mut self, group: GroupId) -> Step<Option<&Circle>> {
        let lane = self.m.groups.get(&group);
        if lane.is_none_or(|lane| lane.row.record.profile.thread != ThreadKind::PatientCircle) {
            return Ok(None);
        }
        self.circle(group)
    }

    /// Whether a message names, if anybody, whom the circle that it is meant for is about: nobody else may be
    /// named to people who were let in for this patient.
    ///
    /// # Errors
    /// Inner: [`Error::Field`] if it names somebody else.
    pub(crate) fn names_the_circles_patient(
        &mut self,
        group: GroupId,
        body: &Body,
    ) -> Step<Result<(), Error>> {
        if matches!(body, Body::CircleOpened(_) | Body::CircleIdentity(_)) {
            return Ok(Ok(()));
        }
        let Some(circle) = self.known_circle(group)? else { return Ok(Ok(())) };
        if body.patients().iter().all(|named| circle.patient.same_person(named)) {
            return Ok(Ok(()));
        }
        Ok(Err(Error::Field { field: "patient", problem: OTHER_PATIENT.into() }))
    }

    /// Whether an identity may be used: that of a test not in production.
    pub(crate) fn check_patient(&self, patient: &Patient) -> Result<(), Error> {
        patient.check()?;
        if self.m.settings.test_identities { Ok(()) } else { patient.check_for_production() }
    }

    /// Another open circle of this device about the same patient, with the same audience.
    fn same_circle(
        &mut self,
        patient: &Patient,
        audience: CircleAudience,
        except: Option<GroupId>,
    ) -> Step<Option<GroupId>> {
        let circles = self.circles_about(patient, audience)?;
        Ok(circles.into_iter().find(|group| Some(*group) != except))
    }

    /// The professionals' circle about a patient that this user is in, and is to be in.
    pub(crate) fn circle_shared_with(&mut self, patient: &Patient, user: &UserId) -> Step<Option<GroupId>> {
        let now = self.now;
        for group in self.circles_about(patient, CircleAudience::Professionals)? {
            let ended = self.circle(group)?.is_none_or(|circle| circle.has_ended(user, now));
            let circle = self.thread_kind(group)? == ThreadKind::PatientCircle;
            if circle && !ended && self.usable(group).is_ok() && self.others_in(group)?.contains(user) {
                return Ok(Some(group));
            }
        }
        Ok(None)
    }

    /// Open circles of this device about a patient, with this audience.
    fn circles_about(&mut self, patient: &Patient, audience: CircleAudience) -> Step<Vec<GroupId>> {
        let circles = self.m.groups.iter().filter(|(_, lane)| {
            lane.row.record.profile.thread == ThreadKind::PatientCircle && lane.state() != GroupState::Closed
        });
        let circles: Vec<GroupId> = circles.map(|(group, _)| *group).collect();
        let mut found = Vec::new();
        for group in circles {
            let Some(circle) = self.circle(group)? else { continue };
            let same = circle.audience == audience
                && circle.standing == CircleStanding::Open
                && circle.patient.same_person(patient);
            if same {
                found.push(group);
            }
        }
        Ok(found)
    }

    /// A circle became known, or its identity changed: tells if there are two for one patient.
    pub(crate) fn circle_known(&mut self, group: GroupId) -> Step {
        let Some(circle) = self.circle(group)? else { return Ok(()) };
        let (patient, audience) = (circle.patient.clone(), circle.audience);
        if let Some(other) = self.same_circle(&patient, audience, Some(group))? {
            self.emit(Event::CircleDuplicate { group, other });
        }
        Ok(())
    }

    /// Notes a refusal in the journal of this device.
    fn refuse(&mut self, group: Option<GroupId>, user: &str, refusal: Refusal) -> Step<Error> {
        let record = RefusalRecord {
            group: group.map(|group| *group.as_bytes()),
            user: user.to_owned(),
            refusal,
            at_ms: self.now,
        };
        let key = [self.now.to_be_bytes(), self.random()].concat();
        self.tx.write_note(REFUSALS, &key, &record)?;
        let kept = self.tx.notes::<RefusalRecord>(REFUSALS)?;
        for (key, _) in kept.iter().rev().skip(limits::REFUSALS_MAX) {
            self.tx.delete_note(REFUSALS, key)?;
        }
        Ok(Error::CircleRefused(refusal))
    }

    /// Notes what follows the change that a command has begun.
    fn follow(&mut self, command: u64, followup: &Followup) -> Step {
        let intent = self.m.waiting.iter().find(|(_, waiting)| **waiting == command);
        match intent.map(|(intent, _)| *intent) {
            Some(intent) => self.tx.write_note(FOLLOWUPS, &intent.to_be_bytes(), followup),
            None => Ok(()),
        }
    }

    /// Why the people whose key packages were claimed for an invitation may not be added after all: the
    /// patient has objected since it was asked for, somebody else is in the direct thread by now, or a certificate
    /// names another class than the entry.
    pub(crate) fn admission_refused(&mut self, row: &IntentRow) -> Step<Option<Error>> {
        if let Change::Invite { users, .. } = &row.intent.change {
            let users = user_ids(users);
            if let Some(user) = self.third_person(row.group, &users)? {
                return self.refuse(Some(row.group), user.as_str(), Refusal::ThirdInDirect).map(Some);
            }
            let objects =
                |circle: &Circle, user: &UserId| circle.decision(user) == ConsentDecision::Objection;
            if let Some(circle) = self.known_circle(row.group)?
                && let Some(user) = users.iter().find(|user| objects(circle, user))
            {
                return self.refuse(Some(row.group), user.as_str(), Refusal::Objection).map(Some);
            }
        }
        let followup = self.tx.note::<Followup>(FOLLOWUPS, &row.id.to_be_bytes())?;
        let Some(class) = followup.and_then(|followup| followup.class) else { return Ok(None) };
        let (Some(claimed), Some(me)) = (&row.intent.claimed, self.m.me.clone()) else { return Ok(None) };
        for encoded in &claimed.packages {
            let Ok(package) = v1::ClaimedKeyPackage::decode(encoded.as_slice()) else { continue };
            // What does not verify is refused where the commit is made.
            let verified = key_packages::verify(&self.provider(), &me.verifier, &package, self.now);
            let Ok((_, identity)) = verified else { continue };
            if CircleClass::from(identity.class) != class {
                let user = identity.user.as_str().to_owned();
                return self.refuse(Some(row.group), &user, Refusal::OtherClass).map(Some);
            }
        }
        Ok(None)
    }

    /// A change has ended: says what follows it.
    pub(crate) fn change_ended(&mut self, row: &IntentRow, result: &Result<Outcome, Error>) -> Step {
        let key = row.id.to_be_bytes();
        let followup = self.tx.note::<Followup>(FOLLOWUPS, &key)?;
        if followup.is_some() {
            self.tx.delete_note(FOLLOWUPS, &key)?;
        }
        let Ok(outcome) = result else { return Ok(()) };
        if let Outcome::Invited { devices, .. } = outcome
            && !devices.is_empty()
        {
            self.queue_summary(row.group)?;
            self.plan_handover(row.group, devices)?;
            self.somebody_was_added()?;
        }
        for content in followup.into_iter().flat_map(|followup| followup.contents) {
            self.queue(row.group, &content)?;
        }
        Ok(())
    }

    /// Sums a circle up for people who cannot have read how it began.
    fn queue_summary(&mut self, group: GroupId) -> Step {
        let Some(circle) = self.known_circle(group)? else { return Ok(()) };
        let summary = Body::CircleOpened(circle.summary());
        match message::compose(&summary.into(), self.now) {
            Ok(content) => self.queue(group, &content).map(drop),
            // Too long a story for one message: the history tells it.
            Err(_) => Ok(()),
        }
    }

    /// Something about periods or consent may have changed: makes the appointment for the next end.
    pub(crate) fn periods_changed(&mut self, group: GroupId) -> Step {
        let now = self.now;
        let Some(circle) = self.circle(group)? else { return Ok(()) };
        if let Some(end) = circle.next_end(now) {
            self.remind(end, &Appointment::CirclePeriods { group: *group.as_bytes(), turn: false })?;
        }
        if !self.ended_members(group)?.is_empty() {
            self.wait_for_turn(group)?;
        }
        Ok(())
    }

    /// A period has ended. The first administrator's device acts at once, each further one after a while, if
    /// it is still needed; the removal itself waits for the connection.
    pub(crate) fn periods_due(&mut self, group: GroupId, turn: bool) -> Step {
        let ended = self.ended_members(group)?;
        if !ended.is_empty() {
            if !turn {
                return self.wait_for_turn(group);
            }
            let users: Vec<String> = ended.iter().map(|user| user.as_str().to_owned()).collect();
            let change = Change::Remove { users };
            let known = self.tx.intents_of(group)?.iter().any(|row| row.intent.change == change);
            if !known {
                self.add_intent(group, change, false)?;
            }
        }
        let now = self.now;
        let next = self.circle(group)?.and_then(|circle| circle.next_end(now));
        match next {
            Some(end) => {
                self.remind(end, &Appointment::CirclePeriods { group: *group.as_bytes(), turn: false })
            }
            None => Ok(()),
        }
    }

    /// Members of the group whose period is over, if this device is to remove them.
    fn ended_members(&mut self, group: GroupId) -> Step<Vec<UserId>> {
        let active = self
            .m
            .groups
            .get(&group)
            .is_some_and(|lane| matches!(lane.state(), GroupState::Active | GroupState::Recovering));
        if !active {
            return Ok(Vec::new());
        }
        let present = self.with_group(group, |_, _, loaded, author| {
            let own = &author.me.identity.user;
            let administers = group::policy(loaded)?.is_administrator(own);
            let members = group::members(loaded, author.me)?;
            let mut users = group::users(members.iter().map(|(_, identity)| identity));
            users.retain(|user| administers && user != own);
            Ok(users)
        })?;
        let now = self.now;
        let mut present = present.unwrap_or_default();
        match self.circle(group)? {
            Some(circle) => present.retain(|user| circle.has_ended(user, now)),
            None => present.clear(),
        }
        Ok(present)
    }

    /// Waits for this device's turn among the administrators' devices.
    fn wait_for_turn(&mut self, group: GroupId) -> Step {
        let own = self.own_device();
        let position = self.with_group(group, |_, _, loaded, author| {
            let policy = group::policy(loaded)?;
            let members = group::members(loaded, author.me)?;
            let mut administrators =
                members.into_iter().filter(|(_, identity)| policy.is_administrator(&identity.user));
            Ok(administrators.position(|(_, identity)| Some(identity.device) == own))
        })?;
        let position = position.ok().flatten().unwrap_or(0) as TimestampMs;
        let at = self.now + position * limits::PERIOD_STEP_MS;
        self.remind(at, &Appointment::CirclePeriods { group: *group.as_bytes(), turn: true })
    }

    /// The policy of a group as its members know it.
    pub(crate) fn profile_of(&self, group: GroupId) -> Option<&GroupProfile> {
        self.m.groups.get(&group).map(|lane| &lane.row.record.profile)
    }
}

fn not_a_circle() -> Error {
    Error::Invalid("the group is no patient circle, or its beginning is not known yet")
}
