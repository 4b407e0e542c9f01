//! Cases about the log.

use std::sync::Arc;

use super::sample::{
    NO_LIMIT, application, bytes, commit, device, entries, group, joined, make_group, message, new_group,
};
use crate::store::{
    Append, AppendError, CommitRecord, CreateGroup, Cursor, Kind, ReadFrom, ReadLimit, Store, WriteError,
};

pub(super) async fn entries_are_numbered_from_one_without_gaps(store: Arc<dyn Store>) {
    make_group(&store, 1, 1).await;
    for id in 1..=5 {
        let appended = store.append(vec![application(1, 1, id)]).await.remove(0).unwrap();
        assert_eq!(
            (appended.seq, appended.epoch, appended.at, appended.repeated),
            (id, 0, 10_000 + id, false)
        );
    }
    let stored = entries(&store, 1, 0).await;
    assert_eq!(stored.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let third = &stored[2];
    assert_eq!((third.sender, third.message_id), (Some(device(1)), message(3)));
    assert_eq!((third.kind, &third.body), (Kind::Application, &bytes("body 3")));
    assert_eq!(store.group(group(1)).await.unwrap().unwrap().head, 5);
}

pub(super) async fn a_repeated_id_answers_as_the_first_time_even_after_the_epoch_moved(
    store: Arc<dyn Store>,
) {
    make_group(&store, 1, 2).await;
    let item = Append { epoch: 1, epochs_behind_max: 0, ..application(1, 2, 7) };
    let first = store.append(vec![item.clone()]).await.remove(0).unwrap();
    store.commit(commit(1, 1, 8, 1)).await.unwrap();
    let again = store.append(vec![Append { at: 99_999, ..item.clone() }]).await.remove(0).unwrap();
    assert!(again.repeated && !first.repeated);
    assert_eq!((again.seq, again.epoch, again.at), (first.seq, first.epoch, first.at));
    assert_eq!(store.verdict(device(2), message(7)).await, Ok(Some(again)));
    assert_eq!(store.verdict(device(1), message(7)).await, Ok(None));
    let repeated_commit = store.commit(commit(1, 1, 8, 1)).await.unwrap();
    assert_eq!((repeated_commit.repeated, repeated_commit.seq, repeated_commit.epoch), (true, 3, 2));
    assert_eq!(entries(&store, 1, 0).await.len(), 3);
    let other_sender = Append { sender: Some(device(1)), epoch: 2, ..item };
    assert!(!store.append(vec![other_sender]).await.remove(0).unwrap().repeated);
}

pub(super) async fn a_repeated_id_inside_one_batch_is_stored_once(store: Arc<dyn Store>) {
    make_group(&store, 1, 1).await;
    let item = application(1, 1, 1);
    let verdicts = store.append(vec![item.clone(), application(1, 1, 2), item]).await;
    let verdicts: Vec<_> = verdicts.into_iter().map(Result::unwrap).collect();
    assert_eq!(verdicts.iter().map(|verdict| verdict.seq).collect::<Vec<_>>(), [1, 2, 1]);
    assert_eq!(verdicts.iter().map(|verdict| verdict.repeated).collect::<Vec<_>>(), [false, false, true]);
}

pub(super) async fn a_refused_item_does_not_disturb_its_neighbours(store: Arc<dyn Store>) {
    make_group(&store, 1, 1).await;
    let stranger = application(1, 9, 2);
    let ahead = Append { epoch: 1, ..application(1, 1, 3) };
    let batch = vec![application(1, 1, 1), stranger, ahead, application(1, 1, 4)];
    let verdicts = store.append(batch).await;
    assert_eq!(verdicts[0].as_ref().unwrap().seq, 1);
    assert_eq!(verdicts[1], Err(AppendError::NotMember));
    assert_eq!(verdicts[2], Err(AppendError::EpochMoved { epoch: 0, last_commit: 0 }));
    assert_eq!(verdicts[3].as_ref().unwrap().seq, 2);
    assert_eq!(store.verdict(device(9), message(2)).await, Ok(None));
    let mended = store.append(vec![application(1, 1, 3)]).await.remove(0).unwrap();
    assert_eq!((mended.seq, mended.repeated), (3, false));
}

pub(super) async fn the_group_is_checked_before_the_member_and_the_member_before_the_epoch(
    store: Arc<dyn Store>,
) {
    store.create_group(CreateGroup { posting_restricted: true, ..new_group(1, 1) }).await.unwrap();
    let wrong = |number, sender| Append { epoch: 9, ..application(number, sender, 1) };
    let verdicts = store.append(vec![wrong(2, 9), wrong(1, 9), wrong(1, 1)]).await;
    let expected = [AppendError::GroupUnknown, AppendError::NotMember, AppendError::PostDenied];
    assert_eq!(verdicts, expected.map(Err));
    let proposal = Append { kind: Kind::Proposal, ..wrong(1, 1) };
    assert_eq!(
        store.append(vec![proposal]).await,
        [Err(AppendError::EpochMoved { epoch: 0, last_commit: 0 })]
    );
}

pub(super) async fn an_epoch_may_be_as_far_behind_as_allowed_and_never_ahead(store: Arc<dyn Store>) {
    make_group(&store, 1, 1).await;
    for epoch in 0..3 {
        store.commit(commit(1, 1, 100 + epoch, epoch)).await.unwrap();
    }
    let at_epoch = |id, epoch| Append { epoch, ..application(1, 1, id) };
    let verdicts = store.append((0..=4).map(|epoch| at_epoch(epoch + 1, epoch)).collect()).await;
    let moved = Err(AppendError::EpochMoved { epoch: 3, last_commit: 3 });
    assert_eq!((&verdicts[0], &verdicts[4]), (&moved, &moved));
    assert!(verdicts[1..=3].iter().all(Result::is_ok));
    let far_ahead = Append { epochs_behind_max: u64::MAX, ..at_epoch(9, u64::MAX) };
    assert_eq!(store.append(vec![far_ahead]).await, [moved]);
}

pub(super) async fn no_message_of_an_epoch_before_an_external_commit_comes_after_it(store: Arc<dyn Store>) {
    make_group(&store, 1, 1).await;
    let early = Append { epoch: 0, ..application(1, 1, 1) };
    let sent_before = store.append(vec![early.clone()]).await.remove(0).unwrap();
    let external = CommitRecord { external: true, joined: vec![joined(5)], ..commit(1, 5, 100, 0) };
    store.commit(external).await.unwrap();
    let moved = |epoch, last_commit| Err(AppendError::EpochMoved { epoch, last_commit });
    let at_epoch = |id, epoch| Append { epoch, ..application(1, 1, id) };
    assert_eq!(store.append(vec![at_epoch(2, 0)]).await, [moved(1, 2)]);
    // What was accepted before keeps its verdict, and what the newcomer can open is taken.
    assert_eq!(store.append(vec![early]).await.remove(0).unwrap().seq, sent_before.seq);
    store.append(vec![at_epoch(3, 1)]).await.remove(0).unwrap();
    // Commits of members in between change nothing about that.
    store.commit(commit(1, 1, 101, 1)).await.unwrap();
    assert_eq!(store.append(vec![at_epoch(4, 0)]).await, [moved(2, 4)]);
    store.append(vec![at_epoch(4, 1)]).await.remove(0).unwrap();
}

pub(super) async fn the_hub_proposes_without_being_a_member(store: Arc<dyn Store>) {
    make_group(&store, 1, 1).await;
    let proposal = Append {
        sender: None,
        kind: Kind::Proposal,
        group_state: Some(bytes("with proposal")),
        ..application(1, 1, 1)
    };
    assert_eq!(store.append(vec![proposal.clone()]).await.remove(0).unwrap().seq, 1);
    assert!(store.append(vec![proposal]).await.remove(0).unwrap().repeated);
    assert_eq!(entries(&store, 1, 0).await[0].sender, None);
    let record = store.group(group(1)).await.unwrap().unwrap();
    assert_eq!((record.group_state, record.group_info), (bytes("with proposal"), bytes("info 0")));
}

pub(super) async fn a_commit_cannot_be_appended(store: Arc<dyn Store>) {
    make_group(&store, 1, 1).await;
    let commit = Append { kind: Kind::Commit, ..application(1, 1, 1) };
    let refused = store.append(vec![commit]).await.remove(0);
    assert!(matches!(refused, Err(AppendError::Store(WriteError::Unavailable(_)))));
    assert!(entries(&store, 1, 0).await.is_empty());
}

fn from(number: u64, after: u64, until: u64) -> ReadFrom {
    ReadFrom { group: group(number), after, until }
}

pub(super) async fn pages_come_in_the_order_asked_for(store: Arc<dyn Store>) {
    for number in [1, 2] {
        make_group(&store, number, 1).await;
        store.append((1..=4).map(|id| application(number, 1, number * 10 + id)).collect()).await;
    }
    let asked = vec![from(2, 1, u64::MAX), from(3, 0, u64::MAX), from(1, 0, 2), from(1, 4, 9), from(1, 3, 1)];
    let pages = store.read(asked, NO_LIMIT).await.unwrap();
    let found: Vec<(_, Vec<_>, _)> = pages
        .iter()
        .map(|page| (page.group, page.entries.iter().map(|entry| entry.seq).collect(), page.more))
        .collect();
    let expected = [
        (group(2), vec![2, 3, 4], false),
        (group(3), vec![], false),
        (group(1), vec![1, 2], false),
        (group(1), vec![], false),
        (group(1), vec![], false),
    ];
    assert_eq!(found, expected);
}

pub(super) async fn a_read_stops_at_its_limits_without_a_gap(store: Arc<dyn Store>) {
    make_group(&store, 1, 1).await;
    make_group(&store, 2, 1).await;
    let sized = |number, id, size: usize| Append { body: vec![1; size].into(), ..application(number, 1, id) };
    store.append(vec![sized(1, 1, 100), sized(1, 2, 50), sized(1, 3, 1), sized(2, 4, 1)]).await;
    let all = || vec![from(1, 0, u64::MAX), from(2, 0, u64::MAX)];
    let seqs = async |limit| {
        let pages = store.read(all(), limit).await.unwrap();
        pages.into_iter().map(|page| (page.entries.len(), page.more)).collect::<Vec<_>>()
    };
    assert_eq!(seqs(ReadLimit { entries: 2, bytes: 1_000 }).await, [(2, true), (0, true)]);
    assert_eq!(seqs(ReadLimit { entries: 3, bytes: 1_000 }).await, [(3, false), (0, true)]);
    assert_eq!(seqs(ReadLimit { entries: 9, bytes: 149 }).await, [(1, true), (0, true)]);
    assert_eq!(seqs(ReadLimit { entries: 9, bytes: 10 }).await, [(1, true), (0, true)]);
    assert_eq!(seqs(ReadLimit { entries: 4, bytes: 152 }).await, [(3, false), (1, false)]);
}

pub(super) async fn a_cursor_never_goes_back_nor_past_the_head(store: Arc<dyn Store>) {
    make_group(&store, 1, 2).await;
    store.append((1..=4).map(|id| Append { epoch: 1, ..application(1, 1, id) }).collect()).await;
    let acked = async || {
        let delivered = store.delivered(group(1)).await.unwrap();
        delivered.into_iter().map(|delivered| (delivered.device, delivered.acked)).collect::<Vec<_>>()
    };
    assert_eq!(acked().await, [(device(1), 0), (device(2), 1)]);
    store.acknowledge(device(2), vec![(group(9), 3), (group(1), 3)]).await.unwrap();
    store.acknowledge(device(9), vec![(group(1), 3)]).await.unwrap();
    assert_eq!(acked().await, [(device(1), 0), (device(2), 3)]);
    store.acknowledge(device(2), vec![(group(1), 2)]).await.unwrap();
    assert_eq!(acked().await, [(device(1), 0), (device(2), 3)]);
    store.acknowledge(device(2), vec![(group(1), 99)]).await.unwrap();
    assert_eq!(acked().await, [(device(1), 0), (device(2), 5)]);
}

pub(super) async fn cursors_of_many_devices_are_recorded_together(store: Arc<dyn Store>) {
    make_group(&store, 1, 2).await;
    let last = entries(&store, 1, 0).await.last().unwrap().seq;
    let cursor = |id, member, up_to| Cursor { group: group(id), device: device(member), up_to };
    // Of two for one device the higher counts; strangers, unknown groups and what lies ahead do no harm.
    let cursors =
        vec![cursor(1, 1, 99), cursor(1, 2, last), cursor(1, 2, 0), cursor(1, 7, last), cursor(9, 1, last)];
    store.acknowledge_all(cursors).await.unwrap();
    let delivered = store.delivered(group(1)).await.unwrap();
    let acked: Vec<_> = delivered.into_iter().map(|row| (row.device, row.acked)).collect();
    assert_eq!(acked, [(device(1), last), (device(2), last)]);
}

pub(super) async fn concurrent_appends_leave_no_gap(store: Arc<dyn Store>) {
    make_group(&store, 1, 1).await;
    let append = |id| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.append(vec![application(1, 1, id)]).await.remove(0).unwrap().seq })
    };
    let tasks: Vec<_> = (1..=200).map(append).collect();
    let mut seqs = Vec::new();
    for task in tasks {
        seqs.push(task.await.unwrap());
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=200).collect::<Vec<_>>());
    assert_eq!(entries(&store, 1, 0).await.len(), 200);
}
