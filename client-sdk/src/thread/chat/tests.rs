//! The rules of a conversation, checked against a slow model that reads the whole history for each question.

use cercle_proto::id::{DeviceId, GroupId};
use proptest::prelude::*;

use super::*;

fn user(number: u8) -> UserId {
    UserId::new(&format!("user{number}"), "cpts.example").unwrap()
}

fn id(number: u8) -> MessageId {
    MessageId::new([number; 16])
}

fn message(seq: Seq, sender: u8, by_administrator: bool, body: Body) -> Message {
    Message {
        group: GroupId::new([1; 16]),
        seq,
        id: id(u8::try_from(seq).unwrap()),
        sender: user(sender),
        device: DeviceId::new([sender; 16]),
        display_name: String::new(),
        own: false,
        expired_certificate: false,
        by_administrator,
        at_ms: seq * 1_000,
        sent_at_ms: 0,
        in_reply_to: None,
        exported_by: None,
        body,
    }
}

fn text(words: String) -> Text {
    Text { text: words, ..Text::default() }
}

/// Something about one of the messages of the history, which may come later or not at all.
fn body() -> impl Strategy<Value = Body> {
    let target = 1_u8..40;
    prop_oneof![
        3 => "[a-z]{3}".prop_map(|words| Body::Text(text(words))),
        2 => (target.clone(), "[a-z]{3}").prop_map(|(to, words)| {
            Body::Edit(Edit { message: id(to), text: text(words) })
        }),
        1 => target.clone().prop_map(|to| {
            Body::Retract(Retract { message: id(to), reason: String::new() })
        }),
        2 => (target.clone(), "[ab]", any::<bool>()).prop_map(|(to, emoji, removed)| {
            Body::Reaction(Reaction { message: id(to), emoji, removed })
        }),
        1 => (target, any::<bool>()).prop_map(|(to, removed)| Body::Pin(Pin { message: id(to), removed })),
        1 => (0_u64..40).prop_map(|up_to| Body::Receipt(Receipt { state: ReceiptState::Read, up_to })),
    ]
}

fn history() -> impl Strategy<Value = Vec<Message>> {
    // User 0 administers in every other history place by chance.
    let one = (0_u8..4, any::<bool>(), body());
    prop::collection::vec(one, 0..40).prop_map(|bodies| {
        let numbered = (1..).zip(bodies);
        numbered
            .map(|(seq, (sender, office, body))| message(seq, sender, office && sender == 0, body))
            .collect()
    })
}

/// Where a text is withdrawn: the first withdrawal after it by somebody who may.
fn withdrawn(history: &[Message], target: &Message) -> Option<Seq> {
    let later = history.iter().filter(|one| one.seq > target.seq);
    let withdrawal = |one: &&Message| match &one.body {
        Body::Retract(retract) => {
            retract.message == target.id && (one.sender == target.sender || one.by_administrator)
        }
        _ => false,
    };
    later.filter(withdrawal).map(|one| one.seq).min()
}

/// Messages about a text that count: after it, and before it is withdrawn.
fn about<'a>(history: &'a [Message], target: &Message) -> impl Iterator<Item = &'a Message> {
    let (from, until) = (target.seq, withdrawn(history, target).unwrap_or(Seq::MAX));
    history.iter().filter(move |one| one.seq > from && one.seq < until)
}

