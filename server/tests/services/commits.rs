//! One commit per epoch, and what it must be accompanied by.

use bytes::Bytes;
use cercle_server::delivery::{Application, CommitRequest, Error};
use cercle_storage::store::Kind;

use super::world::{Device, Hub, Plan, bytes, id_of, leaf_of, new_id};

#[tokio::test]
async fn added_devices_join_and_talk() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut annes = hub.new_group(&anne).await;
    let mut brunos = hub.add(&anne, &mut annes, &[&bruno]).await.remove(0);
    hub.send(&bruno, &mut brunos, "bonjour").await.unwrap();
    let log = hub.log_after(id_of(&annes), 1).await;
    assert_eq!(anne.process(&mut annes, &log[0]).as_deref(), Some("bonjour"));
    let inbox = hub.store.inbox(bruno.device(), 0, 10).await.unwrap();
    assert_eq!(inbox.len(), 1, "the welcome is in the inbox of who was added");
}

#[tokio::test]
async fn of_two_committers_one_wins_and_the_other_builds_on_it() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut annes = hub.new_group(&anne).await;
    let mut brunos = hub.add(&anne, &mut annes, &[&bruno]).await.remove(0);
    let group = id_of(&annes);
    let (first, second) =
        (anne.commit(&mut annes, Plan::default()), bruno.commit(&mut brunos, Plan::default()));
    let (first, second) = tokio::join!(
        hub.delivery.commit(&anne.identity, first, hub.now),
        hub.delivery.commit(&bruno.identity, second, hub.now)
    );
    let won = [&first, &second].into_iter().flatten().count();
    assert_eq!(won, 1, "{first:?} {second:?}");
    let log = hub.log(group).await;
    let winner = log.last().unwrap();
    let (loser, losers, lost) =
        if first.is_ok() { (&bruno, &mut brunos, second) } else { (&anne, &mut annes, first) };
    match lost {
        Err(Error::EpochConflict { current_epoch: 2, winner_seq }) => assert_eq!(winner_seq, winner.seq),
        other => panic!("{other:?}"),
    }
    loser.process(losers, winner);
    hub.accept(loser, losers, Plan::default()).await.unwrap();
    assert_eq!(hub.epoch(group).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_committers_race_for_every_epoch_and_all_end_in_the_same_one() {
    let hub = Hub::new();
    let mut devices = Vec::new();
    for n in 0..8 {
        devices.push(hub.enrol(&format!("user{n}")).await);
    }
    let mut first = hub.new_group(&devices[0]).await;
    let others: Vec<&Device> = devices[1..].iter().collect();
    let mut groups = hub.add(&devices[0], &mut first, &others).await;
    groups.insert(0, first);
    let group = id_of(&groups[0]);
    for epoch in 1..=5 {
        let mut race = tokio::task::JoinSet::new();
        for (device, member) in devices.iter().zip(&mut groups) {
            let request = device.commit(member, Plan::default());
            let (delivery, identity, now) = (hub.delivery.clone(), device.identity.clone(), hub.now);
            race.spawn(async move { delivery.commit(&identity, request, now).await });
        }
        let verdicts = race.join_all().await;
        let conflict = |verdict: &Result<_, Error>| matches!(verdict, Err(Error::EpochConflict { .. }));
        assert_eq!(verdicts.iter().filter(|verdict| verdict.is_ok()).count(), 1, "epoch {epoch}");
        assert_eq!(verdicts.iter().filter(|verdict| conflict(verdict)).count(), 7, "epoch {epoch}");
        let log = hub.log(group).await;
        let winner = log.last().unwrap();
        assert_eq!(winner.epoch, epoch);
        for (device, member) in devices.iter().zip(&mut groups) {
            if Some(device.device()) == winner.sender {
                device.merge(member);
            } else {
                device.process(member, winner);
            }
        }
    }
    let authenticator = groups[0].epoch_authenticator().as_slice().to_vec();
    assert!(groups.iter().all(|member| member.epoch_authenticator().as_slice() == authenticator));
}

#[tokio::test]
async fn a_repeated_commit_gets_its_first_verdict_even_after_the_epoch_moved() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let mut group = hub.new_group(&anne).await;
    let request = anne.commit(&mut group, Plan::default());
    let first = hub.delivery.commit(&anne.identity, request.clone(), hub.now).await.unwrap();
    anne.merge(&mut group);
    hub.accept(&anne, &mut group, Plan::default()).await.unwrap();
    let again = hub.delivery.commit(&anne.identity, request, hub.now + 1000).await.unwrap();
    assert!(again.repeated && !first.repeated);
    assert_eq!((again.seq, again.epoch, again.at), (first.seq, first.epoch, first.at));
    assert_eq!(hub.log(id_of(&group)).await.len(), 2, "the repetition is no entry");
}

