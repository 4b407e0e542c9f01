//! Joining by external commit: further devices of members, and devices that lost their state.

use cercle_server::{delivery::Error, limits::GROUP_INFO_RATE};

use super::world::{Hub, Plan, id_of};

#[tokio::test]
async fn a_further_device_of_a_member_joins_by_itself() {
    let hub = Hub::new();
    let (anne, tablet) = (hub.enrol("anne").await, hub.enrol("anne").await);
    let mut annes = hub.new_group(&anne).await;
    let group = id_of(&annes);
    let info = hub.delivery.group_info(&tablet.identity, group, hub.now).await.unwrap();
    let (mut tablets, request) = tablet.join_externally(&info);
    let accepted = hub.delivery.commit(&tablet.identity, request, hub.now).await.unwrap();
    assert_eq!(accepted.epoch, 1);
    let entry = hub.store.roster_entry(group, tablet.device()).await.unwrap().unwrap();
    assert_eq!(entry.joined_at, accepted.seq, "reading starts after the own commit");
    anne.process(&mut annes, hub.log(group).await.last().unwrap());
    hub.send(&tablet, &mut tablets, "bonjour").await.unwrap();
    let log = hub.log_after(group, accepted.seq).await;
    assert_eq!(anne.process(&mut annes, &log[0]).as_deref(), Some("bonjour"));
}

#[tokio::test]
async fn a_device_that_lost_its_state_takes_its_own_place_again() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut annes = hub.new_group(&anne).await;
    let brunos = hub.add(&anne, &mut annes, &[&bruno]).await.remove(0);
    let group = id_of(&annes);
    let mut lost = brunos;
    lost.delete(openmls_traits::OpenMlsProvider::storage(&bruno.provider)).unwrap();
    let info = hub.delivery.group_info(&bruno.identity, group, hub.now).await.unwrap();
    let (mut brunos, request) = bruno.join_externally(&info);
    let accepted = hub.delivery.commit(&bruno.identity, request, hub.now).await.unwrap();
    assert_eq!(hub.members(group).await.len(), 2, "in the roster once");
    let entry = hub.store.roster_entry(group, bruno.device()).await.unwrap().unwrap();
    assert_eq!((entry.joined_at, entry.removed_at), (accepted.seq, None));
    anne.process(&mut annes, hub.log(group).await.last().unwrap());
    assert_eq!(annes.epoch_authenticator().as_slice(), brunos.epoch_authenticator().as_slice());
    hub.accept(&bruno, &mut brunos, Plan::default()).await.unwrap();
}

#[tokio::test]
async fn a_stranger_neither_gets_the_group_info_nor_joins() {
    let hub = Hub::new();
    let (anne, stranger) = (hub.enrol("anne").await, hub.enrol("stranger").await);
    let annes = hub.new_group(&anne).await;
    let group = id_of(&annes);
    let refused = hub.delivery.group_info(&stranger.identity, group, hub.now).await;
    assert!(matches!(refused, Err(Error::GroupUnknown)), "{refused:?}");
    let stolen = hub.delivery.group_info(&anne.identity, group, hub.now).await.unwrap();
    let (_, request) = stranger.join_externally(&stolen);
    let refused = hub.delivery.commit(&stranger.identity, request, hub.now).await;
    assert!(matches!(refused, Err(Error::ExternalJoinDenied)), "{refused:?}");
}

#[tokio::test]
async fn an_external_commit_made_for_another_device_is_refused() {
    let hub = Hub::new();
    let (anne, tablet) = (hub.enrol("anne").await, hub.enrol("anne").await);
    let annes = hub.new_group(&anne).await;
    let info = hub.delivery.group_info(&anne.identity, id_of(&annes), hub.now).await.unwrap();
    let (_, request) = tablet.join_externally(&info);
    let refused = hub.delivery.commit(&anne.identity, request, hub.now).await;
    assert!(matches!(refused, Err(Error::CertificateRefused(_))), "{refused:?}");
}

#[tokio::test]
async fn a_removed_member_does_not_come_back_by_himself() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut annes = hub.new_group(&anne).await;
    hub.add(&anne, &mut annes, &[&bruno]).await;
    let group = id_of(&annes);
    let leaf = super::world::leaf_of(&annes, &bruno);
    hub.accept(&anne, &mut annes, Plan { remove: vec![leaf], ..Plan::default() }).await.unwrap();
    let refused = hub.delivery.group_info(&bruno.identity, group, hub.now).await;
    assert!(matches!(refused, Err(Error::NotMember)), "{refused:?}");
    let stolen = hub.delivery.group_info(&anne.identity, group, hub.now).await.unwrap();
    let (_, request) = bruno.join_externally(&stolen);
    let refused = hub.delivery.commit(&bruno.identity, request, hub.now).await;
    assert!(matches!(refused, Err(Error::ExternalJoinDenied)), "{refused:?}");
}

#[tokio::test]
async fn group_infos_are_rate_limited_per_device() {
    let hub = Hub::new();
    let (anne, tablet) = (hub.enrol("anne").await, hub.enrol("anne").await);
    let group = id_of(&hub.new_group(&anne).await);
    for _ in 0..GROUP_INFO_RATE.burst {
        hub.delivery.group_info(&anne.identity, group, hub.now).await.unwrap();
    }
    let limited = hub.delivery.group_info(&anne.identity, group, hub.now).await;
    assert!(matches!(limited, Err(Error::RateLimited { retry_after_ms: 1.. })), "{limited:?}");
    hub.delivery.group_info(&tablet.identity, group, hub.now).await.unwrap();
}
