//! Search: makes the index of a group when it is first needed, then looks up and reads what was found.

use cercle_proto::id::GroupId;

use super::{Memory, Step, content::read_thread, entries::read_message};
use crate::{
    limits,
    message::{Body, Content},
    search::{Hit, Search, fold, index::Found, snippet},
    store::Tx,
};

impl Memory {
    /// Messages that fit.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn search(&mut self, tx: &Tx<'_>, search: &Search) -> Step<Vec<Hit>> {
        let scope: Vec<GroupId> = self
            .shown_groups()
            .into_iter()
            .filter(|group| search.group.is_none_or(|only| only == *group))
            .collect();
        for group in scope {
            if !self.words.has(group) {
                self.index_group(tx, group)?;
            }
        }
        let words = fold::words(&search.words).into_iter().map(|word| word.folded);
        let words: Vec<String> = words.take(limits::SEARCH_WORDS_MAX).collect();
        let found = self.words.search(&words, search.group, search.limit.min(limits::HITS_MAX));
        let mut hits = Vec::with_capacity(found.len());
        for place in found {
            hits.extend(self.hit(tx, place, &words, search)?);
        }
        Ok(hits)
    }

    fn index_group(&mut self, tx: &Tx<'_>, group: GroupId) -> Step {
        self.words.begin(group);
        let words = &mut self.words;
        let root = self.me.as_ref().map(|me| me.verifier.root());
        let thread = read_thread(tx, root, group, |message, effect| words.take(message, effect))?;
        self.threads.insert(group, thread);
        Ok(())
    }

    fn hit(&mut self, tx: &Tx<'_>, place: Found, words: &[String], search: &Search) -> Step<Option<Hit>> {
        let rows = tx.messages(place.group, place.seq.saturating_sub(1), 2)?;
        let Some(row) = rows.into_iter().find(|row| row.id == place.id) else { return Ok(None) };
        let content = Content::decode_stored(&row.record.envelope);
        let mut message = read_message(place.group, &row, content)?;
        let line = self.thread(tx, place.group)?.chat().line(place.id);
        if let Some(edited) = line.and_then(|line| line.edited.as_ref()) {
            message.body = Body::Text(edited.text.clone());
        }
        let (snippet, marks) = snippet::cut(&message.body.render(search.language), words);
        Ok(Some(Hit { message, snippet, marks }))
    }
}
