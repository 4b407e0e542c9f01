//! Records of conversation: threads, messages as they are by now, hits of a search.

use cercle_proto::id::{MessageId, UserId};
use cercle_sdk::{
    message::{HistoryPolicy, Language, ThreadKind},
    search::Hit,
    thread::{
        chat::{Place, Reactions},
        view::{MessageView, ThreadView},
    },
};
use serde::Serialize;

use super::MessageRecord;

#[derive(Debug, Serialize)]
pub(crate) struct ThreadRecord<'a> {
    group: String,
    title: &'a str,
    topic: &'a str,
    kind: ThreadKind,
    communes: &'a [String],
    professions: &'a [String],
    structure: &'a str,
    read_receipts: bool,
    /// What a newcomer reads of before.
    history: HistoryPolicy,
    unread: u64,
    mentions: u64,
    read_up_to: u64,
    pinned: Vec<String>,
    /// How far each user who tells has read.
    read: Vec<PlaceRecord<'a>>,
}

#[derive(Debug, Serialize)]
struct PlaceRecord<'a> {
    user: &'a str,
    up_to: u64,
    at_ms: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct ThreadMessageRecord<'a> {
    #[serde(flatten)]
    message: MessageRecord<'a>,
    edited_at_ms: Option<u64>,
    retracted: Option<RetractionRecord<'a>>,
    reactions: Vec<ReactionRecord<'a>>,
    replies: Vec<String>,
    pinned: bool,
}

#[derive(Debug, Serialize)]
struct RetractionRecord<'a> {
    by: &'a str,
    at_ms: u64,
    reason: &'a str,
}

#[derive(Debug, Serialize)]
struct ReactionRecord<'a> {
    emoji: &'a str,
    users: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct HitRecord<'a> {
    #[serde(flatten)]
    message: MessageRecord<'a>,
    snippet: &'a str,
    /// First byte and the byte after the last of each word that fits, in `snippet`.
    marks: Vec<(usize, usize)>,
}

impl<'a> ThreadRecord<'a> {
    pub(crate) fn new(thread: &'a ThreadView) -> Self {
        let profile = &thread.profile;
        let place = |(user, place): &'a (UserId, Place)| PlaceRecord {
            user: user.as_str(),
            up_to: place.up_to,
            at_ms: place.at_ms,
        };
        Self {
            group: thread.group.to_hex(),
            title: &profile.title,
            topic: &profile.topic,
            kind: profile.thread,
            communes: &profile.communes,
            professions: &profile.professions,
            structure: &profile.structure,
            read_receipts: profile.read_receipts,
            history: profile.history,
            unread: thread.unread.messages,
            mentions: thread.unread.mentions,
            read_up_to: thread.unread.read_up_to,
            pinned: thread.pinned.iter().copied().map(MessageId::to_hex).collect(),
            read: thread.read.iter().map(place).collect(),
        }
    }
}

impl<'a> ThreadMessageRecord<'a> {
    pub(crate) fn new(title: &'a str, view: &'a MessageView, language: Language) -> Self {
        let reaction = |one: &'a Reactions| ReactionRecord {
            emoji: &one.emoji,
            users: one.users.iter().map(UserId::as_str).collect(),
        };
        let retracted = view.retracted.as_ref().map(|retraction| RetractionRecord {
            by: retraction.by.as_str(),
            at_ms: retraction.at_ms,
            reason: &retraction.reason,
        });
        Self {
            message: MessageRecord::new(title, &view.message, language),
            edited_at_ms: view.edited_at_ms,
            retracted,
            reactions: view.reactions.iter().map(reaction).collect(),
            replies: view.replies.iter().copied().map(MessageId::to_hex).collect(),
            pinned: view.pinned,
        }
    }
}

impl<'a> HitRecord<'a> {
    pub(crate) fn new(title: &'a str, hit: &'a Hit, language: Language) -> Self {
        Self {
            message: MessageRecord::new(title, &hit.message, language),
            snippet: &hit.snippet,
            marks: hit.marks.iter().map(|mark| (mark.start, mark.end)).collect(),
        }
    }
}
