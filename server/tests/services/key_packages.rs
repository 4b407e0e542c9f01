//! Key packages: verified when published, handed out once, never running dry.

use std::collections::HashSet;

use bytes::Bytes;
use cercle_server::{
    auth::Inviter,
    delivery::{ClaimRequest, Error},
    limits::{CLAIM_USERS_MAX, KEY_PACKAGES_MAX, KEY_PACKAGES_PER_PUBLICATION_MAX},
};
use openmls::prelude::MlsMessageOut;

use super::world::{DAY_MS, Device, Hub, Plan, basic_credential, bytes, credential, id_of, received};

async fn publish(hub: &Hub, device: &Device, count: usize, last_resort: bool) -> usize {
    let packages = (0..count).map(|_| device.published(false)).collect();
    let last_resort = last_resort.then(|| device.published(true));
    hub.delivery.publish_key_packages(&device.identity, 1, packages, last_resort, hub.now).await.unwrap()
}

#[tokio::test]
async fn a_claimed_package_adds_its_device() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    assert_eq!(publish(&hub, &bruno, 3, false).await, 3);
    let mut group = hub.new_group(&anne).await;
    let reply = hub.claim(&anne, &[&bruno]).await;
    assert_eq!((reply.packages.len(), reply.missing.len()), (1, 0));
    let plan = Plan { add: vec![received(&reply.packages[0].body)], ..Plan::default() };
    hub.accept(&anne, &mut group, plan).await.unwrap();
    assert_eq!(hub.store.left(bruno.device()).await.unwrap(), 2);
}

#[tokio::test]
async fn sixteen_claimers_at_once_get_sixteen_packages() {
    let hub = Hub::new();
    let bruno = hub.enrol("bruno").await;
    publish(&hub, &bruno, 16, true).await;
    let mut claims = Vec::new();
    for n in 0..16 {
        let claimer = hub.enrol(&format!("claimer{n}")).await;
        let (delivery, now) = (hub.delivery.clone(), hub.now);
        let users = vec![bruno.user().clone()];
        let request = ClaimRequest { claim_id: [n; 16], users, group: None, device: None };
        claims.push(tokio::spawn(async move {
            delivery.claim_key_packages(&claimer.identity, request, now).await.unwrap()
        }));
    }
    let mut claimed = HashSet::new();
    for claim in claims {
        let package = claim.await.unwrap().packages.remove(0);
        assert!(!package.last_resort);
        claimed.insert(package.body);
    }
    assert_eq!(claimed.len(), 16, "none twice");
}

#[tokio::test]
async fn the_last_resort_serves_when_the_others_are_used_up() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    publish(&hub, &bruno, 1, true).await;
    let last_resorts = [
        hub.claim(&anne, &[&bruno]).await.packages[0].last_resort,
        hub.claim(&anne, &[&bruno]).await.packages[0].last_resort,
        hub.claim(&anne, &[&bruno]).await.packages[0].last_resort,
    ];
    assert_eq!(last_resorts, [false, true, true]);
}

#[tokio::test]
async fn a_repeated_claim_takes_nothing() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    publish(&hub, &bruno, 2, false).await;
    let request =
        ClaimRequest { claim_id: [5; 16], users: vec![bruno.user().clone()], group: None, device: None };
    let claim = || hub.delivery.claim_key_packages(&anne.identity, request.clone(), hub.now);
    let (first, again) = (claim().await.unwrap(), claim().await.unwrap());
    assert_eq!(first.packages, again.packages);
    assert_eq!(hub.store.left(bruno.device()).await.unwrap(), 1);
}

#[tokio::test]
async fn a_claim_leaves_out_members_the_revoked_and_the_claimer_and_names_the_missing() {
    let hub = Hub::new();
    let (anne, tablet, bruno, gone, empty) = (
        hub.enrol("anne").await,
        hub.enrol("anne").await,
        hub.enrol("bruno").await,
        hub.enrol("bruno").await,
        hub.enrol("empty").await,
    );
    for device in [&anne, &tablet, &bruno, &gone] {
        publish(&hub, device, 1, false).await;
    }
    hub.auth.revoke_device(Inviter::Operator, gone.device(), hub.now).await.unwrap();
    let mut group = hub.new_group(&anne).await;
    hub.add(&anne, &mut group, &[&bruno]).await;
    let users = vec![anne.user().clone(), bruno.user().clone(), empty.user().clone()];
    let request = ClaimRequest { claim_id: [6; 16], users, group: Some(id_of(&group)), device: None };
    let reply = hub.delivery.claim_key_packages(&anne.identity, request, hub.now).await.unwrap();
    let devices: Vec<_> = reply.packages.iter().map(|package| package.device).collect();
    assert_eq!(devices, [tablet.device()]);
    assert_eq!(reply.missing, [empty.user().clone()]);

    let users = vec![bruno.user().clone()];
    let again =
        ClaimRequest { claim_id: [7; 16], users, group: Some(id_of(&group)), device: Some(bruno.device()) };
    let reply = hub.delivery.claim_key_packages(&anne.identity, again, hub.now).await.unwrap();
    assert_eq!(reply.packages[0].device, bruno.device(), "for adding a member again");
}

