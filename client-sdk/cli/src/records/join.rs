//! Records of groups that can be asked for.

use cercle_proto::id::to_hex;
use cercle_sdk::joining::{JoinDeclined, JoinRequest, ListedGroup};
use serde::Serialize;

/// A listed group.
#[derive(Debug, Serialize)]
pub(crate) struct ListedGroupRecord<'a> {
    group: String,
    title: &'a str,
    about: &'a str,
    member: bool,
    asked_at_ms: u64,
    declined_at_ms: u64,
    decline_reason: &'a str,
}

/// Somebody who wants to join a group.
#[derive(Debug, Serialize)]
pub(crate) struct JoinRequestRecord<'a> {
    group: String,
    user: &'a str,
    display_name: &'a str,
    profession: &'a str,
    asked_at_ms: u64,
}

/// A request of one's own that was declined.
#[derive(Debug, Serialize)]
pub(crate) struct RequestDeclinedRecord<'a> {
    group: String,
    title: &'a str,
    reason: &'a str,
    declined_at_ms: u64,
}

impl<'a> RequestDeclinedRecord<'a> {
    pub(crate) fn new(declined: &'a JoinDeclined) -> Self {
        let JoinDeclined { group, title, reason, declined_at_ms } = declined;
        Self { group: to_hex(group), title, reason, declined_at_ms: *declined_at_ms }
    }
}

impl<'a> ListedGroupRecord<'a> {
    pub(crate) fn new(group: &'a ListedGroup) -> Self {
        let listing = group.listing.as_ref();
        Self {
            group: to_hex(&group.group),
            title: listing.map_or("", |listing| &listing.title),
            about: listing.map_or("", |listing| &listing.about),
            member: group.member,
            asked_at_ms: group.asked_at_ms,
            declined_at_ms: group.declined_at_ms,
            decline_reason: &group.decline_reason,
        }
    }
}

impl<'a> JoinRequestRecord<'a> {
    pub(crate) fn new(request: &'a JoinRequest) -> Self {
        Self {
            group: to_hex(&request.group),
            user: &request.user,
            display_name: &request.display_name,
            profession: &request.profession,
            asked_at_ms: request.asked_at_ms,
        }
    }
}
