//! What kind a thread is, for the rules of law that hang on it (CSP L1110-4): who may be named there, and who let in.
//!
//! A group stands on one side of [`ThreadKind::may_become`] for ever. Who makes it says on which; everybody else
//! knows it from whoever let him in: the member whose welcome it was, or, for a device that came in by itself,
//! another one of its user. Until that word is read nobody is named in the group. A profile of anybody else that
//! says otherwise is that of a changed client, and says nothing at all, on every device alike: which one comes
//! first in the log, and which ones a device has read, makes no difference.

use cercle_proto::id::{GroupId, UserId};

use super::{Cx, Step, outbox::queued_body};
use crate::{
    event::{Event, Message},
    message::{Body, GroupProfile, ThreadKind},
    store::{groups::GroupRecord, intents::Change},
};

impl GroupRecord {
    /// Whoever let this device in, another device of its user, or their backup says what the group is; true if
    /// that was not known.
    pub(crate) fn settle(&mut self, profile: &GroupProfile) -> bool {
        let unknown = self.profile.title.is_empty() || self.let_in_by.is_some();
        if !unknown || profile.title.is_empty() {
            return false;
        }
        self.profile.clone_from(profile);
        self.let_in_by = None;
        true
    }

    /// A profile was read at its place in the log; true if something changed.
    fn take_profile(&mut self, message: &Message, profile: &GroupProfile) -> bool {
        let before = (self.profile.clone(), self.profile_awaited, self.let_in_by.is_some());
        let unknown = self.profile.title.is_empty() || self.profile_awaited && !message.own;
        let lets_in = !message.own && self.let_in_by.as_deref() == Some(message.sender.as_str());
        let fits = self.profile.title.is_empty() || self.profile.thread.may_become(profile.thread);
        if lets_in {
            self.let_in_by = None;
        }
        // Administrators may change it; members who add others only repeat it for them.
        let counts = if fits { message.by_administrator || unknown } else { lets_in };
        if counts {
            self.profile.clone_from(profile);
            self.profile_awaited = self.profile_awaited && message.own;
        }
        before != (self.profile.clone(), self.profile_awaited, self.let_in_by.is_some())
    }
}

impl Cx<'_, '_> {
    /// Somebody says what the group is.
    pub(crate) fn profile_said(&mut self, message: &Message, profile: &GroupProfile) -> Step {
        let Some(lane) = self.lane(message.group) else { return Ok(()) };
        let before = lane.row.record.profile.clone();
        if !lane.row.record.take_profile(message, profile) {
            return Ok(());
        }
        let changed = lane.row.record.profile != before;
        self.save(message.group)?;
        if changed {
            self.emit(Event::GroupChanged { group: message.group });
        }
        Ok(())
    }

    /// What a thread is for, as far as a patient may be named there: a circle counts as one when its opening is
    /// known here, a direct thread while no third person is in it, and both when who let this device in has said
    /// that they are one. Else they count as a conversation.
    pub(crate) fn thread_kind(&mut self, group: GroupId) -> Step<ThreadKind> {
        let Some(lane) = self.m.groups.get(&group) else { return Ok(ThreadKind::default()) };
        let (kind, settled) = (lane.row.record.profile.thread, lane.row.record.let_in_by.is_none());
        let counts = match kind {
            ThreadKind::PatientCircle => {
                settled && (self.circle(group)?.is_some() || self.opens_circle(group)?)
            }
            ThreadKind::Direct => settled && self.third_person(group, &[])?.is_none(),
            _ => true,
        };
        Ok(if counts { kind } else { ThreadKind::default() })
    }

    /// Whether a circle of this device is on its way to the hub.
    fn opens_circle(&self, group: GroupId) -> Step<bool> {
        let made_here = |change: &Change| match change {
            Change::Create { profile } => profile.thread == ThreadKind::PatientCircle,
            _ => false,
        };
        if self.tx.intents_of(group)?.iter().any(|row| made_here(&row.intent.change)) {
            return Ok(true);
        }
        let queued = self.tx.outbox_of(group, 0, usize::MAX >> 1)?;
        Ok(queued.iter().any(|row| matches!(queued_body(&row.content), Body::CircleOpened(_))))
    }

