//! Cases about groups, rosters and commits.

use std::sync::Arc;

use super::sample::{
    application, bytes, commit, device, entries, group, joined, make_group, message, new_group, user,
};
use crate::store::{
    Append, AppendError, Appended, CommitRecord, CreateGroup, Joined, Kind, Store, WelcomeRecord,
};

pub(super) async fn a_group_is_made_once(store: Arc<dyn Store>) {
    let made = store.create_group(new_group(1, 1)).await.unwrap();
    assert_eq!(made, Appended { seq: 0, epoch: 0, at: 1_000, repeated: false });
    let again = store.create_group(CreateGroup { at: 2_000, ..new_group(1, 1) }).await.unwrap();
    assert_eq!(again, Appended { repeated: true, ..made });
    let taken = CreateGroup { message_id: message(5), ..new_group(1, 2) };
    assert_eq!(store.create_group(taken).await, Err(AppendError::GroupExists));
    let roster = store.roster(group(1)).await.unwrap();
    assert_eq!(roster.len(), 1);
    assert_eq!((roster[0].device, roster[0].joined_at, roster[0].removed_at), (device(1), 0, None));
    assert_eq!(store.group(group(2)).await, Ok(None));
}

pub(super) async fn one_of_sixteen_racing_commits_wins(store: Arc<dyn Store>) {
    make_group(&store, 1, 16).await;
    let race = |number| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.commit(commit(1, number, number, 1)).await })
    };
    let tasks: Vec<_> = (1..=16).map(race).collect();
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(appended) => {
                assert_eq!((appended.seq, appended.epoch), (2, 2));
                won += 1;
            }
            Err(error) => assert_eq!(error, AppendError::EpochMoved { epoch: 2, last_commit: 2 }),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(entries(&store, 1, 0).await.len(), 2);
}

pub(super) async fn a_commit_changes_everything_at_once(store: Arc<dyn Store>) {
    make_group(&store, 1, 3).await;
    let appended = store
        .commit(CommitRecord {
            joined: vec![joined(4)],
            removed: vec![device(3), device(77)],
            may_post: vec![(device(2), true), (device(88), true)],
            posting_restricted: true,
            welcome: Some(WelcomeRecord { body: bytes("welcome"), recipients: vec![device(4)] }),
            ..commit(1, 1, 5, 1)
        })
        .await
        .unwrap();
    assert_eq!((appended.seq, appended.epoch), (2, 2));
    let record = store.group(group(1)).await.unwrap().unwrap();
    assert_eq!((record.epoch, record.head, record.last_commit), (2, 2, 2));
    assert_eq!((record.group_info, record.group_state), (bytes("info 2"), bytes("state 2")));
    assert!(record.posting_restricted);
    let roster = store.roster(group(1)).await.unwrap();
    let rows: Vec<_> = roster
        .iter()
        .map(|row| (row.device, row.joined_at, row.removed_at, row.acked, row.may_post))
        .collect();
    let expected = [
        (device(1), 0, None, 0, false),
        (device(2), 1, None, 1, true),
        (device(3), 1, Some(2), 1, false),
        (device(4), 2, None, 2, false),
    ];
    assert_eq!(rows, expected);
    assert_eq!(roster[3].user, user(4));
    assert_eq!(store.inbox(device(4), 0, 9).await.unwrap().len(), 1);
    let commit = entries(&store, 1, 1).await.remove(0);
    assert_eq!((commit.kind, commit.epoch, commit.body), (Kind::Commit, 1, bytes("commit 5")));
}

pub(super) async fn a_commit_that_is_refused_at_its_last_part_changes_nothing(store: Arc<dyn Store>) {
    make_group(&store, 1, 2).await;
    let before = (store.group(group(1)).await, store.roster(group(1)).await);
    let refused = CommitRecord {
        joined: vec![joined(3)],
        posting_restricted: true,
        welcome: Some(WelcomeRecord { body: bytes("welcome"), recipients: vec![device(3)] }),
        application: Some((message(6), bytes("may not"))),
        ..commit(1, 2, 5, 1)
    };
    assert_eq!(store.commit(refused.clone()).await, Err(AppendError::PostDenied));
    let removes_itself = CommitRecord { removed: vec![device(2)], ..refused };
    assert_eq!(store.commit(removes_itself).await, Err(AppendError::NotMember));
    assert_eq!((store.group(group(1)).await, store.roster(group(1)).await), before);
    assert_eq!(store.inbox(device(3), 0, 9).await, Ok(vec![]));
    assert_eq!(store.memberships(device(3)).await, Ok(vec![]));
    assert_eq!(store.verdict(device(2), message(5)).await, Ok(None));
    assert_eq!(store.commit(commit(1, 2, 5, 1)).await.unwrap().seq, 2);
}

pub(super) async fn the_message_of_a_commit_is_stored_once(store: Arc<dyn Store>) {
    make_group(&store, 1, 2).await;
    let with_message = |id, epoch| CommitRecord {
        application: Some((message(50), bytes("hello"))),
        ..commit(1, 2, id, epoch)
    };
    let appended = store.commit(with_message(5, 1)).await.unwrap();
    assert_eq!((appended.seq, appended.epoch), (2, 2));
    let message_entry = entries(&store, 1, 2).await.remove(0);
    assert_eq!((message_entry.seq, message_entry.epoch, message_entry.kind), (3, 2, Kind::Application));
    assert_eq!(store.verdict(device(2), message(50)).await.unwrap().unwrap().seq, 3);
    assert_eq!(store.commit(with_message(6, 2)).await.unwrap().seq, 4);
    assert_eq!(entries(&store, 1, 0).await.len(), 4);
}

