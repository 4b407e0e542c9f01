//! What the messages of a patient circle add up to: identity, members with their periods, what the patient
//! agrees to, and who may be added.
//!
//! A pure function of the messages in log order; time comes in as an argument. The SDK refuses what
//! [`Circle::may_add`] refuses; the group's MLS membership follows [`Circle::has_ended`].

use std::collections::BTreeMap;

use cercle_proto::id::{TimestampMs, UserId};

use crate::{
    event::Message,
    message::{
        Body, CircleAudience, CircleBasis, CircleClass, CircleConsent, CircleMember, CircleOpened,
        CircleStanding, ConsentDecision, Language, Patient, kind::hidden,
    },
};

/// A patient circle as it is known on this device.
#[derive(Clone, PartialEq, Eq)]
pub struct Circle {
    /// Whom it is about.
    pub patient: Patient,
    /// Who may be in it.
    pub audience: CircleAudience,
    /// Whether it is in use.
    pub standing: CircleStanding,
    /// Entries about each person, oldest first; the last counts.
    pub members: BTreeMap<String, Vec<CircleMember>>,
    /// What the patient said, oldest first.
    pub consents: Vec<CircleConsent>,
    /// What is known comes from a member's summary: the messages before it are not on this device.
    pub summary: bool,
}

hidden!(Circle);

/// Why somebody may not be added to a circle, or content not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// No basis was given.
    NoBasis,
    /// The basis is consent, and none is recorded or it was withdrawn.
    NoConsent,
    /// The patient objects to sharing, or to sharing with this person.
    Objection,
    /// A relative in the professionals' group: relatives have a group of their own.
    RelativeAmongProfessionals,
    /// A relative is not of the care team.
    RelativeInTeam,
    /// The circle is closed.
    Closed,
    /// The period is over already.
    PeriodOver,
    /// The person's certificate names another class.
    OtherClass,
    /// A direct thread is of two people.
    ThirdInDirect,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::NoBasis,
        Self::NoConsent,
        Self::Objection,
        Self::RelativeAmongProfessionals,
        Self::RelativeInTeam,
        Self::Closed,
        Self::PeriodOver,
        Self::OtherClass,
        Self::ThirdInDirect,
    ];

    /// Name in JSON and scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoBasis => "no_basis",
            Self::NoConsent => "no_consent",
            Self::Objection => "objection",
            Self::RelativeAmongProfessionals => "relative_among_professionals",
            Self::RelativeInTeam => "relative_in_team",
            Self::Closed => "closed",
            Self::PeriodOver => "period_over",
            Self::OtherClass => "other_class",
            Self::ThirdInDirect => "third_in_direct",
        }
    }

    /// The reason in a sentence.
    #[must_use]
    pub const fn explain(self, language: Language) -> &'static str {
        match self {
            Self::NoBasis => language.pick(
                "Aucune base n'est donnée : même équipe de soins, choisi par le patient ou consentement (CSP L1110-4).",
                "No basis is given: same care team, chosen by the patient, or consent (CSP L1110-4).",
            ),
            Self::NoConsent => language.pick(
                "Aucun consentement du patient n'est enregistré, ou il a été retiré (CSP L1110-4 III).",
                "No consent of the patient is recorded, or it was withdrawn (CSP L1110-4 III).",
            ),
            Self::Objection => language.pick(
                "Le patient s'y oppose (CSP L1110-4 IV).",
                "The patient objects (CSP L1110-4 IV).",
            ),
            Self::RelativeAmongProfessionals => language.pick(
                "Un proche n'entre pas dans le groupe des professionnels : ouvrez un cercle avec les proches.",
                "A relative does not enter the professionals' group: open a circle with relatives.",
            ),
            Self::RelativeInTeam => language.pick(
                "Un proche n'est pas de l'équipe de soins : choisi par le patient, ou consentement.",
                "A relative is not of the care team: chosen by the patient, or consent.",
            ),
            Self::Closed => language.pick("Le cercle est clos.", "The circle is closed."),
            Self::PeriodOver => {
                language.pick("La période est déjà terminée.", "The period is over already.")
            }
            Self::OtherClass => language.pick(
                "Le certificat de la personne indique une autre classe.",
                "The person's certificate names another class.",
            ),
            Self::ThirdInDirect => language.pick(
                "Un fil direct est à deux : ouvrez un cercle de soins, ou un autre groupe.",
                "A direct thread is of two people: open a patient circle, or another group.",
            ),
        }
    }
}

impl Circle {
    /// Takes the next message of the log; `None` before a circle is opened.
    pub(crate) fn apply(circle: &mut Option<Self>, message: &Message) {
        match (&message.body, circle) {
            (Body::CircleOpened(opened), circle @ None) => *circle = Some(Self::open(opened)),
            // Somebody else's summary adds nothing to what was read.
            (_, None) | (Body::CircleOpened(_), Some(_)) => {}
            (Body::CircleMember(entry), Some(circle)) => circle.enter(entry),
            (Body::CircleConsent(consent), Some(circle)) => circle.consents.push(consent.clone()),
            (Body::CircleIdentity(identity), Some(circle)) => circle.patient.clone_from(&identity.patient),
            (Body::CircleStatus(status), Some(circle)) => circle.standing = status.standing,
            (_, Some(_)) => {}
        }
    }

