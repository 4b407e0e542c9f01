//! What fanout promises: nobody is woken for nothing, nothing is lost, nothing stays behind.

use cercle_proto::{
    frame,
    id::MessageId,
    v1::{self, server_frame},
};
use cercle_storage::store::Kind;

use super::*;
use crate::limits;

const GROUP: GroupId = GroupId::new([9; 16]);
const ANNE: DeviceId = DeviceId::new([1; 16]);
const BRUNO: DeviceId = DeviceId::new([2; 16]);

fn entry(seq: Seq) -> Entry {
    let mut message_id = [7; 16];
    message_id[8..].copy_from_slice(&seq.to_be_bytes());
    Entry {
        seq,
        kind: Kind::Application,
        epoch: 3,
        sender: Some(ANNE),
        message_id: MessageId::new(message_id),
        at: 1_000 + seq,
        body: Bytes::from(vec![0xab; 100]),
    }
}

fn append(fanout: &Fanout, numbers: impl IntoIterator<Item = Seq>) {
    fanout.appended(GROUP, numbers.into_iter().map(entry).collect());
}

fn news(registration: &Registration) -> News {
    let mut news = News::default();
    registration.mailbox().take(&mut news);
    news
}

/// The numbers that a reader gets after a cursor; `None`: it must read the log.
fn read(registration: &Registration, after: Seq) -> Option<Vec<Seq>> {
    let mut entries = Vec::new();
    let read = registration.read(GROUP, after, &mut entries);
    let numbers: Vec<Seq> = entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(matches!(read, RingRead::Entries { .. }), !numbers.is_empty());
    (read != RingRead::Miss).then_some(numbers)
}

fn subscribed(fanout: &Fanout, device: DeviceId) -> Registration {
    let mut registration = fanout.register(device, fanout.next_connection(), Arc::default());
    registration.subscribe(GROUP);
    registration
}

/// What a device decodes from a frame.
fn decoded(frame: Bytes) -> v1::Entries {
    match frame::decode_server(frame).unwrap().body {
        Some(server_frame::Body::Entries(entries)) => entries,
        other => panic!("unexpected {other:?}"),
    }
}

#[tokio::test]
async fn an_append_wakes_the_readers_of_its_group_and_nobody_else() {
    let fanout = Fanout::new();
    let reader = subscribed(&fanout, ANNE);
    let other = fanout.register(BRUNO, fanout.next_connection(), Arc::default());
    append(&fanout, [1]);
    reader.mailbox().changed().await;
    assert!(news(&reader).groups.contains(&GROUP));
    assert!(news(&other).groups.is_empty());
    assert_eq!(read(&reader, 0), Some(vec![1]));
    assert_eq!(read(&reader, 1), Some(Vec::new()));
}

#[test]
fn a_reader_that_is_too_far_behind_is_sent_to_the_log() {
    let fanout = Fanout::new();
    let reader = subscribed(&fanout, ANNE);
    let count = u64::try_from(limits::RING_ENTRIES_MAX).unwrap() + 5;
    append(&fanout, 1..=count);
    assert_eq!(read(&reader, 4), None);
    assert_eq!(read(&reader, 5).unwrap().len(), limits::RING_ENTRIES_MAX);
}

#[test]
fn appends_that_come_out_of_order_never_make_a_gap() {
    let fanout = Fanout::new();
    let reader = subscribed(&fanout, ANNE);
    append(&fanout, [10, 12]);
    assert_eq!(read(&reader, 9), Some(vec![10]));
    assert_eq!(read(&reader, 10), None, "11 may never come: the log has it");
    append(&fanout, [11]);
    assert_eq!(read(&reader, 9), Some(vec![10, 11, 12]));
    append(&fanout, [11, 12]);
    assert_eq!(read(&reader, 9), Some(vec![10, 11, 12]), "what comes twice counts once");
}

#[test]
fn an_entry_that_never_comes_does_not_hold_up_the_others() {
    let fanout = Fanout::new();
    let reader = subscribed(&fanout, ANNE);
    append(&fanout, [1]);
    let last = 3 + u64::try_from(limits::RING_EARLY_MAX).unwrap();
    append(&fanout, 3..=last);
    assert_eq!(read(&reader, 1), None);
    assert_eq!(read(&reader, 2).unwrap(), (3..=last).collect::<Vec<_>>());
}

#[test]
fn large_entries_are_bounded_by_bytes() {
    let fanout = Fanout::new();
    let reader = subscribed(&fanout, ANNE);
    for seq in 1..=20 {
        let body = Bytes::from(vec![0; limits::RING_BYTES_MAX / 4]);
        fanout.appended(GROUP, vec![Entry { body, ..entry(seq) }]);
    }
    assert_eq!(read(&reader, 10), None);
    assert_eq!(read(&reader, 18), Some(vec![19, 20]));
    let body = Bytes::from(vec![0; 2 * limits::RING_BYTES_MAX]);
    fanout.appended(GROUP, vec![Entry { body, ..entry(21) }]);
    assert_eq!(read(&reader, 20), Some(vec![21]), "the newest one is kept whatever its size");
    assert_eq!(read(&reader, 19), None);
}