pub(super) async fn an_external_committer_joins_and_reads_what_follows(store: Arc<dyn Store>) {
    make_group(&store, 1, 1).await;
    assert_eq!(store.commit(commit(1, 5, 1, 0)).await, Err(AppendError::NotMember));
    let external = CommitRecord { external: true, joined: vec![joined(5)], ..commit(1, 5, 1, 0) };
    assert_eq!(store.commit(external.clone()).await.unwrap().seq, 1);
    assert!(store.commit(external).await.unwrap().repeated);
    let row = store.roster_entry(group(1), device(5)).await.unwrap().unwrap();
    assert_eq!((row.joined_at, row.acked), (1, 1));
}

pub(super) async fn a_resynchronised_device_keeps_its_membership(store: Arc<dyn Store>) {
    make_group(&store, 1, 2).await;
    store.set_needs_re_add(group(1), device(2), true).await.unwrap();
    let resync = CommitRecord {
        external: true,
        removed: vec![device(2)],
        joined: vec![Joined { leaf: 7, ..joined(2) }],
        ..commit(1, 2, 5, 1)
    };
    store.commit(resync).await.unwrap();
    let row = store.roster_entry(group(1), device(2)).await.unwrap().unwrap();
    assert_eq!((row.leaf, row.joined_at, row.removed_at, row.acked), (7, 2, None, 2));
    assert!(!row.needs_re_add);
    assert_eq!(store.memberships(device(1)).await.unwrap()[0].needs_re_add, []);
}

pub(super) async fn a_removed_device_reads_its_removal_and_leaves_the_list(store: Arc<dyn Store>) {
    make_group(&store, 1, 2).await;
    store.append(vec![Append { epoch: 1, ..application(1, 1, 1) }]).await.remove(0).unwrap();
    store.commit(CommitRecord { removed: vec![device(2)], ..commit(1, 1, 2, 1) }).await.unwrap();
    store.append(vec![Append { epoch: 2, ..application(1, 1, 3) }]).await.remove(0).unwrap();
    let membership = store.memberships(device(2)).await.unwrap().remove(0);
    assert_eq!((membership.entry.removed_at, membership.head, membership.epoch), (Some(3), 4, 2));
    assert_eq!(store.append(vec![application(1, 2, 4)]).await, [Err(AppendError::NotMember)]);
    assert_eq!(store.delivered(group(1)).await.unwrap().len(), 1);
    store.acknowledge(device(2), vec![(group(1), 2)]).await.unwrap();
    assert_eq!(store.memberships(device(2)).await.unwrap()[0].entry.acked, 2);
    store.acknowledge(device(2), vec![(group(1), 4)]).await.unwrap();
    assert_eq!(store.memberships(device(2)).await, Ok(vec![]));
    assert_eq!(store.roster_entry(group(1), device(2)).await, Ok(None));
}

pub(super) async fn a_removed_device_can_be_forgotten_and_a_member_cannot(store: Arc<dyn Store>) {
    make_group(&store, 1, 2).await;
    store.commit(CommitRecord { removed: vec![device(2)], ..commit(1, 1, 2, 1) }).await.unwrap();
    for number in [1, 2, 3] {
        store.forget_removed(group(1), device(number)).await.unwrap();
    }
    let roster = store.roster(group(1)).await.unwrap();
    assert_eq!(roster.iter().map(|row| row.device).collect::<Vec<_>>(), [device(1)]);
    assert_eq!(store.memberships(device(2)).await, Ok(vec![]));
}

pub(super) async fn only_some_may_post_where_posting_is_restricted(store: Arc<dyn Store>) {
    let creator = Joined { may_post: true, ..joined(1) };
    store.create_group(CreateGroup { creator, posting_restricted: true, ..new_group(1, 1) }).await.unwrap();
    let add = CommitRecord { joined: vec![joined(2)], posting_restricted: true, ..commit(1, 1, 1, 0) };
    store.commit(add).await.unwrap();
    let proposal = Append { kind: Kind::Proposal, ..application(1, 2, 4) };
    let verdicts = store.append(vec![application(1, 1, 2), application(1, 2, 3), proposal]).await;
    assert!(verdicts[0].is_ok() && verdicts[2].is_ok());
    assert_eq!(verdicts[1], Err(AppendError::PostDenied));
    let open = CommitRecord { posting_restricted: false, ..commit(1, 1, 5, 1) };
    store.commit(open).await.unwrap();
    assert!(store.append(vec![application(1, 2, 3)]).await[0].is_ok());
}

pub(super) async fn members_that_wait_to_be_added_again_are_listed(store: Arc<dyn Store>) {
    make_group(&store, 1, 3).await;
    make_group(&store, 2, 1).await;
    for number in [3, 2, 9] {
        store.set_needs_re_add(group(1), device(number), true).await.unwrap();
    }
    let waiting = async || {
        let memberships = store.memberships(device(1)).await.unwrap();
        memberships.into_iter().map(|membership| membership.needs_re_add).collect::<Vec<_>>()
    };
    assert_eq!(waiting().await, [vec![device(2), device(3)], vec![]]);
    assert!(store.roster_entry(group(1), device(3)).await.unwrap().unwrap().needs_re_add);
    store.set_needs_re_add(group(1), device(3), false).await.unwrap();
    store.commit(CommitRecord { removed: vec![device(2)], ..commit(1, 1, 5, 1) }).await.unwrap();
    assert_eq!(waiting().await, [vec![], vec![]]);
}
