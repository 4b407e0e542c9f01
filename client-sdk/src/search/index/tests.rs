//! What is found, in which order, and what is no longer found.

use cercle_proto::id::{DeviceId, UserId};

use super::*;
use crate::message::{Edit, Reaction, Text};

const GROUP: GroupId = GroupId::new([1; 16]);
const OTHER: GroupId = GroupId::new([2; 16]);

fn message(group: GroupId, seq: Seq, body: Body) -> Message {
    let mut id = [group.as_bytes()[0]; 16];
    id[8..].copy_from_slice(&seq.to_be_bytes());
    Message {
        group,
        seq,
        id: MessageId::new(id),
        sender: UserId::new("anne", "cpts.example").unwrap(),
        device: DeviceId::new([1; 16]),
        display_name: String::new(),
        own: false,
        expired_certificate: false,
        by_administrator: false,
        at_ms: seq * 1_000,
        sent_at_ms: 0,
        in_reply_to: None,
        exported_by: None,
        body,
    }
}

fn index(texts: &[&str]) -> Index {
    let mut index = Index::default();
    index.begin(GROUP);
    for (seq, text) in (1..).zip(texts) {
        index.take(&message(GROUP, seq, Body::text(*text)), Effect::Added);
    }
    index
}

/// Places that are found, best first.
fn found(index: &Index, search: &str) -> Vec<Seq> {
    let words: Vec<String> = fold::words(search).into_iter().map(|word| word.folded).collect();
    index.search(&words, None, 100).into_iter().map(|found| found.seq).collect()
}

#[test]
fn french_is_found_as_people_type_it() {
    let index = index(&[
        "Céphalées depuis l'œdème",
        "L’ordonnance d'hier",
        "Rendez-vous à Saint-Étienne",
        "HbA1c à 7,2 %",
        "Aujourd’hui c'est férié",
    ]);
    for (search, expected) in [
        ("cephalees", vec![1]),
        ("CÉPHALÉES", vec![1]),
        ("oedeme", vec![1]),
        ("l'œdème", vec![1]),
        ("d'ordonnance", vec![2]),
        ("ordonnance d’hier", vec![2]),
        ("rendez vous", vec![3]),
        ("rendez-vous", vec![3]),
        ("rendezvous", vec![3]),
        ("st etienne", vec![]),
        ("saint etienne", vec![3]),
        ("hba1c", vec![4]),
        ("7,2", vec![4]),
        ("aujourd'hui", vec![5]),
        ("aujourdhui", vec![5]),
        ("l'", vec![]),
        ("", vec![]),
        ("?!", vec![]),
    ] {
        assert_eq!(found(&index, search), expected, "{search}");
    }
}

#[test]
fn a_word_is_found_by_its_beginning_but_not_by_its_middle() {
    let index = index(&["pansement refait", "anse"]);
    assert_eq!(found(&index, "pans"), [1]);
    assert_eq!(found(&index, "pans ref"), [1]);
    assert_eq!(found(&index, "anse"), [2]);
    assert_eq!(found(&index, "pansements"), [] as [u64; 0]);
}

#[test]
fn whole_words_come_first_and_among_them_the_newest() {
    let index = index(&["plaie", "plaies", "plaie du talon", "plaies du talon"]);
    assert_eq!(found(&index, "plaie"), [3, 1, 4, 2]);
}

#[test]
fn edits_replace_and_withdrawn_messages_vanish() {
    let mut index = index(&["céphalée", "migraine"]);
    let first = message(GROUP, 1, Body::text(""));
    let text = Text { text: "vertige".into(), ..Text::default() };
    let edit = message(GROUP, 3, Body::Edit(Edit { message: first.id, text }));
    index.take(&edit, Effect::Edited(first.id));
    assert_eq!((found(&index, "cephalee"), found(&index, "vertige")), (vec![], vec![1]));
    index.take(&message(GROUP, 4, Body::text("x")), Effect::Removed(first.id));
    assert_eq!(found(&index, "vertige"), [] as [u64; 0]);
    assert_eq!(found(&index, "migraine"), [2]);
}

#[test]
fn what_does_not_stand_by_itself_is_not_found() {
    let mut index = index(&["bonjour"]);
    let target = message(GROUP, 1, Body::text("")).id;
    let reaction = Body::Reaction(Reaction { message: target, emoji: "bonjour".into(), removed: false });
    index.take(&message(GROUP, 2, reaction), Effect::Nothing);
    assert_eq!(found(&index, "bonjour"), [1]);
}

#[test]
fn a_group_that_is_forgotten_is_taken_again_whole() {
    let mut index = index(&["plaie"]);
    index.begin(OTHER);
    index.take(&message(OTHER, 1, Body::text("plaie")), Effect::Added);
    let words = ["plaie".to_owned()];
    assert_eq!(index.search(&words, Some(OTHER), 10).len(), 1);
    index.forget(GROUP);
    assert_eq!(index.search(&words, None, 10).len(), 1);
    index.take(&message(GROUP, 1, Body::text("plaie")), Effect::Added);
    assert_eq!(index.search(&words, None, 10).len(), 1, "it is not in the index any more");
    index.begin(GROUP);
    index.take(&message(GROUP, 1, Body::text("plaie")), Effect::Added);
    assert_eq!(index.search(&words, None, 10).len(), 2);
}

#[test]
fn the_dead_do_not_pile_up() {
    let mut index = index(&[]);
    let target = message(GROUP, 1, Body::text("mot")).id;
    index.take(&message(GROUP, 1, Body::text("mot")), Effect::Added);
    for seq in 0..3 * DEAD_MIN as u64 {
        let text = Text { text: format!("mot{seq}"), ..Text::default() };
        index.take(&message(GROUP, seq, Body::Edit(Edit { message: target, text })), Effect::Edited(target));
    }
    index.begin(OTHER);
    assert!(!index.has(GROUP) && index.entries.is_empty(), "it is made again");
}