    /// A circle as it begins.
    pub(crate) fn open(opened: &CircleOpened) -> Self {
        let mut circle = Self {
            patient: opened.patient.clone(),
            audience: opened.audience,
            standing: CircleStanding::Open,
            members: BTreeMap::new(),
            consents: opened.consents.clone(),
            summary: opened.summary,
        };
        opened.members.iter().for_each(|entry| circle.enter(entry));
        circle
    }

    fn enter(&mut self, entry: &CircleMember) {
        self.members.entry(entry.user.clone()).or_default().push(entry.clone());
    }

    /// The newest entry about a user.
    #[must_use]
    pub fn member(&self, user: &UserId) -> Option<&CircleMember> {
        self.members.get(user.as_str())?.last()
    }

    /// What the patient decided last: about this person, else about the circle. A withdrawal leaves no
    /// decision.
    #[must_use]
    pub fn decision(&self, user: &UserId) -> ConsentDecision {
        let about = |person: &str| self.consents.iter().rfind(|record| record.person == person);
        let own = about(user.as_str()).map(|record| record.decision);
        let general = about("").map(|record| record.decision);
        match (own, general) {
            // An objection to the whole circle stands above a consent to one person.
            (_, Some(ConsentDecision::Objection)) => ConsentDecision::Objection,
            (Some(decision @ (ConsentDecision::Consent | ConsentDecision::Objection)), _) => decision,
            // Taken back for this person, whatever is said in general.
            (Some(ConsentDecision::Withdrawal), _) => ConsentDecision::Unspecified,
            (_, Some(ConsentDecision::Consent)) => ConsentDecision::Consent,
            _ => ConsentDecision::Unspecified,
        }
    }

    /// Whether the patient objects to the circle as a whole. Then nobody is added; that those who are in it
    /// go, or that it is closed, is decided by people.
    #[must_use]
    pub fn is_objected_to(&self) -> bool {
        let last = self.consents.iter().rfind(|record| record.person.is_empty());
        last.is_some_and(|record| record.decision == ConsentDecision::Objection)
    }

    /// Whether the person of this entry may be added at this time.
    ///
    /// # Errors
    /// The reason why not.
    pub fn may_add(&self, entry: &CircleMember, now: TimestampMs) -> Result<(), Refusal> {
        let Ok(user) = UserId::parse(&entry.user) else { return Err(Refusal::NoBasis) };
        let decision = self.decision(&user);
        if self.standing != CircleStanding::Open {
            return Err(Refusal::Closed);
        }
        if decision == ConsentDecision::Objection {
            return Err(Refusal::Objection);
        }
        if entry.class == CircleClass::Relative {
            if self.audience == CircleAudience::Professionals {
                return Err(Refusal::RelativeAmongProfessionals);
            }
            if entry.basis == CircleBasis::SameTeam {
                return Err(Refusal::RelativeInTeam);
            }
        }
        if entry.ends_at_ms.is_some_and(|end| end <= now) {
            return Err(Refusal::PeriodOver);
        }
        match entry.basis {
            CircleBasis::None => Err(Refusal::NoBasis),
            CircleBasis::Consent if decision != ConsentDecision::Consent => Err(Refusal::NoConsent),
            CircleBasis::Consent | CircleBasis::SameTeam | CircleBasis::ChosenByPatient => Ok(()),
        }
    }

    /// Whether the period of a person is over at this time: by date, or because the patient objects or has
    /// taken back the consent that was the basis. Somebody without an entry has not ended: nobody said so.
    #[must_use]
    pub fn has_ended(&self, user: &UserId, now: TimestampMs) -> bool {
        let Some(entry) = self.member(user) else { return false };
        let decision = self.decision(user);
        let objected = self
            .consents
            .iter()
            .rfind(|record| record.person == user.as_str())
            .is_some_and(|record| record.decision == ConsentDecision::Objection);
        let without_basis = entry.basis == CircleBasis::Consent && decision != ConsentDecision::Consent;
        entry.ends_at_ms.is_some_and(|end| end <= now) || objected || without_basis
    }

    /// When the next period ends, after this time.
    #[must_use]
    pub fn next_end(&self, now: TimestampMs) -> Option<TimestampMs> {
        let last = self.members.values().filter_map(|entries| entries.last());
        last.filter_map(|entry| entry.ends_at_ms).filter(|end| *end > now).min()
    }

