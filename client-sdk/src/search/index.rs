//! Words to messages: an inverted index in memory.
//!
//! Folded words in order, so that a beginning is a range of them, each with the messages that have it in the
//! order in which they were taken. An edited message is taken again and its older entry is dead; a withdrawn
//! one is dead. When half of the entries are dead the index is emptied and made again.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Bound,
};

use cercle_proto::id::{GroupId, MessageId, Seq, TimestampMs};

use super::fold;
use crate::{
    event::Message,
    message::{Body, Language},
    thread::chat::Effect,
};

/// Dead entries below this many are not worth making the index again.
const DEAD_MIN: usize = 1_000;

/// The index.
#[derive(Default)]
pub(crate) struct Index {
    words: BTreeMap<Box<str>, Vec<u32>>,
    entries: Vec<Entry>,
    newest: HashMap<(GroupId, MessageId), u32>,
    /// Groups whose messages are in it.
    groups: HashSet<GroupId>,
    dead: usize,
}

/// A text of a message.
struct Entry {
    place: Found,
    at_ms: TimestampMs,
    alive: bool,
}

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) group: GroupId,
    pub(crate) seq: Seq,
    pub(crate) id: MessageId,
}

impl Index {
    /// Whether the messages of a group are in it.
    pub(crate) fn has(&self, group: GroupId) -> bool {
        self.groups.contains(&group)
    }

    /// The messages of this group are about to be taken, all of them.
    pub(crate) fn begin(&mut self, group: GroupId) {
        if self.dead > DEAD_MIN.max(self.entries.len() / 2) {
            *self = Self::default();
        }
        self.groups.insert(group);
    }

    /// Takes the next message of a group, if the group is in the index.
    pub(crate) fn take(&mut self, message: &Message, effect: Effect) {
        if !self.has(message.group) {
            return;
        }
        let group = message.group;
        match (effect, &message.body) {
            (Effect::Added, body) => {
                let place = Found { group, seq: message.seq, id: message.id };
                self.insert(place, message.at_ms, body);
            }
            (Effect::Edited(target), Body::Edit(edit)) => {
                if let Some((place, at_ms)) = self.kill(group, target) {
                    self.insert(place, at_ms, &Body::Text(edit.text.clone()));
                }
            }
            (Effect::Removed(target), _) => {
                self.kill(group, target);
            }
            (Effect::Edited(_) | Effect::Nothing, _) => {}
        }
    }

    /// Forgets the messages of a group.
    pub(crate) fn forget(&mut self, group: GroupId) {
        if self.groups.remove(&group) {
            for entry in self.entries.iter_mut().filter(|entry| entry.alive && entry.place.group == group) {
                entry.alive = false;
                self.dead += 1;
            }
            self.newest.retain(|(of, _), _| *of != group);
        }
    }

    /// Messages that have every word or a word that begins so: first those with more of the words whole, among
    /// these the newest.
    pub(crate) fn search(&self, words: &[String], only: Option<GroupId>, limit: usize) -> Vec<Found> {
        if words.is_empty() {
            return Vec::new();
        }
        // Of each entry: how many of the words it has so far, and how many of them whole.
        let mut scores = vec![(0_usize, 0_usize); self.entries.len()];
        for (number, word) in words.iter().enumerate() {
            for (entry, whole) in self.beginning(word) {
                let score = &mut scores[entry as usize];
                if score.0 == number {
                    *score = (number + 1, score.1 + usize::from(whole));
                }
            }
        }
        let fits = |entry: &Entry| entry.alive && only.is_none_or(|only| only == entry.place.group);
        let found = self.entries.iter().zip(&scores);
        let found = found.filter(|(entry, score)| score.0 == words.len() && fits(entry));
        let mut found: Vec<_> = found.collect();
        let rank = |(entry, score): &(&Entry, &(usize, usize))| (score.1, entry.at_ms, entry.place.seq);
        found.sort_by_key(|one| std::cmp::Reverse(rank(one)));
        found.into_iter().take(limit).map(|(entry, _)| entry.place).collect()
    }

    /// Entries with a word that begins so, and whether it is the whole word; that comes first.
    fn beginning(&self, word: &str) -> impl Iterator<Item = (u32, bool)> {
        let range = self.words.range::<str, _>((Bound::Included(word), Bound::Unbounded));
        let range = range.take_while(move |(known, _)| known.starts_with(word));
        range.flat_map(move |(known, entries)| {
            let whole = known.len() == word.len();
            entries.iter().map(move |entry| (*entry, whole))
        })
    }

    fn insert(&mut self, place: Found, at_ms: TimestampMs, body: &Body) {
        let Ok(number) = u32::try_from(self.entries.len()) else { return };
        let french = body.render(Language::French);
        self.insert_text(number, &french);
        let english = body.render(Language::English);
        if english != french {
            self.insert_text(number, &english);
        }
        self.entries.push(Entry { place, at_ms, alive: true });
        self.newest.insert((place.group, place.id), number);
    }

    fn insert_text(&mut self, number: u32, text: &str) {
        let words = fold::words(text);
        let compounds = fold::compounds(text, &words);
        for word in words.into_iter().map(|word| word.folded).chain(compounds) {
            match self.words.get_mut(word.as_str()) {
                Some(postings) if postings.last() == Some(&number) => {}
                Some(postings) => postings.push(number),
                None => {
                    self.words.insert(word.into(), vec![number]);
                }
            }
        }
    }

    /// The newest text of a message no longer counts.
    fn kill(&mut self, group: GroupId, message: MessageId) -> Option<(Found, TimestampMs)> {
        let number = self.newest.remove(&(group, message))?;
        let entry = &mut self.entries[number as usize];
        entry.alive = false;
        self.dead += 1;
        Some((entry.place, entry.at_ms))
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("Index");
        out.field("words", &self.words.len()).field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
