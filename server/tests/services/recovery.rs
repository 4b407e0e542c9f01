//! When a device cannot follow: what the hub notes and whom it tells.

use cercle_server::{
    delivery::{Error, WelcomeOutcome},
    limits::ASSISTANCE_RATE,
};
use cercle_storage::store::InboxBody;

use super::world::{Hub, Plan, id_of, leaf_of};

#[tokio::test]
async fn a_welcome_that_does_not_open_makes_its_device_wait_to_be_added_again() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut group = hub.new_group(&anne).await;
    hub.add(&anne, &mut group, &[&bruno]).await;
    let id = id_of(&group);
    let ack = |outcome| hub.delivery.welcome_ack(&bruno.identity, id, outcome, hub.now);
    ack(WelcomeOutcome::NoMatchingKeyPackage).await.unwrap();
    let listed = hub.delivery.list_groups(&anne.identity).await.unwrap();
    assert_eq!(listed[0].needs_re_add, [bruno.device()]);
    let plan =
        Plan { add: vec![bruno.key_package()], remove: vec![leaf_of(&group, &bruno)], ..Plan::default() };
    hub.accept(&anne, &mut group, plan).await.unwrap();
    let listed = hub.delivery.list_groups(&anne.identity).await.unwrap();
    assert!(listed[0].needs_re_add.is_empty(), "it was added again");
    ack(WelcomeOutcome::Joined).await.unwrap();
}

#[tokio::test]
async fn only_a_member_asks_to_be_added_again_and_not_too_often() {
    let hub = Hub::new();
    let (anne, bruno, stranger) =
        (hub.enrol("anne").await, hub.enrol("bruno").await, hub.enrol("stranger").await);
    let mut group = hub.new_group(&anne).await;
    hub.add(&anne, &mut group, &[&bruno]).await;
    let id = id_of(&group);
    let refused = hub.delivery.request_re_add(&stranger.identity, id, hub.now).await;
    assert!(matches!(refused, Err(Error::GroupUnknown)), "{refused:?}");
    for _ in 0..ASSISTANCE_RATE.burst {
        hub.delivery.request_re_add(&bruno.identity, id, hub.now).await.unwrap();
    }
    let limited = hub.delivery.request_re_add(&bruno.identity, id, hub.now).await;
    assert!(matches!(limited, Err(Error::RateLimited { .. })), "{limited:?}");
    let audit = hub.store.audit(0, 100).await.unwrap();
    let noted = audit.iter().filter(|record| record.entry.action == "member.needs_re_add");
    assert_eq!(noted.count(), 1, "once for one need");
}

#[tokio::test]
async fn a_report_reaches_the_administrators_and_names_a_commit() {
    let hub = Hub::new();
    let (anne, bruno, chloe) = (hub.enrol("anne").await, hub.enrol("bruno").await, hub.enrol("chloe").await);
    let mut group = hub.new_group(&anne).await;
    hub.add(&anne, &mut group, &[&bruno, &chloe]).await;
    let sent = hub.send(&anne, &mut group, "pas un commit").await.unwrap();
    let commit = hub.accept(&anne, &mut group, Plan::default()).await.unwrap();
    let id = id_of(&group);
    let report = |seq| hub.delivery.report_invalid_commit(&bruno.identity, id, seq, hub.now);
    for no_commit in [0, 1, sent.seq, commit.seq + 1] {
        let refused = report(no_commit).await;
        assert!(matches!(refused, Err(Error::InvalidField(_))), "{no_commit}: {refused:?}");
    }
    report(commit.seq).await.unwrap();
    let told = hub.store.inbox(anne.device(), 0, 10).await.unwrap();
    let expected = InboxBody::InvalidCommitReported { group: id, seq: commit.seq, reporter: bruno.device() };
    assert_eq!(told[0].body, expected);
    let not_told = hub.store.inbox(chloe.device(), 0, 10).await.unwrap();
    assert_eq!(not_told.len(), 1, "only her own welcome");
}