#[tokio::test]
async fn the_same_commit_sent_twice_at_once_is_one_entry() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let mut group = hub.new_group(&anne).await;
    let request = anne.commit(&mut group, Plan::default());
    let (one, two) = tokio::join!(
        hub.delivery.commit(&anne.identity, request.clone(), hub.now),
        hub.delivery.commit(&anne.identity, request, hub.now)
    );
    assert_eq!(one.unwrap().seq, two.unwrap().seq);
    assert_eq!(hub.log(id_of(&group)).await.len(), 1);
}

#[tokio::test]
async fn a_commit_of_a_past_or_future_epoch_is_a_conflict() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let mut group = hub.new_group(&anne).await;
    let skipped = anne.commit(&mut group, Plan::default());
    anne.merge(&mut group);
    let ahead = anne.commit(&mut group, Plan::default());
    let refused = hub.delivery.commit(&anne.identity, ahead, hub.now).await;
    assert!(matches!(refused, Err(Error::EpochConflict { current_epoch: 0, .. })), "{refused:?}");
    hub.delivery.commit(&anne.identity, skipped.clone(), hub.now).await.unwrap();
    let behind = CommitRequest { message_id: new_id(), ..skipped };
    let refused = hub.delivery.commit(&anne.identity, behind, hub.now).await;
    assert!(matches!(refused, Err(Error::EpochConflict { current_epoch: 1, winner_seq: 1 })), "{refused:?}");
}

#[tokio::test]
async fn a_commit_with_any_byte_changed_is_refused_and_the_group_goes_on() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let mut group = hub.new_group(&anne).await;
    let request = anne.commit(&mut group, Plan::default());
    for position in (0..request.commit.len()).step_by(7) {
        let mut commit = request.commit.to_vec();
        commit[position] ^= 1;
        let changed = CommitRequest { message_id: new_id(), commit: commit.into(), ..request.clone() };
        // Membership and confirmation tag need secrets to be checked (RFC 9420 section 6.2); the
        // confirmation tag is compared with that of the GroupInfo.
        let tail = request.commit.len() - 33;
        let verdict = hub.delivery.commit(&anne.identity, changed, hub.now).await;
        assert!(verdict.is_err() || position >= tail, "byte {position}: {verdict:?}");
        if verdict.is_ok() {
            return;
        }
    }
    hub.delivery.commit(&anne.identity, request, hub.now).await.unwrap();
}

#[tokio::test]
async fn a_commit_of_another_members_leaf_is_refused() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut annes = hub.new_group(&anne).await;
    hub.add(&anne, &mut annes, &[&bruno]).await;
    let request = anne.commit(&mut annes, Plan::default());
    let refused = hub.delivery.commit(&bruno.identity, request, hub.now).await;
    assert!(matches!(refused, Err(Error::MlsInvalid(_))), "{refused:?}");
}

#[tokio::test]
async fn the_welcome_is_for_exactly_the_added_key_packages() {
    let hub = Hub::new();
    let (anne, bruno, chloe) = (hub.enrol("anne").await, hub.enrol("bruno").await, hub.enrol("chloe").await);
    let mut group = hub.new_group(&anne).await;
    let plan = |device: &Device| Plan { add: vec![device.key_package()], ..Plan::default() };
    let other = anne.commit(&mut group, plan(&chloe)).welcome;
    anne.forget_commit(&mut group);
    let right = anne.commit(&mut group, plan(&bruno));
    for welcome in [None, other.clone(), Some(right.commit.clone()), Some(Bytes::from_static(b"x"))] {
        let request = CommitRequest { message_id: new_id(), welcome, ..right.clone() };
        let refused = hub.delivery.commit(&anne.identity, request, hub.now).await;
        assert!(matches!(refused, Err(Error::WelcomeMismatch(_))), "{refused:?}");
    }
    hub.delivery.commit(&anne.identity, right, hub.now).await.unwrap();
    anne.merge(&mut group);
    let nobody = anne.commit(&mut group, Plan::default());
    let request = CommitRequest { welcome: other, ..nobody };
    let refused = hub.delivery.commit(&anne.identity, request, hub.now).await;
    assert!(matches!(refused, Err(Error::WelcomeMismatch(_))), "a welcome without an add: {refused:?}");
}

