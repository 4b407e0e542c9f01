//! Who no longer fits a group that follows the directory, and has not been removed yet: nothing new of the group is
//! given to devices of such a user until a member commits his removal, or he fits again.
//!
//! Kept by [`super::GroupRules`], asked by every session before it reads. Each entry is a file of the directory as
//! well, so that a hub that starts again gives out nothing in between; the file is there before the entry.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use cercle_proto::id::{GroupId, Seq, UserId};
use dashmap::DashMap;

/// Users of each group, and the last entry that each may have.
pub type WithheldUsers = BTreeMap<GroupId, BTreeMap<UserId, Seq>>;

/// Who is given nothing new. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Withheld(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    groups: DashMap<GroupId, BTreeMap<UserId, Seq>>,
    /// Groups in the map: sessions ask for every group that they read, and there are none almost always.
    count: AtomicUsize,
}

impl Withheld {
    /// The last entry that devices of this user may have; `None`: all.
    #[must_use]
    pub fn after(&self, group: GroupId, user: &UserId) -> Option<Seq> {
        if self.0.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.0.groups.get(&group).and_then(|users| users.get(user).copied())
    }

    /// Gives nothing after this entry to a user.
    pub fn withhold(&self, group: GroupId, user: UserId, after: Seq) {
        self.0.groups.entry(group).or_default().insert(user, after);
        self.0.count.store(self.0.groups.len(), Ordering::Release);
    }

    /// Gives a user everything again.
    pub fn release(&self, group: GroupId, user: &UserId) {
        self.0.groups.remove_if_mut(&group, |_, users| {
            users.remove(user);
            users.is_empty()
        });
        self.0.count.store(self.0.groups.len(), Ordering::Release);
    }

    /// Everybody who is given nothing new.
    #[must_use]
    pub fn all(&self) -> WithheldUsers {
        self.0.groups.iter().map(|users| (*users.key(), users.value().clone())).collect()
    }

    /// Those of these users who are not withheld from a group yet.
    #[must_use]
    pub fn not_yet<'a>(&self, group: GroupId, users: &'a BTreeSet<UserId>) -> Vec<&'a UserId> {
        users.iter().filter(|user| self.after(group, user).is_none()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_withheld_from_one_group_until_he_is_released() {
        let withheld = Withheld::default();
        let (one, other) = (GroupId::new([1; 16]), GroupId::new([2; 16]));
        let user = |name| UserId::new(name, "cpts.example").unwrap();
        assert_eq!(withheld.after(one, &user("anne")), None);
        withheld.withhold(one, user("anne"), 7);
        withheld.withhold(one, user("karim"), 9);
        assert_eq!(
            (withheld.after(one, &user("anne")), withheld.after(other, &user("anne"))),
            (Some(7), None)
        );
        withheld.release(one, &user("anne"));
        assert_eq!(
            (withheld.after(one, &user("anne")), withheld.after(one, &user("karim"))),
            (None, Some(9))
        );
        withheld.release(one, &user("karim"));
        assert!(withheld.all().is_empty() && withheld.after(one, &user("karim")).is_none());
    }
}
