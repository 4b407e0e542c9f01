//! Group policy: who may add, remove and post. One pure function judges a commit, on the hub before it
//! is accepted and on every client before it is merged, so that both always agree.

use prost::Message;

use crate::{
    id::UserId,
    v1::{GroupPolicy, Permission},
};

/// Type of the group context extension that carries the policy (private use, RFC 9420 section 17.3).
pub const EXTENSION_TYPE: u16 = 0xf0c1;

/// A checked [`GroupPolicy`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    administrators: Vec<UserId>,
    add: Permission,
    remove: Permission,
    post: Permission,
    personal: bool,
}

/// What a commit does, said without MLS types. Users, not devices: several devices may belong to one.
#[derive(Debug, Clone, Default)]
pub struct CommitFacts {
    /// Users of added leaves.
    pub added: Vec<UserId>,
    /// Users of removed leaves that were proposed by a member.
    pub removed: Vec<UserId>,
    /// The policy after the commit, if the commit changes it.
    pub new_policy: Option<Policy>,
    /// Users with a leaf after the commit.
    pub members_after: Vec<UserId>,
}

/// Why a policy or a commit is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The extension is missing or not a valid policy.
    #[error("the group policy is missing or damaged")]
    Malformed,
    /// Only an administrator may add users.
    #[error("only an administrator of the group may add members")]
    Add,
    /// Only an administrator may remove other users.
    #[error("only an administrator of the group may remove members")]
    Remove,
    /// Only an administrator may change the policy.
    #[error("only an administrator of the group may change its policy")]
    Change,
    /// Nobody would be left to administer a group that still has members.
    #[error("the group would be left without an administrator")]
    NoAdministrator,
}

impl Policy {
    /// The default for a conversation: its creator administers it, every member adds and posts.
    #[must_use]
    pub fn conversation(creator: UserId) -> Self {
        Self {
            administrators: vec![creator],
            add: Permission::Members,
            remove: Permission::Administrators,
            post: Permission::Members,
            personal: false,
        }
    }

    /// The group of a user's own devices: nobody else's device is ever in it, and this never changes.
    #[must_use]
    pub fn personal(owner: UserId) -> Self {
        Self { personal: true, ..Self::announcements(owner) }
    }

    /// Announcements: only administrators add, remove and post.
    #[must_use]
    pub fn announcements(creator: UserId) -> Self {
        let only = Permission::Administrators;
        Self { administrators: vec![creator], add: only, remove: only, post: only, personal: false }
    }

    /// The same policy with other administrators.
    #[must_use]
    pub fn with_administrators(&self, administrators: Vec<UserId>) -> Self {
        Self { administrators, ..self.clone() }
    }

    /// The users who administer the group.
    #[must_use]
    pub fn administrators(&self) -> &[UserId] {
        &self.administrators
    }

    /// Whether the user administers the group.
    #[must_use]
    pub fn is_administrator(&self, user: &UserId) -> bool {
        self.administrators.contains(user)
    }

    /// Whether a member may send application messages.
    #[must_use]
    pub fn may_post(&self, user: &UserId) -> bool {
        self.allows(self.post, user)
    }

    /// Whether it is the group of one user's own devices.
    #[must_use]
    pub const fn is_personal(&self) -> bool {
        self.personal
    }

    /// Whether only administrators may send application messages.
    #[must_use]
    pub fn posting_is_restricted(&self) -> bool {
        self.post == Permission::Administrators
    }