#[test]
fn a_quiet_group_is_forgotten_in_two_rounds() {
    let fanout = Fanout::new();
    let reader = subscribed(&fanout, ANNE);
    append(&fanout, 1..=3);
    fanout.forget_old();
    append(&fanout, [4]);
    assert_eq!(read(&reader, 0).unwrap().len(), 4);
    fanout.forget_old();
    assert_eq!(read(&reader, 3), Some(vec![4]));
    assert_eq!(read(&reader, 2), None);
    fanout.forget_old();
    assert_eq!(read(&reader, 3), None);
    append(&fanout, [5]);
    assert_eq!(read(&reader, 4), Some(vec![5]));
}

#[test]
fn the_last_reader_takes_the_group_out_of_memory() {
    let fanout = Fanout::new();
    let (one, mut two) = (subscribed(&fanout, ANNE), subscribed(&fanout, BRUNO));
    append(&fanout, [1]);
    drop(one);
    assert_eq!((fanout.live_groups(), fanout.sessions()), (1, 1));
    two.unsubscribe(GROUP);
    assert_eq!(fanout.live_groups(), 0);
    append(&fanout, [2]);
    assert_eq!(fanout.live_groups(), 0, "nobody reads, nothing is kept");
    drop(two);
    assert_eq!(fanout.sessions(), 0);
}

#[test]
fn a_hub_that_shuts_down_ends_the_sessions_it_has_and_those_that_come() {
    let fanout = Fanout::new();
    let early = fanout.register(ANNE, fanout.next_connection(), Arc::default());
    fanout.close();
    let late = fanout.register(BRUNO, fanout.next_connection(), Arc::default());
    assert_eq!(news(&early).end, Some(ErrorCode::ShuttingDown));
    assert_eq!(news(&late).end, Some(ErrorCode::ShuttingDown));
}

#[test]
fn a_newer_session_ends_the_older_and_keeps_its_own_place() {
    let fanout = Fanout::new();
    let [first, second] = [fanout.next_connection(), fanout.next_connection()];
    let older = fanout.register(ANNE, first, Arc::default());
    let newer = fanout.register(ANNE, second, Arc::default());
    assert_eq!(news(&older).end, Some(ErrorCode::SessionReplaced));
    drop(older);
    assert_eq!(fanout.sessions(), 1, "the older one must not take the newer one out");
    fanout.end_session(ANNE, ErrorCode::DeviceRevoked);
    assert_eq!(news(&newer).end, Some(ErrorCode::DeviceRevoked));
}

/// A device lost its connection, made another, and then the proof that it had sent over the first arrived.
#[test]
fn a_late_proof_over_an_older_connection_does_not_replace_the_newer_session() {
    let fanout = Fanout::new();
    let [first, second] = [fanout.next_connection(), fanout.next_connection()];
    let newer = fanout.register(ANNE, second, Arc::default());
    let late = fanout.register(ANNE, first, Arc::default());
    assert_eq!(news(&late).end, Some(ErrorCode::SessionReplaced));
    assert_eq!(news(&newer).end, None);
    drop(late);
    assert_eq!(fanout.sessions(), 1, "the late one was never in the other's place");
}

#[test]
fn relayed_hints_are_bounded_and_skip_their_sender() {
    let fanout = Fanout::new();
    let (anne, bruno) = (subscribed(&fanout, ANNE), subscribed(&fanout, BRUNO));
    for _ in 0..2 * limits::RELAYED_MAX {
        fanout.ephemeral(GROUP, ANNE, Bytes::from_static(b"typing"));
    }
    assert!(news(&anne).relayed.is_empty());
    assert_eq!(news(&bruno).relayed.len(), limits::RELAYED_MAX);
}

#[test]
fn the_sender_gets_the_header_and_others_share_the_same_bytes() {
    let encoded = [encode_entry(GROUP, &entry(1))];
    let frame_for = |reader| {
        let mut frames = Vec::new();
        put_frames(GROUP, 0, &encoded, reader, &mut frames);
        frames.pop().unwrap()
    };
    let own = decoded(frame_for(ANNE));
    assert_eq!((own.entries[0].seq, own.entries[0].mls.len()), (1, 0));
    let (one, two) = (frame_for(BRUNO), frame_for(BRUNO));
    assert_eq!(one.as_ptr(), two.as_ptr(), "encoded once");
}
