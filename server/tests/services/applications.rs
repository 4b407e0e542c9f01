//! Application messages: opaque, in order, near the group's epoch, from members only.

use bytes::Bytes;
use cercle_server::{
    delivery::{Application, Error},
    limits::{APPLICATION_BYTES_MAX, EPHEMERAL_BYTES_MAX},
};

use super::world::{Hub, Plan, id_of, new_id};

#[tokio::test]
async fn many_messages_at_once_get_dense_numbers() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let mut group = hub.new_group(&anne).await;
    let messages: Vec<Bytes> = (0..64).map(|n| anne.encrypt(&mut group, &format!("{n}"))).collect();
    let sends = messages.into_iter().map(|mls| {
        let (delivery, identity, group, now) =
            (hub.delivery.clone(), anne.identity.clone(), id_of(&group), hub.now);
        tokio::spawn(async move {
            delivery.send_application(&identity, group, Application::new(new_id(), mls), now).await
        })
    });
    let sends: Vec<_> = sends.collect();
    let mut numbers = Vec::new();
    for send in sends {
        numbers.push(send.await.unwrap().unwrap().seq);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=64).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_repeated_message_gets_its_first_verdict() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let mut group = hub.new_group(&anne).await;
    let (id, mls) = (new_id(), anne.encrypt(&mut group, "une fois"));
    let send = |now| {
        hub.delivery.send_application(&anne.identity, id_of(&group), Application::new(id, mls.clone()), now)
    };
    let first = send(hub.now).await.unwrap();
    let again = send(hub.now + 5).await.unwrap();
    assert_eq!((again.seq, again.at, again.repeated), (first.seq, first.at, true));
    assert_eq!(hub.log(id_of(&group)).await.len(), 1);
}

#[tokio::test]
async fn a_message_may_be_two_epochs_behind_but_not_three_and_not_ahead() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let mut group = hub.new_group(&anne).await;
    let old: Vec<Bytes> = (0..2).map(|_| anne.encrypt(&mut group, "tard")).collect();
    let send = |mls: Bytes, id| {
        hub.delivery.send_application(&anne.identity, id, Application::new(new_id(), mls), hub.now)
    };
    let id = id_of(&group);
    for _ in 0..2 {
        hub.accept(&anne, &mut group, Plan::default()).await.unwrap();
    }
    send(old[0].clone(), id).await.unwrap();
    hub.accept(&anne, &mut group, Plan::default()).await.unwrap();
    let refused = send(old[1].clone(), id).await;
    assert!(matches!(refused, Err(Error::EpochStale { current_epoch: 3, .. })), "{refused:?}");
    anne.commit(&mut group, Plan::default());
    anne.merge(&mut group);
    let ahead = anne.encrypt(&mut group, "trop tôt");
    let refused = send(ahead, id).await;
    assert!(matches!(refused, Err(Error::EpochStale { current_epoch: 3, .. })), "{refused:?}");
}

/// A PublicMessage of content type application (RFC 9420 section 6.2), which MLS forbids.
fn public_application(group: &[u8]) -> Bytes {
    let mut mls = vec![0, 1, 0, 1, 16];
    mls.extend(group);
    mls.extend([0; 8]);
    mls.extend([1, 0, 0, 0, 0, 0, 1, 2]);
    mls.extend(b"hi");
    mls.into()
}

#[tokio::test]
async fn readable_application_messages_are_refused() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let mut group = hub.new_group(&anne).await;
    let id = id_of(&group);
    let commit = anne.commit(&mut group, Plan::default()).commit;
    for mls in [public_application(id.as_bytes()), commit, anne.group_info(&group)] {
        let refused =
            hub.delivery.send_application(&anne.identity, id, Application::new(new_id(), mls), hub.now).await;
        assert!(matches!(refused, Err(Error::ApplicationNotPrivate)), "{refused:?}");
    }
    let refused = hub
        .delivery
        .send_application(&anne.identity, id, Application::new(new_id(), Bytes::from_static(b"hi")), hub.now)
        .await;
    assert!(matches!(refused, Err(Error::MlsInvalid(_))), "{refused:?}");
}

#[tokio::test]
async fn a_message_of_another_group_or_size_is_refused() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let (mut one, other) = (hub.new_group(&anne).await, hub.new_group(&anne).await);
    let mls = anne.encrypt(&mut one, "ici");
    let send = |mls| {
        hub.delivery.send_application(&anne.identity, id_of(&other), Application::new(new_id(), mls), hub.now)
    };
    assert!(matches!(send(mls).await, Err(Error::InvalidField(_))));
    let long = Bytes::from(vec![0; APPLICATION_BYTES_MAX + 1]);
    assert!(matches!(send(long).await, Err(Error::TooLarge(_))));
}

#[tokio::test]
async fn who_is_not_in_a_group_learns_nothing_of_it() {
    let hub = Hub::new();
    let (anne, stranger) = (hub.enrol("anne").await, hub.enrol("stranger").await);
    let mut group = hub.new_group(&anne).await;
    let id = id_of(&group);
    let mls = anne.encrypt(&mut group, "bonjour");
    let refused = hub
        .delivery
        .send_application(&stranger.identity, id, Application::new(new_id(), mls.clone()), hub.now)
        .await;
    assert!(matches!(refused, Err(Error::GroupUnknown)), "{refused:?}");
    assert!(matches!(hub.delivery.ephemeral(&stranger.identity, id, mls).await, Err(Error::GroupUnknown)));
    let refused = hub.delivery.delivery_status(&stranger.identity, id).await;
    assert!(matches!(refused, Err(Error::GroupUnknown)), "{refused:?}");
    assert!(hub.delivery.list_groups(&stranger.identity).await.unwrap().is_empty());
}

#[tokio::test]
async fn delivery_status_follows_the_acknowledgements() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut annes = hub.new_group(&anne).await;
    hub.add(&anne, &mut annes, &[&bruno]).await;
    let id = id_of(&annes);
    let sent = hub.send(&anne, &mut annes, "reçu ?").await.unwrap();
    hub.delivery.acknowledge(&bruno.identity, &[(id, sent.seq)], 1).await.unwrap();
    let status = hub.delivery.delivery_status(&anne.identity, id).await.unwrap();
    let acked = |device| status.iter().find(|row| row.device == device).unwrap().acked;
    assert_eq!((acked(bruno.device()), acked(anne.device()) < sent.seq), (sent.seq, true));
    assert!(hub.store.inbox(bruno.device(), 0, 10).await.unwrap().is_empty(), "the welcome is done");
}

#[tokio::test]
async fn ephemeral_messages_are_small_and_private() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let mut group = hub.new_group(&anne).await;
    let id = id_of(&group);
    let small = anne.encrypt(&mut group, "écrit…");
    hub.delivery.ephemeral(&anne.identity, id, small).await.unwrap();
    let large = anne.encrypt(&mut group, &"x".repeat(EPHEMERAL_BYTES_MAX));
    assert!(matches!(hub.delivery.ephemeral(&anne.identity, id, large).await, Err(Error::TooLarge(_))));
    let readable = public_application(id.as_bytes());
    let refused = hub.delivery.ephemeral(&anne.identity, id, readable).await;
    assert!(matches!(refused, Err(Error::ApplicationNotPrivate)), "{refused:?}");
    assert!(hub.log(id).await.is_empty(), "nothing is stored");
}
