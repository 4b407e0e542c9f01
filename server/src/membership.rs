//! Groups that follow the directory: compares who is in a group with its rule, and tells devices of its
//! administrators who is to be added and removed. The hub has no keys: they commit it.
//!
//! Who no longer fits is given nothing new of the group at once ([`withheld`]), whether or not a member is there to
//! commit.
//!
//! Called by the dispatch for the requests, and every few seconds by the server ([`GroupRules::look`]), so that an
//! import, a card, a local entry, an enrolment or a commit leads to what is due. A member who does not fit leaves
//! the group, except its administrators; a relative fits no rule.

pub mod withheld;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use cercle_proto::{
    ErrorCode,
    id::{GroupId, TimestampMs, UserId},
};

use crate::{
    auth::Identity,
    delivery::{self, Delivery, Standing},
    directory::{self, Directory, Fitting, rule::Rule},
    fanout::Fanout,
    limits,
};

/// Who is to be added to a group and removed from it.
#[derive(Clone, PartialEq, Eq)]
pub struct Due {
    /// The group.
    pub group: GroupId,
    /// Its rule.
    pub rule: Rule,
    /// Users to add, at most [`limits::MEMBERSHIP_DUE_MAX`].
    pub add: Vec<UserId>,
    /// Users to remove, as many at most.
    pub remove: Vec<UserId>,
}

impl std::fmt::Debug for Due {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("Due");
        out.field("add", &self.add.len()).field("remove", &self.remove.len()).finish_non_exhaustive()
    }
}

/// A group with its rule, compared.
struct Compared {
    due: Due,
    /// Everybody who does not fit, also beyond the bound of what is due.
    leaving: BTreeSet<UserId>,
    standing: Standing,
}

/// Why a rule cannot be set or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only an administrator of the group may.
    #[error("only an administrator of the group may set or see its rule")]
    NotAdministrator,
    /// As many groups as the hub compares have a rule.
    #[error("the hub keeps rules of 200 groups at most")]
    TooMany,
    /// The directory.
    #[error(transparent)]
    Directory(#[from] directory::Error),
    /// The delivery service.
    #[error(transparent)]
    Delivery(#[from] delivery::Error),
}

/// What administrators were told of each group, and when.
#[derive(Debug, Clone, Default)]
pub struct Told(Arc<Mutex<HashMap<GroupId, (Due, TimestampMs)>>>);

/// The service, over those that it brings together.
#[derive(Debug)]
pub struct GroupRules<'a> {
    /// Rules, and whom they name.
    pub directory: &'a Directory,
    /// Who is in the groups.
    pub delivery: &'a Delivery,
    /// Sessions of administrators.
    pub fanout: &'a Fanout,
}

