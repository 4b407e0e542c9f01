//! `cercle thread`, `read`, `search`: what messages add up to.

use cercle_proto::id::{MessageId, UserId};
use cercle_sdk::{
    core::Member,
    search::Search,
    thread::view::{MessageView, Range, ThreadView},
};

use super::{devices, find_group};
use crate::{
    context::Context,
    exit::Exit,
    failure::Failure,
    language::Text,
    moment,
    records::{
        Record,
        talk::{HitRecord, ThreadMessageRecord, ThreadRecord},
    },
};

pub(crate) async fn show(context: &Context<'_>, name: &str, last: usize) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    context.online_if_possible(&enrolled).await?;
    let group = find_group(context, &enrolled, name).await?;
    let members = enrolled.client.members(group.group).await.unwrap_or_default();
    let thread = enrolled.client.thread(group.group, Range::newest(last)).await?;
    context.output.result(&Record::Thread(ThreadRecord::new(&thread)), &header(&thread));
    let changes = enrolled.client.device_entries(group.group).await?;
    // A thread that begins in the middle begins with its first message.
    let begins = if thread.messages.len() < last { None } else { thread.messages.first() };
    let begins = begins.map_or(0, |view| view.message.seq);
    let mut changes = changes.iter().filter(|entry| entry.seq >= begins).peekable();
    for view in &thread.messages {
        while let Some(entry) = changes.next_if(|entry| entry.seq < view.message.seq) {
            devices::show_in_thread(context, &group, entry);
        }
        let record = ThreadMessageRecord::new(&thread.profile.title, view, context.output.language());
        context.output.result(&Record::ThreadMessage(record), &line(view, &thread, &members));
    }
    for entry in changes {
        devices::show_in_thread(context, &group, entry);
    }
    for (user, place) in &thread.read {
        let (name, up_to) = (name_of(user, &members), place.up_to);
        context
            .output
            .say(&text!("       — {name} a lu jusqu'à {up_to}"; "       — {name} has read up to {up_to}"));
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

pub(crate) async fn read(context: &Context<'_>, name: &str) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    context.online_if_possible(&enrolled).await?;
    let group = find_group(context, &enrolled, name).await?;
    let before = enrolled.client.thread(group.group, Range::newest(1)).await?.unread;
    enrolled.client.mark_read(group.group, group.cursor).await?;
    let (messages, mentions, title) = (before.messages, before.mentions, &group.profile.title);
    context.output.result(
        &Record::Read { group: group.group.to_hex(), up_to: group.cursor, messages, mentions },
        &text!(
            "« {title} » : {messages} message(s) marqué(s) comme lu(s).";
            "\"{title}\": {messages} message(s) marked as read."
        ),
    );
    enrolled.close().await;
    Ok(Exit::Done)
}

pub(crate) async fn draft(context: &Context<'_>, name: &str, text: Option<&str>) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    context.online_if_possible(&enrolled).await?;
    let group = find_group(context, &enrolled, name).await?;
    if let Some(text) = text {
        enrolled.client.set_draft(group.group, text).await?;
    }
    let text = enrolled.client.draft(group.group).await?;
    let sentence = if text.is_empty() {
        text!("Pas de brouillon."; "No draft.")
    } else {
        text!("Brouillon : {text}"; "Draft: {text}")
    };
    context.output.result(&Record::ThreadDraft { group: group.group.to_hex(), text: &text }, &sentence);
    enrolled.close().await;
    Ok(Exit::Done)
}

pub(crate) async fn search(
    context: &Context<'_>,
    words: &str,
    group: Option<&str>,
    limit: usize,
) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    // What this device has is searched: a search does not wait for the network.
    let group = match group {
        Some(name) => Some(find_group(context, &enrolled, name).await?.group),
        None => None,
    };
    let language = context.output.language();
    let search = Search { words: words.to_owned(), group, limit, language };
    let hits = enrolled.client.search(search).await?;
    let groups = enrolled.client.groups().await?;
    for hit in &hits {
        let summary = groups.iter().find(|group| group.group == hit.message.group);
        let title = summary.map_or("", |group| &group.profile.title);
        let (at, name, seq) = (moment::time(hit.message.at_ms), &hit.message.display_name, hit.message.seq);
        let snippet = &hit.snippet;
        let sentence = text!(
            "{at}  [{title}:{seq}] {name} : {snippet}";
            "{at}  [{title}:{seq}] {name}: {snippet}"
        );
        context.output.result(&Record::Hit(HitRecord::new(title, hit, language)), &sentence);
    }
    if hits.is_empty() {
        context.output.note(&text!("Aucun message ne correspond."; "No message matches."));
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

/// The name of a member, else his id.
pub(crate) fn name_of(user: &UserId, members: &[Member]) -> String {
    let member = members.iter().find(|member| member.user == *user);
    member.map_or_else(|| user.as_str().to_owned(), |member| member.display_name.clone())
}

fn header(thread: &ThreadView) -> Text {
    let (title, unread) = (&thread.profile.title, thread.unread.messages);
    let (fr, en) = if thread.profile.read_receipts {
        ("avec accusés de lecture", "with read receipts")
    } else {
        ("sans accusé de lecture", "without read receipts")
    };
    let newcomers = super::history::clause(thread.profile.history);
    let (newcomers_fr, newcomers_en) = (newcomers.fr, newcomers.en);
    text!(
        "« {title} », {fr}, {newcomers_fr}, {unread} non lu(s)";
        "\"{title}\", {en}, {newcomers_en}, {unread} unread"
    )
}

fn line(view: &MessageView, thread: &ThreadView, members: &[Member]) -> Text {
    let message = &view.message;
    let (seq, at, name) = (message.seq, moment::time(message.at_ms), &message.display_name);
    let pin = if view.pinned { " 📌" } else { "" };
    let reactions: String =
        view.reactions.iter().map(|one| format!("  {} {}", one.emoji, one.users.len())).collect();
    let answers = message.in_reply_to.and_then(|id| place_of(id, thread));
    let answers = answers.map_or_else(String::new, |seq| format!(" ↪ {seq}"));
    if let Some(retraction) = &view.retracted {
        let by = name_of(&retraction.by, members);
        let reason =
            if retraction.reason.is_empty() { String::new() } else { format!(" ({})", retraction.reason) };
        return text!(
            "{seq:>5}  {at}  {name} : — message retiré par {by}{reason} —";
            "{seq:>5}  {at}  {name}: — message withdrawn by {by}{reason} —"
        );
    }
    let (fr, en) = if view.edited_at_ms.is_some() { (" (modifié)", " (edited)") } else { ("", "") };
    let french = message.body.render(crate::language::Language::French);
    let english = message.body.render(crate::language::Language::English);
    text!(
        "{seq:>5}  {at}  {name}{answers} : {french}{fr}{reactions}{pin}";
        "{seq:>5}  {at}  {name}{answers}: {english}{en}{reactions}{pin}"
    )
}

fn place_of(message: MessageId, thread: &ThreadView) -> Option<u64> {
    thread.messages.iter().find(|view| view.message.id == message).map(|view| view.message.seq)
}