#[tokio::test]
async fn a_claim_is_limited_and_no_window_into_other_groups() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let group = id_of(&hub.new_group(&bruno).await);
    let users = vec![bruno.user().clone()];
    let request = ClaimRequest { claim_id: [8; 16], users, group: Some(group), device: None };
    let refused = hub.delivery.claim_key_packages(&anne.identity, request.clone(), hub.now).await;
    assert!(matches!(refused, Err(Error::GroupUnknown)), "{refused:?}");
    let many = ClaimRequest { users: vec![bruno.user().clone(); CLAIM_USERS_MAX + 1], ..request.clone() };
    let refused = hub.delivery.claim_key_packages(&anne.identity, many, hub.now).await;
    assert!(matches!(refused, Err(Error::TooMany(_))), "{refused:?}");
    let request = ClaimRequest { group: None, ..request };
    let mut last = Ok(());
    for _ in 0..=cercle_server::limits::CLAIM_PAIR_RATE.burst {
        let claim = hub.delivery.claim_key_packages(&anne.identity, request.clone(), hub.now);
        last = claim.await.map(|_| ());
    }
    assert!(matches!(last, Err(Error::RateLimited { .. })), "{last:?}");
}

async fn refused(hub: &Hub, device: &Device, package: Bytes, last_resort: bool) -> Error {
    let (packages, last) = if last_resort { (vec![], Some(package)) } else { (vec![package], None) };
    hub.delivery.publish_key_packages(&device.identity, 1, packages, last, hub.now).await.unwrap_err()
}

#[tokio::test]
async fn a_package_that_is_not_the_devices_own_and_whole_is_refused() {
    let hub = Hub::new();
    let (bruno, chloe) = (hub.enrol("bruno").await, hub.enrol("chloe").await);
    let good = bruno.published(false);
    let mut flipped = good.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    let whole_year = bytes(&MlsMessageOut::from(bruno.build_key_package(false, 365 * DAY_MS / 1000)));
    let basic = Device { credential: basic_credential(bruno.signer.public()), ..hub.enrol("bruno").await };
    let basic = Device { credential: basic_credential(basic.signer.public()), ..basic };
    let foreign = Hub::new().enrol("bruno").await;
    let other_key = Device {
        credential: credential(&bruno.certificate, chloe.signer.public()),
        ..hub.enrol("bruno").await
    };
    let other_key =
        Device { credential: credential(&bruno.certificate, other_key.signer.public()), ..other_key };
    let cases = [
        ("tampered", flipped.into(), false),
        ("outlives its certificate", whole_year, false),
        ("another device's", chloe.published(false), false),
        ("basic credential", basic.published(false), false),
        ("another root", foreign.published(false), false),
        ("another key", other_key.published(false), false),
        ("last resort among the others", bruno.published(true), false),
        ("no last resort", good.clone(), true),
        ("no key package", Bytes::from_static(b"\0\x01\0\x05"), false),
    ];
    for (case, package, last_resort) in cases {
        let error = refused(&hub, &bruno, package, last_resort).await;
        assert!(matches!(error, Error::KeyPackageInvalid(_)), "{case}: {error:?}");
    }
    assert_eq!(hub.store.left(bruno.device()).await.unwrap(), 0);
    hub.delivery.publish_key_packages(&bruno.identity, 1, vec![good], None, hub.now).await.unwrap();
}

#[tokio::test]
async fn a_new_generation_replaces_the_old_one_and_an_old_copy_is_told() {
    let hub = Hub::new();
    let bruno = hub.enrol("bruno").await;
    publish(&hub, &bruno, 3, true).await;
    let publish = |generation| {
        let packages = vec![bruno.published(false)];
        hub.delivery.publish_key_packages(&bruno.identity, generation, packages, None, hub.now)
    };
    assert_eq!(publish(2).await.unwrap(), 1);
    assert!(matches!(publish(1).await, Err(Error::KeyPackageInvalid(_))));
}

#[tokio::test]
async fn the_stock_has_a_largest_size() {
    let hub = Hub::new();
    let bruno = hub.enrol("bruno").await;
    publish(&hub, &bruno, KEY_PACKAGES_MAX, false).await;
    let more = vec![bruno.published(false)];
    let full = hub.delivery.publish_key_packages(&bruno.identity, 1, more, None, hub.now).await;
    assert!(matches!(full, Err(Error::KeyPackagesFull { .. })), "{full:?}");
    let many = vec![bruno.published(false); KEY_PACKAGES_PER_PUBLICATION_MAX + 1];
    let refused = hub.delivery.publish_key_packages(&bruno.identity, 1, many, None, hub.now).await;
    assert!(matches!(refused, Err(Error::TooMany(_))), "{refused:?}");
}