#[tokio::test]
async fn the_group_info_is_that_of_the_new_epoch_without_tree() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let mut group = hub.new_group(&anne).await;
    let old = anne.group_info(&group);
    let right = anne.commit(&mut group, Plan::default());
    let mut flipped = right.group_info.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    let mut tag_flipped = right.group_info.to_vec();
    let signature_and_signer = 4 + 2 + 64;
    let position = tag_flipped.len() - signature_and_signer - 1;
    tag_flipped[position] ^= 1;
    let other = anne.group_info(&hub.found(&anne, &super::policies::conversation(&anne)).0);
    let no_group_info = right.commit.clone();
    for group_info in [old, flipped.into(), tag_flipped.into(), other, no_group_info] {
        let request = CommitRequest { message_id: new_id(), group_info, ..right.clone() };
        let refused = hub.delivery.commit(&anne.identity, request, hub.now).await;
        assert!(matches!(refused, Err(Error::GroupInfoMismatch(_))), "{refused:?}");
    }
    hub.delivery.commit(&anne.identity, right, hub.now).await.unwrap();
    anne.merge(&mut group);
    let mut with_tree = anne.commit(&mut group, Plan::default());
    anne.merge(&mut group);
    let crypto = openmls_traits::OpenMlsProvider::crypto(&anne.provider);
    with_tree.group_info = bytes(&group.export_group_info(crypto, &anne.signer, true).unwrap());
    let refused = hub.delivery.commit(&anne.identity, with_tree, hub.now).await;
    assert!(matches!(refused, Err(Error::GroupInfoMismatch(_))), "{refused:?}");
}

#[tokio::test]
async fn a_group_has_a_largest_size() {
    let hub = Hub::with_group_size(2);
    let (anne, bruno, chloe) = (hub.enrol("anne").await, hub.enrol("bruno").await, hub.enrol("chloe").await);
    let mut group = hub.new_group(&anne).await;
    hub.add(&anne, &mut group, &[&bruno]).await;
    let plan = Plan { add: vec![chloe.key_package()], ..Plan::default() };
    let refused = hub.accept(&anne, &mut group, plan).await;
    assert!(matches!(refused, Err(Error::GroupFull(2))), "{refused:?}");
    let leaf = leaf_of(&group, &bruno);
    let exchange = Plan { add: vec![chloe.key_package()], remove: vec![leaf], ..Plan::default() };
    hub.accept(&anne, &mut group, exchange).await.unwrap();
}

#[tokio::test]
async fn a_commit_carries_the_first_message_of_its_epoch() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let mut group = hub.new_group(&anne).await;
    let mut request = anne.commit(&mut group, Plan::default());
    let stale = anne.encrypt(&mut group, "of the old epoch");
    request.application = Some(Application::new(new_id(), stale));
    let refused = hub.delivery.commit(&anne.identity, request.clone(), hub.now).await;
    assert!(matches!(refused, Err(Error::InvalidField(_))), "{refused:?}");
    anne.merge(&mut group);
    let id = new_id();
    request.application = Some(Application::new(id, anne.encrypt(&mut group, "of the new epoch")));
    let accepted = hub.delivery.commit(&anne.identity, request, hub.now).await.unwrap();
    let log = hub.log(id_of(&group)).await;
    assert_eq!((log.len(), log[1].seq, log[1].kind), (2, accepted.seq + 1, Kind::Application));
    assert_eq!((log[1].message_id, log[1].epoch), (id, 1));
}

#[tokio::test]
async fn an_epoch_at_the_end_of_the_numbers_is_a_conflict_like_any_other() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let mut group = hub.new_group(&anne).await;
    let mut request = anne.commit(&mut group, Plan::default());
    let application = anne.encrypt(&mut group, "fin");
    let last_epoch = |mls: &Bytes| {
        let mut mls = mls.to_vec();
        mls[21..29].fill(0xff);
        Bytes::from(mls)
    };
    request.commit = last_epoch(&request.commit);
    request.application = Some(Application::new(new_id(), last_epoch(&application)));
    let refused = hub.delivery.commit(&anne.identity, request, hub.now).await;
    assert!(matches!(refused, Err(Error::EpochConflict { current_epoch: 0, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_member_is_removed_and_added_again_in_one_commit() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut group = hub.new_group(&anne).await;
    hub.add(&anne, &mut group, &[&bruno]).await;
    let (leaf, package) = (leaf_of(&group, &bruno), bruno.key_package());
    let plan = Plan { add: vec![package], remove: vec![leaf], ..Plan::default() };
    let request = anne.commit(&mut group, plan);
    let welcome = request.welcome.clone().unwrap();
    let accepted = hub.delivery.commit(&anne.identity, request, hub.now).await.unwrap();
    anne.merge(&mut group);
    let mut brunos = bruno.join(&welcome, &group);
    let entry = hub.store.roster_entry(id_of(&group), bruno.device()).await.unwrap().unwrap();
    assert_eq!((entry.joined_at, entry.removed_at), (accepted.seq, None));
    hub.send(&bruno, &mut brunos, "de retour").await.unwrap();
}

#[tokio::test]
async fn a_group_survives_being_forgotten_by_the_cache() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let mut group = hub.new_group(&anne).await;
    hub.accept(&anne, &mut group, Plan::default()).await.unwrap();
    for _ in 0..cercle_server::limits::GROUP_CACHE_MAX {
        hub.new_group(&anne).await;
    }
    hub.accept(&anne, &mut group, Plan::default()).await.unwrap();
    assert_eq!(hub.epoch(id_of(&group)).await, 2);
}
