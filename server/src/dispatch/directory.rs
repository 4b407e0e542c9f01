//! The directory's requests and answers: frames to filters and cards, entries to frames. Called by `request`,
//! `reply` and the dispatch.

use cercle_proto::{
    ErrorCode,
    id::{GroupId, TimestampMs, UserId, to_hex},
    v1::{self, directory_entry, directory_search::Membership, update_card::What},
};

use super::{Dispatch, reply::Reply};
use crate::{
    auth::Identity,
    directory::{
        Hit, Page,
        card::{Card, Inbox, Period, QuietHours},
        entry::{Activity, Coded, Kind},
        rule::Rule,
        search::{Facet, Filter},
    },
    error::Refusal,
    membership::Due,
};

/// What a device asks of the directory.
#[derive(Debug)]
#[expect(missing_docs, reason = "each variant is the frame of the same name, whose .proto is the reference")]
pub enum DirectoryCall {
    Search(Box<Filter>),
    Get(String),
    UpdateCard(Box<Card>),
    UpdateInbox(Box<Inbox>),
    SetGroupRule { group: GroupId, rule: Option<Box<Rule>> },
    GetGroupRules(Option<GroupId>),
}

impl DirectoryCall {
    /// Name for metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Search(_) => "directory_search",
            Self::Get(_) => "directory_get",
            Self::UpdateCard(_) | Self::UpdateInbox(_) => "update_card",
            Self::SetGroupRule { .. } => "set_group_rule",
            Self::GetGroupRules(_) => "get_group_rules",
        }
    }
}

impl Dispatch {
    /// Carries one out.
    pub(super) async fn about_directory(
        &self,
        by: &Identity,
        call: DirectoryCall,
        now: TimestampMs,
    ) -> Result<Reply, Refusal> {
        let (directory, rules) = (&self.directory, self.group_rules());
        Ok(match call {
            DirectoryCall::Search(filter) => {
                Reply::DirectoryPage(Box::new(directory.search(by, *filter, now).await?))
            }
            DirectoryCall::Get(key) => Reply::DirectoryEntry(Box::new(directory.get(by, &key, now).await?)),
            DirectoryCall::UpdateCard(card) => {
                Reply::DirectoryEntry(Box::new(directory.update_card(by, *card, now).await?))
            }
            DirectoryCall::UpdateInbox(inbox) => match directory.update_inbox(by, *inbox, now).await? {
                Some(hit) => Reply::DirectoryEntry(Box::new(hit)),
                None => Reply::Done,
            },
            DirectoryCall::SetGroupRule { group, rule } => {
                let due = rules.set(by, group, rule.map(|rule| *rule), now).await?;
                Reply::GroupRules(due.into_iter().collect())
            }
            DirectoryCall::GetGroupRules(group) => Reply::GroupRules(rules.of(by, group, now).await?),
        })
    }
}

/// A search as the directory takes it.
pub(super) fn search(search: v1::DirectorySearch) -> Result<DirectoryCall, Refusal> {
    let wrong = |message: &'static str| move |_| Refusal::new(ErrorCode::InvalidField, message);
    let membership =
        Membership::try_from(search.membership).map_err(wrong("membership is not known to this hub"))?;
    let kind =
        directory_entry::Kind::try_from(search.kind).map_err(wrong("kind is not known to this hub"))?;
    Ok(DirectoryCall::Search(Box::new(Filter {
        text: search.text,
        professions: search.professions,
        skills: search.skills,
        structure: search.structure,
        communes: search.communes,
        radius_km: search.radius_km,
        accepting: search.accepting,
        on_duty: search.on_duty,
        member: match membership {
            Membership::Any => None,
            Membership::Members => Some(true),
            Membership::Others => Some(false),
        },
        kind: match kind {
            directory_entry::Kind::Unspecified => None,
            directory_entry::Kind::Professional => Some(Kind::Professional),
            directory_entry::Kind::Structure => Some(Kind::Structure),
            directory_entry::Kind::Inbox => Some(Kind::Inbox),
        },
        offset: search.offset as usize,
        limit: search.limit as usize,
        facets: search.facets,
    })))
}

/// A change of a card or an inbox.
pub(super) fn update(update: v1::UpdateCard) -> Result<DirectoryCall, Refusal> {
    match update.what {
        Some(What::Card(card)) => Ok(DirectoryCall::UpdateCard(Box::new(read_card(card)))),
        Some(What::Inbox(inbox)) if inbox.id.len() == 16 => Ok(DirectoryCall::UpdateInbox(Box::new(Inbox {
            key: format!("inbox:{}", to_hex(&inbox.id)),
            name: inbox.name,
            users: inbox.users,
            commune: inbox.commune,
        }))),
        Some(What::Inbox(_)) => Err(Refusal::new(ErrorCode::InvalidField, "inbox.id must be 16 bytes")),
        None => Err(Refusal::new(ErrorCode::InvalidField, "the card is missing")),
    }
}