    /// What a newcomer must know who reads nothing of before.
    #[must_use]
    pub(crate) fn summary(&self) -> CircleOpened {
        let members = self.members.values().filter_map(|entries| entries.last());
        let people: Vec<&str> = self.consents.iter().map(|record| record.person.as_str()).collect();
        let newest = |(index, record): &(usize, &CircleConsent)| {
            !people[index + 1..].contains(&record.person.as_str())
        };
        let consents = self.consents.iter().enumerate().filter(newest);
        let mut consents: Vec<_> = consents.map(|(_, record)| record.clone()).collect();
        let excess = consents.len().saturating_sub(crate::limits::CIRCLE_CONSENTS_MAX);
        consents.drain(..excess);
        CircleOpened {
            patient: self.patient.clone(),
            audience: self.audience,
            members: members.take(crate::limits::CIRCLE_MEMBERS_MAX).cloned().collect(),
            consents,
            summary: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ConsentMode;

    fn circle(audience: CircleAudience) -> Circle {
        Circle::open(&CircleOpened { audience, ..CircleOpened::default() })
    }

    fn entry(class: CircleClass, basis: CircleBasis) -> CircleMember {
        let user = "ines.durand@cpts.example".to_owned();
        CircleMember { user, class, basis, role: "rôle".into(), ..CircleMember::default() }
    }

    fn says(decision: ConsentDecision, person: &str) -> CircleConsent {
        let (mode, collector) = (ConsentMode::Oral, "Dr Anne".to_owned());
        CircleConsent { decision, mode, collector, date_ms: 1, person: person.into(), ..Default::default() }
    }

    #[test]
    fn each_basis_has_its_condition() {
        let circle = circle(CircleAudience::Professionals);
        let try_add = |class, basis| circle.may_add(&entry(class, basis), 100);
        use CircleBasis::{ChosenByPatient, Consent, None, SameTeam};
        use CircleClass::{Professional, Relative};
        assert_eq!(try_add(Professional, None), Err(Refusal::NoBasis));
        assert_eq!(try_add(Professional, SameTeam), Ok(()));
        assert_eq!(try_add(Professional, ChosenByPatient), Ok(()));
        assert_eq!(try_add(Professional, Consent), Err(Refusal::NoConsent));
        assert_eq!(try_add(Relative, ChosenByPatient), Err(Refusal::RelativeAmongProfessionals));
        let family = self::circle(CircleAudience::WithRelatives);
        assert_eq!(family.may_add(&entry(Relative, ChosenByPatient), 100), Ok(()));
        assert_eq!(family.may_add(&entry(Relative, SameTeam), 100), Err(Refusal::RelativeInTeam));
    }

    #[test]
    fn consent_opens_withdrawal_closes_and_objection_stands_above() {
        let mut circle = circle(CircleAudience::Professionals);
        let outside = entry(CircleClass::Professional, CircleBasis::Consent);
        let user = UserId::parse(&outside.user).unwrap();
        circle.consents.push(says(ConsentDecision::Consent, ""));
        assert_eq!(circle.may_add(&outside, 100), Ok(()));
        circle.enter(&outside);
        assert!(!circle.has_ended(&user, 100));
        circle.consents.push(says(ConsentDecision::Withdrawal, ""));
        assert_eq!(circle.may_add(&outside, 100), Err(Refusal::NoConsent));
        assert!(circle.has_ended(&user, 100), "the basis is gone");
        circle.consents.push(says(ConsentDecision::Consent, &outside.user));
        assert_eq!(circle.may_add(&outside, 100), Ok(()));
        circle.consents.push(says(ConsentDecision::Objection, ""));
        assert_eq!(circle.may_add(&outside, 100), Err(Refusal::Objection));
        let team = entry(CircleClass::Professional, CircleBasis::SameTeam);
        assert_eq!(circle.may_add(&team, 100), Err(Refusal::Objection));
    }

    #[test]
    fn a_period_ends_at_its_time_and_another_entry_reopens_it() {
        let mut circle = circle(CircleAudience::Professionals);
        let mut entry = entry(CircleClass::Professional, CircleBasis::SameTeam);
        entry.ends_at_ms = Some(200);
        let user = UserId::parse(&entry.user).unwrap();
        circle.enter(&entry);
        assert_eq!((circle.has_ended(&user, 199), circle.has_ended(&user, 200)), (false, true));
        assert_eq!((circle.next_end(100), circle.next_end(200)), (Some(200), None));
        assert_eq!(circle.may_add(&entry, 200), Err(Refusal::PeriodOver));
        circle.enter(&CircleMember { starts_at_ms: 300, ends_at_ms: None, ..entry });
        assert!(!circle.has_ended(&user, 400));
        assert_eq!(circle.members[user.as_str()].len(), 2, "both periods are kept");
    }

    #[test]
    fn a_summary_says_what_counts_and_no_more() {
        let mut circle = circle(CircleAudience::Professionals);
        circle.consents =
            vec![says(ConsentDecision::Consent, ""), says(ConsentDecision::Objection, "x@y.fr")];
        circle.consents.push(says(ConsentDecision::Withdrawal, ""));
        let summary = circle.summary();
        assert!(summary.summary);
        assert_eq!(summary.consents, circle.consents[1..]);
    }
}