proptest! {
    #[test]
    fn every_history_reads_as_the_model_says(history in history()) {
        let mut chat = Chat::default();
        for message in &history {
            chat.apply(message);
        }
        let texts: Vec<&Message> = history.iter().filter(|one| matches!(one.body, Body::Text(_))).collect();
        prop_assert_eq!(chat.lines().len(), texts.len());
        for target in texts {
            let line = chat.line(target.id).unwrap();
            let gone = withdrawn(&history, target);
            prop_assert_eq!(line.retracted.as_ref().map(|one| one.at_ms), gone.map(|seq| seq * 1_000));
            let edits = about(&history, target).filter_map(|one| match &one.body {
                Body::Edit(edit) if edit.message == target.id && one.sender == target.sender => Some(&edit.text),
                _ => None,
            });
            let last = edits.last().filter(|_| gone.is_none());
            prop_assert_eq!(line.edited.as_ref().map(|edited| &edited.text), last);
            for (emoji, who) in [("a", 0), ("a", 3), ("b", 1)] {
                let signs = about(&history, target).filter_map(|one| match &one.body {
                    Body::Reaction(sign) if sign.message == target.id && sign.emoji == emoji => {
                        (one.sender == user(who)).then_some(!sign.removed)
                    }
                    _ => None,
                });
                let stands = gone.is_none() && signs.last().unwrap_or(false);
                let mut shown = line.reactions.iter().filter(|one| one.emoji == emoji);
                prop_assert_eq!(shown.any(|one| one.users.contains(&user(who))), stands);
            }
            let pins = about(&history, target).filter_map(|one| match &one.body {
                Body::Pin(pin) if pin.message == target.id => Some(!pin.removed),
                _ => None,
            });
            let stands = gone.is_none() && pins.last().unwrap_or(false);
            prop_assert_eq!(chat.pinned().contains(&target.id), stands);
        }
    }

    #[test]
    fn receipts_only_ever_go_forward_and_never_beyond_their_own_place(history in history()) {
        let mut chat = Chat::default();
        for message in &history {
            let before = chat.read().get(&message.sender).map_or(0, |place| place.up_to);
            chat.apply(message);
            let after = chat.read().get(&message.sender).map_or(0, |place| place.up_to);
            prop_assert!(before <= after && after < message.seq);
        }
    }
}

#[test]
fn a_message_that_a_restored_hub_takes_twice_is_shown_once() {
    let mut chat = Chat::default();
    let mut first = message(1, 1, false, Body::text("bonjour"));
    assert_eq!(chat.apply(&first), Effect::Added);
    first.seq = 2;
    assert_eq!(chat.apply(&first), Effect::Nothing);
    assert_eq!(chat.lines().len(), 1);
}

#[test]
fn the_bounds_of_pins_and_emoji_hold_whoever_sends() {
    let mut chat = Chat::default();
    chat.apply(&message(1, 1, false, Body::text("bonjour")));
    let mut one = message(2, 1, false, Body::text(""));
    for number in 0..2 * limits::EMOJI_PER_MESSAGE_MAX {
        let reaction = Reaction { message: id(1), emoji: format!("e{number}"), removed: false };
        one.body = Body::Reaction(reaction);
        chat.apply(&one);
    }
    assert_eq!(chat.line(id(1)).unwrap().reactions.len(), limits::EMOJI_PER_MESSAGE_MAX);
    for number in 2..u8::try_from(2 * limits::PINS_MAX).unwrap() {
        chat.apply(&message(u64::from(number), 1, false, Body::text("x")));
        one.body = Body::Pin(Pin { message: id(number), removed: false });
        chat.apply(&one);
    }
    assert_eq!(chat.pinned().len(), limits::PINS_MAX);
}

#[test]
fn an_unknown_kind_without_words_is_not_shown_and_one_with_words_is() {
    let mut chat = Chat::default();
    assert_eq!(chat.apply(&message(1, 1, false, Body::Unknown { fallback: String::new() })), Effect::Nothing);
    assert_eq!(
        chat.apply(&message(2, 1, false, Body::Unknown { fallback: "Sondage".into() })),
        Effect::Added
    );
}

#[test]
fn what_was_handed_over_to_a_newcomer_is_shown_but_not_unread() {
    let mut chat = Chat::default();
    let mut old = message(1, 1, false, Body::text("avant"));
    old.exported_by = Some(user(2));
    chat.apply(&old);
    chat.apply(&message(2, 1, false, Body::text("après")));
    assert_eq!((chat.lines().len(), chat.unread(&user(3), 0)), (2, (1, 0)));
}

#[test]
fn an_answer_to_a_form_is_no_line_and_not_unread_so_that_nothing_says_who_answered() {
    let mut chat = Chat::default();
    let of = |kind: &str| serde_json::from_str(crate::message::template::of(kind).unwrap()).unwrap();
    assert_eq!(chat.apply(&message(1, 1, false, of("form"))), Effect::Added);
    assert_eq!(chat.apply(&message(2, 2, false, of("form_answer"))), Effect::Nothing);
    assert_eq!((chat.lines().len(), chat.unread(&user(3), 0)), (1, (1, 0)));
    // Nothing can be said about it either.
    let reaction = Reaction { message: id(2), emoji: "👍".into(), removed: false };
    chat.apply(&message(3, 3, false, Body::Reaction(reaction)));
    assert!(chat.line(id(2)).is_none());
}