impl GroupRules<'_> {
    /// Sets the rule of a group, or lets it go; returns what is due by it.
    ///
    /// # Errors
    /// [`Error::NotAdministrator`], a rule out of bounds, too many rules, or a failure of store or files.
    pub async fn set(
        &self,
        by: &Identity,
        group: GroupId,
        rule: Option<Rule>,
        now: TimestampMs,
    ) -> Result<Option<Due>, Error> {
        let standing = self.standing(by, group).await?;
        let rules = self.directory.rules().await?;
        if rule.is_some() && !rules.contains_key(&group) && rules.len() >= limits::GROUP_RULES_MAX {
            return Err(Error::TooMany);
        }
        self.directory.put_rule(group, rule.clone()).await?;
        self.directory.told().forget(group);
        let Some(rule) = rule else { return Ok(None) };
        let fitting = self.directory.fitting(vec![rule.clone()], now).await?;
        let due = fitting.iter().map(|fitting| due(group, rule.clone(), fitting, &standing)).next();
        // The other administrators hear of it as well.
        self.look(now).await?;
        Ok(due)
    }

    /// Rules and what is due by them: of one group, or of all that the user administers.
    ///
    /// # Errors
    /// [`Error::NotAdministrator`] of the one group, or a failure of store or files.
    pub async fn of(
        &self,
        by: &Identity,
        group: Option<GroupId>,
        now: TimestampMs,
    ) -> Result<Vec<Due>, Error> {
        if let Some(group) = group {
            self.standing(by, group).await?;
        }
        let mut rules = self.directory.rules().await?;
        rules.retain(|known, _| group.is_none_or(|group| group == *known));
        let all = self.all(rules, now).await?;
        let own = all.into_iter().filter(|compared| compared.standing.is_administrator(by.device));
        Ok(own.map(|compared| compared.due).collect())
    }

    /// Compares every group that has a rule with the directory, and tells administrators what has changed, or has
    /// been due for long.
    ///
    /// # Errors
    /// When store or files fail.
    pub async fn look(&self, now: TimestampMs) -> Result<(), Error> {
        let rules = self.directory.rules().await?;
        if rules.is_empty() && self.directory.withheld().all().is_empty() {
            return Ok(());
        }
        let all = self.all(rules, now).await?;
        let leaving = all.iter().map(|compared| (compared.due.group, compared.leaving.clone())).collect();
        self.withhold(&leaving).await?;
        for Compared { due, standing, .. } in all {
            if self.directory.told().is_news(&due, now) {
                let due = Arc::new(due);
                standing.administrators().for_each(|device| self.fanout.membership_due(device, &due));
            }
        }
        Ok(())
    }

    async fn all(&self, rules: BTreeMap<GroupId, Rule>, now: TimestampMs) -> Result<Vec<Compared>, Error> {
        if rules.is_empty() {
            return Ok(Vec::new());
        }
        let fitting = self.directory.fitting(rules.values().cloned().collect(), now).await?;
        let mut all = Vec::new();
        for ((group, rule), fitting) in rules.into_iter().zip(fitting) {
            match self.delivery.standing(group).await {
                Ok(standing) => {
                    let leaving = leaving(&fitting, &standing);
                    all.push(Compared { due: due(group, rule, &fitting, &standing), leaving, standing });
                }
                // A group that is gone has nobody to tell.
                Err(delivery::Error::GroupUnknown) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(all)
    }

    /// Withholds what comes from those who no longer fit, gives it to those who fit again, and lets those go who
    /// were removed: nothing that was withheld is given to them.
    async fn withhold(&self, leaving: &BTreeMap<GroupId, BTreeSet<UserId>>) -> Result<(), Error> {
        let withheld = self.directory.withheld();
        for (group, users) in leaving {
            let fresh = withheld.not_yet(*group, users);
            if fresh.is_empty() {
                continue;
            }
            let head = self.delivery.head(*group).await?;
            for user in fresh {
                self.directory.put_withheld(*group, user.clone(), Some(head)).await?;
                withheld.withhold(*group, user.clone(), head);
            }
        }
        for (group, users) in withheld.all() {
            for user in users.into_keys() {
                if leaving.get(&group).is_some_and(|leaving| leaving.contains(&user)) {
                    continue;
                }
                let removed = self.delivery.let_go(group, &user).await?;
                withheld.release(group, &user);
                self.directory.put_withheld(group, user, None).await?;
                // They find the group gone when they come back.
                removed
                    .into_iter()
                    .for_each(|device| self.fanout.end_session(device, ErrorCode::Unavailable));
                // Whoever fits again reads on from his cursor.
                self.fanout.appended(group, Vec::new());
            }
        }
        Ok(())
    }

    async fn standing(&self, by: &Identity, group: GroupId) -> Result<Standing, Error> {
        match self.delivery.standing(group).await {
            Ok(standing) if standing.is_administrator(by.device) => Ok(standing),
            // Who is not in the group does not learn whether there is one.
            Ok(_) | Err(delivery::Error::GroupUnknown) => Err(Error::NotAdministrator),
            Err(error) => Err(error.into()),
        }
    }
}

impl Told {
    /// Whether this is not what was told last, or was told long ago and is still due; notes it as told.
    fn is_news(&self, due: &Due, now: TimestampMs) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if due.add.is_empty() && due.remove.is_empty() {
            told.remove(&due.group);
            return false;
        }
        match told.get(&due.group) {
            Some((known, at)) if known == due && now < at + limits::MEMBERSHIP_REPEAT_MS => false,
            _ => {
                told.insert(due.group, (due.clone(), now));
                true
            }
        }
    }

    fn forget(&self, group: GroupId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&group);
    }
}

fn due(group: GroupId, rule: Rule, fitting: &Fitting, standing: &Standing) -> Due {
    let first = |users: BTreeSet<UserId>| users.into_iter().take(limits::MEMBERSHIP_DUE_MAX).collect();
    let add = fitting.listed.difference(&standing.users()).cloned().collect();
    Due { group, rule, add: first(add), remove: first(leaving(fitting, standing)) }
}

/// Who is in the group, does not administer it, and does not fit.
fn leaving(fitting: &Fitting, standing: &Standing) -> BTreeSet<UserId> {
    let mut leaving = standing.others();
    leaving.retain(|user| !fitting.listed.contains(user) && !fitting.hidden.contains(user));
    leaving
}