/// A rule, or its end.
pub(super) fn set_rule(set: v1::SetGroupRule) -> Result<DirectoryCall, Refusal> {
    let rule = set.rule.map(|set| Box::new(rule(set)));
    Ok(DirectoryCall::SetGroupRule { group: GroupId::try_from(&set.group)?, rule })
}

/// A rule as the directory takes it.
pub(super) fn rule(rule: v1::GroupRule) -> Rule {
    let v1::GroupRule { professions, communes, structures, skills, tags } = rule;
    Rule { professions, communes, structures, skills, tags }
}

/// A question about rules.
pub(super) fn get_rules(get: &v1::GetGroupRules) -> Result<DirectoryCall, Refusal> {
    let group = if get.group.is_empty() { None } else { Some(GroupId::try_from(&get.group)?) };
    Ok(DirectoryCall::GetGroupRules(group))
}

/// Rules as the wire has them.
pub(super) fn rules(groups: &[Due]) -> v1::GroupRules {
    v1::GroupRules { groups: groups.iter().map(due).collect() }
}

/// What is due as the wire has it.
pub(super) fn due(due: &Due) -> v1::MembershipDue {
    let Rule { professions, communes, structures, skills, tags } = due.rule.clone();
    let users = |users: &[UserId]| users.iter().map(|user| user.as_str().to_owned()).collect();
    v1::MembershipDue {
        group: due.group.to_bytes(),
        rule: Some(v1::GroupRule { professions, communes, structures, skills, tags }),
        add: users(&due.add),
        remove: users(&due.remove),
    }
}

fn read_card(card: v1::Card) -> Card {
    let hours = |hours: v1::QuietHours| QuietHours {
        weekdays: hours.weekdays,
        from_minute: hours.from_minute,
        to_minute: hours.to_minute,
    };
    let period = |period: v1::DutyPeriod| Period { from_ms: period.from_ms, to_ms: period.to_ms };
    Card {
        note: card.note,
        hide_phone: card.hide_phone,
        hide_street: card.hide_street,
        hide_mailboxes: card.hide_mailboxes,
        unlisted: card.unlisted,
        accepting_until_ms: card.accepting_until_ms,
        quiet_hours: card.quiet_hours.into_iter().map(hours).collect(),
        delegate: card.delegate,
        on_duty: card.on_duty.into_iter().map(period).collect(),
    }
}

/// A page as the wire has it.
pub(super) fn page(page: Page) -> v1::DirectoryPage {
    let facets = |facets: Vec<Facet>| {
        let facet = |Facet { code, label, count }| v1::DirectoryFacet { code, label, count };
        facets.into_iter().map(facet).collect()
    };
    v1::DirectoryPage {
        entries: page.hits.into_iter().map(hit).collect(),
        total: u32::try_from(page.total).unwrap_or(u32::MAX),
        professions: facets(page.professions),
        communes: facets(page.communes),
        imported_at_ms: page.imported_at_ms,
    }
}

/// An entry as the wire has it.
pub(super) fn hit(hit: Hit) -> v1::DirectoryEntry {
    let Hit { entry, users, card, accepting, on_duty, distance_km } = hit;
    let kind = match entry.kind {
        Kind::Professional => directory_entry::Kind::Professional,
        Kind::Structure => directory_entry::Kind::Structure,
        Kind::Inbox => directory_entry::Kind::Inbox,
    };
    v1::DirectoryEntry {
        key: entry.key,
        kind: kind.into(),
        title: entry.title,
        family: entry.family,
        given: entry.given,
        professions: entry.professions.into_iter().map(coded).collect(),
        skills: entry.skills.into_iter().map(coded).collect(),
        activities: entry.activities.into_iter().map(activity).collect(),
        mailboxes: entry.mailboxes,
        users,
        card: card.map(write_card),
        accepting,
        on_duty,
        distance_km,
    }
}

fn coded(Coded { code, label }: Coded) -> v1::Coded {
    v1::Coded { code, label }
}

fn activity(activity: Activity) -> v1::Activity {
    v1::Activity {
        structure: activity.structure,
        name: activity.name,
        mode: activity.mode,
        sector: Some(coded(activity.sector)).filter(|sector| *sector != v1::Coded::default()),
        street: activity.street,
        postal_code: activity.postal_code,
        commune: Some(coded(activity.commune)).filter(|commune| *commune != v1::Coded::default()),
        phone: activity.phone,
    }
}

fn write_card(card: Card) -> v1::Card {
    let hours = |hours: QuietHours| v1::QuietHours {
        weekdays: hours.weekdays,
        from_minute: hours.from_minute,
        to_minute: hours.to_minute,
    };
    let period = |period: Period| v1::DutyPeriod { from_ms: period.from_ms, to_ms: period.to_ms };
    v1::Card {
        note: card.note,
        hide_phone: card.hide_phone,
        hide_street: card.hide_street,
        hide_mailboxes: card.hide_mailboxes,
        unlisted: card.unlisted,
        accepting_until_ms: card.accepting_until_ms,
        quiet_hours: card.quiet_hours.into_iter().map(hours).collect(),
        delegate: card.delegate,
        on_duty: card.on_duty.into_iter().map(period).collect(),
    }
}