    /// Who is, or would be with these users, the third person in a direct thread.
    pub(crate) fn third_person(&mut self, group: GroupId, users: &[UserId]) -> Step<Option<UserId>> {
        if self.profile_of(group).is_none_or(|profile| profile.thread != ThreadKind::Direct) {
            return Ok(None);
        }
        let own = self.m.me.as_ref().map(|me| me.identity.user.clone());
        let mut others = self.others_in(group)?;
        others.extend(users.iter().filter(|user| Some(*user) != own.as_ref()).cloned());
        let first = others.first().cloned();
        Ok(others.into_iter().find(|other| Some(other) != first.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use cercle_proto::id::{DeviceId, MessageId};

    use super::*;
    use crate::core::GroupState;

    fn said_by(sender: &str, by_administrator: bool) -> Message {
        Message {
            group: GroupId::new([1; 16]),
            seq: 1,
            id: MessageId::new([2; 16]),
            sender: UserId::new(sender, "cpts.example").unwrap(),
            device: DeviceId::new([3; 16]),
            display_name: sender.into(),
            own: sender == "me",
            expired_certificate: false,
            at_ms: 1,
            sent_at_ms: 1,
            in_reply_to: None,
            exported_by: None,
            by_administrator,
            body: Body::text(""),
        }
    }

    fn named(title: &str, kind: ThreadKind) -> GroupProfile {
        GroupProfile::of_kind(title, kind)
    }

    fn newcomer(let_in_by: Option<&str>) -> GroupRecord {
        let mut record = GroupRecord::new(GroupState::Active, 1, 1);
        record.let_in_by = let_in_by.map(|user| format!("{user}@cpts.example"));
        record
    }

    fn seen(record: &GroupRecord) -> (&str, ThreadKind, bool) {
        (&record.profile.title, record.profile.thread, record.let_in_by.is_none())
    }

    use ThreadKind::{Conversation, Direct, Library, PatientCircle, Theme};

    #[test]
    fn only_kinds_that_no_rule_of_law_hangs_on_become_each_other() {
        for kind in [PatientCircle, Direct] {
            assert!(kind.may_become(kind));
            for other in [Conversation, Theme, Library, ThreadKind::Territory, ThreadKind::Coordination] {
                assert!(!kind.may_become(other) && !other.may_become(kind), "{kind:?} {other:?}");
                assert!(other.may_become(Theme));
            }
        }
        assert!(!PatientCircle.may_become(Direct) && !Direct.may_become(PatientCircle));
    }

    #[test]
    fn whatever_comes_first_the_word_of_who_let_one_in_settles_it() {
        let honest = (said_by("anne", false), named("Territoire", Conversation));
        let lies = (said_by("bruno", true), named("Cercle", PatientCircle));
        for order in [[&honest, &lies, &lies], [&lies, &honest, &lies], [&lies, &lies, &honest]] {
            let mut record = newcomer(Some("anne"));
            for (message, profile) in order {
                record.take_profile(message, profile);
            }
            assert_eq!(seen(&record), ("Territoire", Conversation, true));
            assert!(!record.take_profile(&lies.0, &lies.1), "it changes nothing any more");
        }
        let mut record = newcomer(Some("anne"));
        assert!(record.take_profile(&lies.0, &lies.1));
        assert_eq!(seen(&record), ("Cercle", PatientCircle, false), "heard, and not believed");
    }

    #[test]
    fn who_let_one_in_repeats_and_does_not_take_back_what_an_administrator_has_changed() {
        let mut record = newcomer(Some("anne"));
        record.take_profile(&said_by("bruno", true), &named("Plaies", Theme));
        assert!(record.take_profile(&said_by("anne", false), &named("Territoire", Conversation)));
        assert_eq!(seen(&record), ("Plaies", Theme, true));
    }

    #[test]
    fn own_words_settle_nothing_and_those_of_own_devices_and_of_the_backup_do() {
        let mut record = newcomer(Some("me"));
        record.take_profile(&said_by("me", true), &named("Vu d'ici", Conversation));
        assert_eq!(seen(&record), ("Vu d'ici", Conversation, false));
        assert!(record.settle(&named("Cercle", PatientCircle)));
        assert_eq!(seen(&record), ("Cercle", PatientCircle, true));
        assert!(!record.settle(&named("Autre", Conversation)), "an older copy says nothing new");
        assert!(!newcomer(None).settle(&GroupProfile::default()), "nor one that knows nothing");
    }

    #[test]
    fn a_device_that_joined_again_knows_what_the_group_is() {
        let mut record = newcomer(None);
        record.profile = named("Cercle", PatientCircle);
        record.profile_awaited = true;
        record.take_profile(&said_by("bruno", true), &named("Autre", Conversation));
        assert_eq!(seen(&record), ("Cercle", PatientCircle, true));
        record.take_profile(&said_by("claire", false), &named("Cercle O. I.", PatientCircle));
        assert_eq!(seen(&record), ("Cercle O. I.", PatientCircle, true));
    }

    #[test]
    fn a_record_of_before_is_settled() {
        let mut record = newcomer(Some("anne"));
        record.profile = named("Cercle", PatientCircle);
        let mut written = ciborium::Value::serialized(&record).unwrap();
        written.as_map_mut().unwrap().retain(|(key, _)| key.as_text() != Some("let_in_by"));
        let read: GroupRecord = written.deserialized().unwrap();
        assert_eq!(seen(&read), ("Cercle", PatientCircle, true));
    }
}
