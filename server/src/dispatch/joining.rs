//! Requests and answers about groups that can be asked for: frames to calls, results to frames.

use cercle_proto::{
    id::{GroupId, TimestampMs, UserId},
    v1::{self, client_frame::Body},
};

use super::{Dispatch, reply::Reply};
use crate::{
    auth::Identity,
    directory::listing::Listing,
    error::Refusal,
    joining::{Declined, Listed, Request},
};

/// What a device asks about joining.
#[derive(Debug)]
#[expect(missing_docs, reason = "each variant is the frame of the same name, whose .proto is the reference")]
pub enum JoinCall {
    Publish { group: GroupId, listing: Option<Listing> },
    Find(String),
    Ask { group: GroupId, withdraw: bool },
    Pending(Option<GroupId>),
    Decline { group: GroupId, user: UserId, reason: String },
}

impl JoinCall {
    /// Name for metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Publish { .. } => "publish_group",
            Self::Find(_) => "find_groups",
            Self::Ask { .. } => "ask_to_join",
            Self::Pending(_) => "get_join_requests",
            Self::Decline { .. } => "decline_join",
        }
    }
}

impl Dispatch {
    /// Carries one out.
    pub(super) async fn about_joining(
        &self,
        by: &Identity,
        call: JoinCall,
        now: TimestampMs,
    ) -> Result<Reply, Refusal> {
        let joining = self.joining();
        match call {
            JoinCall::Publish { group, listing } => joining.publish(by, group, listing).await?,
            JoinCall::Find(text) => return Ok(Reply::ListedGroups(joining.find(by, &text, now).await?)),
            JoinCall::Ask { group, withdraw } => joining.ask(by, group, withdraw, now).await?,
            JoinCall::Pending(group) => return Ok(Reply::JoinRequests(joining.pending(by, group).await?)),
            JoinCall::Decline { group, user, reason } => {
                joining.decline(by, group, user, reason, now).await?
            }
        }
        Ok(Reply::Done)
    }
}

/// A frame about joining.
pub(super) fn call(body: Body) -> Result<JoinCall, Refusal> {
    Ok(match body {
        Body::PublishGroup(v1::PublishGroup { group, listing }) => {
            let listing = listing.map(|v1::GroupListing { title, about }| Listing { title, about });
            JoinCall::Publish { group: GroupId::try_from(&group)?, listing }
        }
        Body::FindGroups(v1::FindGroups { text }) => JoinCall::Find(text),
        Body::AskToJoin(v1::AskToJoin { group, withdraw }) => {
            JoinCall::Ask { group: GroupId::try_from(&group)?, withdraw }
        }
        Body::GetJoinRequests(v1::GetJoinRequests { group }) => {
            let group = if group.is_empty() { None } else { Some(GroupId::try_from(&group)?) };
            JoinCall::Pending(group)
        }
        Body::DeclineJoin(v1::DeclineJoin { group, user, reason }) => {
            JoinCall::Decline { group: GroupId::try_from(&group)?, user: UserId::parse(&user)?, reason }
        }
        _ => return Err(Refusal::of(cercle_proto::ErrorCode::UnknownRequest)),
    })
}

/// Listed groups as the wire has them.
pub(super) fn listed(groups: Vec<Listed>) -> v1::ListedGroups {
    let listed = |Listed { group, listing: Listing { title, about }, member, join }: Listed| {
        let join = join.unwrap_or_default();
        v1::ListedGroup {
            group: group.to_bytes(),
            listing: Some(v1::GroupListing { title, about }),
            member,
            asked_at_ms: join.asked_at_ms,
            declined_at_ms: join.declined_at_ms,
            decline_reason: join.reason,
        }
    };
    v1::ListedGroups { groups: groups.into_iter().map(listed).collect() }
}

/// A declined request as the wire has it.
pub(super) fn declined(declined: &Declined) -> v1::JoinDeclined {
    v1::JoinDeclined {
        group: declined.group.to_bytes(),
        title: declined.title.clone(),
        reason: declined.reason.clone(),
        declined_at_ms: declined.declined_at,
    }
}

/// Requests to join as the wire has them.
pub(super) fn requests(requests: &[Request]) -> v1::JoinRequests {
    let request = |request: &Request| v1::JoinRequest {
        group: request.group.to_bytes(),
        user: request.user.as_str().to_owned(),
        display_name: request.display_name.clone(),
        profession: request.profession.clone(),
        asked_at_ms: request.asked_at,
    };
    v1::JoinRequests { requests: requests.iter().map(request).collect() }
}
