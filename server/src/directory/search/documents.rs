//! Sets of documents of one segment of the index: a bit for each document, or a list while they are few.
//!
//! A search is made of these: "nurse" and "Toulouse" are two of them, and what fits both is found at the speed of
//! memory, whatever the size of the directory.

use tantivy::{DocId, DocSet, TERMINATED};

const BITS: u32 = u64::BITS;
/// Of so many documents less than one: a list takes less room than bits.
const ONE_IN: u32 = 64;

/// One bit for each document of a segment.
#[derive(Clone, Default)]
pub(in crate::directory) struct Bits(Vec<u64>);

/// Documents as they are kept.
pub(in crate::directory) enum Documents {
    /// In ascending order.
    Few(Vec<DocId>),
    /// One bit each.
    Many(Bits),
}

/// Takes documents in, in any order and more than once.
pub(super) struct Collected {
    few: Vec<DocId>,
    many: Option<Bits>,
    documents: u32,
}

impl Bits {
    /// None of so many documents.
    pub(in crate::directory) fn none(documents: u32) -> Self {
        Self(vec![0; documents.div_ceil(BITS) as usize])
    }

    /// All of so many documents.
    pub(super) fn all(documents: u32) -> Self {
        let mut words = vec![u64::MAX; documents.div_ceil(BITS) as usize];
        if let (Some(last), rest @ 1..) = (words.last_mut(), documents % BITS) {
            *last = (1 << rest) - 1;
        }
        Self(words)
    }

    pub(in crate::directory) fn insert(&mut self, document: DocId) {
        if let Some(word) = self.0.get_mut((document / BITS) as usize) {
            *word |= 1 << (document % BITS);
        }
    }

    pub(super) fn contains(&self, document: DocId) -> bool {
        self.0.get((document / BITS) as usize).is_some_and(|word| word & (1 << (document % BITS)) != 0)
    }

    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Keeps those that are in the other set too.
    pub(super) fn keep(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= other);
    }

    /// Takes those out that are in the other set.
    pub(super) fn take_out(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= !other);
    }

    /// Adds those of another set.
    pub(super) fn add(&mut self, other: &Documents) {
        match other {
            Documents::Few(list) => list.iter().for_each(|document| self.insert(*document)),
            Documents::Many(bits) => self.0.iter_mut().zip(&bits.0).for_each(|(word, other)| *word |= other),
        }
    }

    /// Documents, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = DocId> + '_ {
        self.0.iter().zip(0..).flat_map(|(word, place)| ones(*word, place))
    }
}

/// Numbers of the bits of a word at a place.
fn ones(word: u64, place: u32) -> impl Iterator<Item = DocId> {
    let mut left = word;
    std::iter::from_fn(move || {
        let bit = (left != 0).then(|| left.trailing_zeros())?;
        left &= left - 1;
        Some(place * BITS + bit)
    })
}

impl Documents {
    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Few(list) => list.len() * size_of::<DocId>(),
            Self::Many(bits) => bits.0.len() * size_of::<u64>(),
        }
    }

    /// How many are in the other set too.
    pub(super) fn count_in(&self, other: &Bits) -> usize {
        match self {
            Self::Few(list) => list.iter().filter(|document| other.contains(**document)).count(),
            Self::Many(bits) => {
                bits.0.iter().zip(&other.0).map(|(word, other)| (word & other).count_ones() as usize).sum()
            }
        }
    }

    /// Calls with each that is in the first set and not in the second one, ascending.
    pub(super) fn each_between(&self, within: &Bits, without: &Bits, mut each: impl FnMut(DocId)) {
        match self {
            Self::Few(list) => {
                let between =
                    |document: &&DocId| within.contains(**document) && !without.contains(**document);
                list.iter().filter(between).for_each(|document| each(*document));
            }
            Self::Many(bits) => {
                let words = bits.0.iter().zip(&within.0).zip(&without.0).zip(0..);
                for (((word, within), without), place) in words {
                    ones(word & within & !without, place).for_each(&mut each);
                }
            }
        }
    }
}

impl Collected {
    /// Of so many documents.
    pub(super) fn of(documents: u32) -> Self {
        Self { few: Vec::new(), many: None, documents }
    }

    pub(super) fn take(&mut self, mut found: impl DocSet) {
        let mut document = found.doc();
        while document != TERMINATED {
            match &mut self.many {
                Some(bits) => bits.insert(document),
                None => self.few.push(document),
            }
            document = found.advance();
        }
        if self.many.is_none() && self.few.len() > (self.documents / ONE_IN) as usize {
            let mut bits = Bits::none(self.documents);
            self.few.drain(..).for_each(|document| bits.insert(document));
            self.many = Some(bits);
        }
    }

    pub(super) fn finish(mut self) -> Documents {
        match self.many {
            Some(bits) => Documents::Many(bits),
            None => {
                self.few.sort_unstable();
                self.few.dedup();
                self.few.shrink_to_fit();
                Documents::Few(self.few)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(documents: u32, of: &[DocId]) -> Bits {
        let mut bits = Bits::none(documents);
        of.iter().for_each(|document| bits.insert(*document));
        bits
    }

    #[test]
    fn sets_are_joined_cut_and_counted() {
        let mut set = bits(200, &[1, 63, 64, 130, 199]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [1, 63, 64, 130, 199]);
        set.keep(&bits(200, &[63, 64, 199]));
        set.take_out(&bits(200, &[64]));
        set.add(&Documents::Few(vec![5, 70]));
        set.add(&Documents::Many(bits(200, &[128])));
        assert_eq!(set.iter().collect::<Vec<_>>(), [5, 63, 70, 128, 199]);
        assert_eq!((set.count(), set.is_empty()), (5, false));
    }

    #[test]
    fn all_documents_are_no_more_than_there_are() {
        for documents in [0, 1, 63, 64, 65, 130] {
            assert_eq!(Bits::all(documents).iter().collect::<Vec<_>>(), (0..documents).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_list_and_bits_answer_alike() {
        let (within, without) = (bits(100, &[2, 3, 4, 90]), bits(100, &[3]));
        let list = Documents::Few(vec![1, 3, 4, 90]);
        let many = Documents::Many(bits(100, &[1, 3, 4, 90]));
        for set in [list, many] {
            let mut between = Vec::new();
            set.each_between(&within, &without, |document| between.push(document));
            assert_eq!((between, set.count_in(&within)), (vec![4, 90], 3));
        }
    }
}