    /// The content of the group context extension.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let administrators = self.administrators.iter().map(|user| user.as_str().to_owned()).collect();
        let (add, remove, post) = (self.add.into(), self.remove.into(), self.post.into());
        GroupPolicy { administrators, add, remove, post, personal: self.personal }.encode_to_vec()
    }

    /// Reads the content of the group context extension.
    ///
    /// # Errors
    /// [`PolicyError::Malformed`] when it is not a complete policy with at least one administrator.
    pub fn decode(bytes: &[u8]) -> Result<Self, PolicyError> {
        let raw = GroupPolicy::decode(bytes).map_err(|_| PolicyError::Malformed)?;
        let permission = |value: i32| match Permission::try_from(value) {
            Ok(known @ (Permission::Administrators | Permission::Members)) => Ok(known),
            Ok(Permission::Unspecified) | Err(_) => Err(PolicyError::Malformed),
        };
        let users = raw.administrators.iter().map(|text| UserId::parse(text));
        let administrators: Vec<_> = users.collect::<Result<_, _>>().map_err(|_| PolicyError::Malformed)?;
        if administrators.is_empty() || raw.personal && administrators.len() > 1 {
            return Err(PolicyError::Malformed);
        }
        let (add, remove, post) = (permission(raw.add)?, permission(raw.remove)?, permission(raw.post)?);
        Ok(Self { administrators, add, remove, post, personal: raw.personal })
    }

    /// Judges a commit of a member under this policy (the one before the commit).
    ///
    /// A user may always add, remove and resynchronise his own devices. An administrator may leave only if
    /// the policy after the commit names an administrator who stays, or nobody stays.
    ///
    /// # Errors
    /// Says which rule the commit breaks.
    pub fn judge(&self, committer: &UserId, facts: &CommitFacts) -> Result<(), PolicyError> {
        let others = |users: &[UserId]| users.iter().any(|user| user != committer);
        if self.personal && facts.added.iter().any(|user| !self.is_administrator(user)) {
            return Err(PolicyError::Add);
        }
        if facts.new_policy.as_ref().is_some_and(|new| self.personal || new.personal) {
            return Err(PolicyError::Change);
        }
        if others(&facts.added) && !self.allows(self.add, committer) {
            return Err(PolicyError::Add);
        }
        if others(&facts.removed) && !self.allows(self.remove, committer) {
            return Err(PolicyError::Remove);
        }
        if facts.new_policy.is_some() && !self.is_administrator(committer) {
            return Err(PolicyError::Change);
        }
        let after = facts.new_policy.as_ref().unwrap_or(self);
        let mut staying = facts.members_after.iter();
        let handed_over =
            !facts.members_after.is_empty() && !staying.any(|user| after.is_administrator(user));
        if facts.new_policy.is_some() && handed_over {
            return Err(PolicyError::NoAdministrator);
        }
        Ok(())
    }

    fn allows(&self, permission: Permission, user: &UserId) -> bool {
        permission == Permission::Members || self.is_administrator(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name, "cpts.example").unwrap()
    }

    #[test]
    fn a_policy_round_trips() {
        for policy in [Policy::conversation(user("a")), Policy::announcements(user("b"))] {
            assert_eq!(Policy::decode(&policy.encode()), Ok(policy));
        }
        assert_eq!(Policy::decode(&[]), Err(PolicyError::Malformed));
    }

    #[test]
    fn members_add_but_only_administrators_remove_and_change() {
        let policy = Policy::conversation(user("admin"));
        let members_after = vec![user("admin"), user("member")];
        let adds = CommitFacts {
            added: vec![user("x")],
            members_after: members_after.clone(),
            ..Default::default()
        };
        let removes = CommitFacts {
            removed: vec![user("x")],
            members_after: members_after.clone(),
            ..Default::default()
        };
        let new_policy = Some(Policy::conversation(user("member")));
        let changes = CommitFacts { new_policy, members_after, ..Default::default() };
        assert_eq!(policy.judge(&user("member"), &adds), Ok(()));
        assert_eq!(policy.judge(&user("member"), &removes), Err(PolicyError::Remove));
        assert_eq!(policy.judge(&user("member"), &changes), Err(PolicyError::Change));
        for facts in [adds, removes, changes] {
            assert_eq!(policy.judge(&user("admin"), &facts), Ok(()));
        }
    }

    #[test]
    fn a_user_may_always_manage_his_own_devices() {
        let policy = Policy::announcements(user("admin"));
        let own = vec![user("member")];
        let facts =
            CommitFacts { added: own.clone(), removed: own.clone(), members_after: own, new_policy: None };
        assert_eq!(policy.judge(&user("member"), &facts), Ok(()));
    }

    #[test]
    fn a_personal_group_never_takes_anybody_else_and_never_changes() {
        let policy = Policy::personal(user("owner"));
        assert_eq!(Policy::decode(&policy.encode()), Ok(policy.clone()));
        let members_after = vec![user("owner"), user("x")];
        let adds = CommitFacts {
            added: vec![user("x")],
            members_after: members_after.clone(),
            ..Default::default()
        };
        assert_eq!(policy.judge(&user("owner"), &adds), Err(PolicyError::Add));
        let own = CommitFacts {
            added: vec![user("owner")],
            members_after: vec![user("owner")],
            ..Default::default()
        };
        assert_eq!(policy.judge(&user("owner"), &own), Ok(()));
        let new_policy = Some(Policy::conversation(user("owner")));
        let changes = CommitFacts { new_policy, members_after: vec![user("owner")], ..Default::default() };
        assert_eq!(policy.judge(&user("owner"), &changes), Err(PolicyError::Change));
        let new_policy = Some(policy);
        let becomes = CommitFacts { new_policy, members_after: vec![user("owner")], ..Default::default() };
        assert_eq!(
            Policy::conversation(user("owner")).judge(&user("owner"), &becomes),
            Err(PolicyError::Change)
        );
        let two = GroupPolicy {
            administrators: vec![user("a").as_str().to_owned(), user("b").as_str().to_owned()],
            add: Permission::Administrators.into(),
            remove: Permission::Administrators.into(),
            post: Permission::Administrators.into(),
            personal: true,
        };
        assert_eq!(Policy::decode(&two.encode_to_vec()), Err(PolicyError::Malformed));
    }

    #[test]
    fn a_policy_change_leaves_an_administrator_who_stays() {
        let policy = Policy::conversation(user("admin"));
        let new_policy = Some(Policy::conversation(user("gone")));
        let facts = CommitFacts { new_policy, members_after: vec![user("admin")], ..Default::default() };
        assert_eq!(policy.judge(&user("admin"), &facts), Err(PolicyError::NoAdministrator));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic_and_what_is_read_is_complete(bytes in proptest::collection::vec(0_u8.., 0..120)) {
            if let Ok(policy) = Policy::decode(&bytes) {
                proptest::prop_assert!(!policy.administrators().is_empty());
                proptest::prop_assert_eq!(Policy::decode(&policy.encode()), Ok(policy));
            }
        }

        /// Whoever is no administrator changes nothing for others where only administrators may.
        #[test]
        fn a_member_never_does_for_others_what_administrators_only_may(
            added: bool, removed: bool, changed: bool,
        ) {
            let policy = Policy::announcements(user("admin"));
            let members_after = vec![user("admin"), user("member")];
            let facts = CommitFacts {
                added: if added { vec![user("x")] } else { Vec::new() },
                removed: if removed { vec![user("x")] } else { Vec::new() },
                new_policy: changed.then(|| Policy::conversation(user("member"))),
                members_after,
            };
            let allowed = policy.judge(&user("member"), &facts).is_ok();
            proptest::prop_assert_eq!(allowed, !(added || removed || changed));
            proptest::prop_assert!(policy.judge(&user("admin"), &facts).is_ok() || changed);
        }
    }
}
