//! New leaves: certified by this CPTS, valid now, for the enrolled key of a device that is not revoked.

use cercle_proto::id::DeviceId;
use cercle_server::{
    auth::{Inviter, authority::make_root},
    clock::Clock,
    delivery::{Error, Settings},
};

use super::world::{DAY_MS, DOMAIN, Device, Hub, Plan, credential};

async fn refused_to_add(hub: &Hub, added: &Device, after_ms: u64) -> Error {
    let anne = hub.enrol("anne").await;
    let mut group = hub.new_group(&anne).await;
    let plan = Plan { add: vec![added.key_package()], ..Plan::default() };
    let request = anne.commit(&mut group, plan);
    hub.delivery.commit(&anne.identity, request, hub.now + after_ms).await.unwrap_err()
}

#[tokio::test]
async fn a_certificate_of_another_root_is_refused() {
    let (hub, other_hub) = (Hub::new(), Hub::new());
    let foreign = other_hub.enrol("bruno").await;
    let refused = refused_to_add(&hub, &foreign, 0).await;
    assert!(matches!(refused, Error::CertificateRefused(why) if why.contains("root")), "{refused:?}");
}

#[tokio::test]
async fn an_expired_certificate_is_refused_on_a_new_leaf() {
    let hub = Hub::new();
    let bruno = hub.enrol("bruno").await;
    let refused = refused_to_add(&hub, &bruno, 91 * DAY_MS).await;
    assert!(matches!(refused, Error::CertificateRefused(why) if why.contains("time")), "{refused:?}");
}

#[tokio::test]
async fn a_member_with_an_expired_certificate_does_not_stop_the_others() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut annes = hub.new_group(&anne).await;
    hub.add(&anne, &mut annes, &[&bruno]).await;
    let late = hub.now + 91 * DAY_MS;
    let renewed = hub.auth.renew_certificate(&anne.identity, late).await.unwrap();
    let anne = Device { credential: credential(&renewed.certificate, anne.signer.public()), ..anne };
    let leaf = openmls::prelude::LeafNodeParameters::builder()
        .with_credential_with_key(anne.credential.clone())
        .build();
    let bundle = annes.self_update(&anne.provider, &anne.signer, leaf).unwrap();
    anne.merge(&mut annes);
    let request = cercle_server::delivery::CommitRequest {
        group: super::world::id_of(&annes),
        message_id: super::world::new_id(),
        commit: super::world::bytes(bundle.commit()),
        welcome: None,
        group_info: anne.group_info(&annes),
        application: None,
    };
    hub.delivery.commit(&anne.identity, request, late).await.unwrap();
}

#[tokio::test]
async fn a_certificate_for_another_key_is_refused() {
    let hub = Hub::new();
    let (bruno, chloe) = (hub.enrol("bruno").await, hub.enrol("chloe").await);
    // openmls does not look into the certificate: the hub must.
    let forged = Device { credential: credential(&chloe.certificate, bruno.signer.public()), ..bruno };
    let refused = refused_to_add(&hub, &forged, 0).await;
    assert!(matches!(refused, Error::CertificateRefused(why) if why.contains("key")), "{refused:?}");
}

#[tokio::test]
async fn a_device_that_is_not_enrolled_here_is_refused() {
    let root = make_root(DOMAIN, Clock::system().now()).unwrap();
    let (hub, lost_hub) = (Hub::with(&root, Settings::default()), Hub::with(&root, Settings::default()));
    let unknown = lost_hub.enrol("bruno").await;
    let refused = refused_to_add(&hub, &unknown, 0).await;
    assert!(matches!(refused, Error::CertificateRefused(why) if why.contains("not enrolled")), "{refused:?}");
}

#[tokio::test]
async fn a_device_is_refused_with_another_key_than_it_enrolled_and_never_in_a_group_twice() {
    let root = make_root(DOMAIN, Clock::system().now()).unwrap();
    let (hub, lost_hub) = (Hub::with(&root, Settings::default()), Hub::with(&root, Settings::default()));
    let device = DeviceId::new([9; 16]);
    let (bruno, twin) = (hub.enrol_as("bruno", device).await, lost_hub.enrol_as("bruno", device).await);
    let refused = refused_to_add(&hub, &twin, 0).await;
    assert!(matches!(refused, Error::CertificateRefused(why) if why.contains("another key")), "{refused:?}");

    let anne = hub.enrol("anne").await;
    let mut group = hub.new_group(&anne).await;
    hub.add(&anne, &mut group, &[&bruno]).await;
    let plan = Plan { add: vec![twin.key_package()], ..Plan::default() };
    let refused = hub.accept(&anne, &mut group, plan).await;
    assert!(matches!(refused, Err(Error::CertificateRefused(why)) if why.contains("twice")), "{refused:?}");
}

#[tokio::test]
async fn a_revoked_device_is_neither_added_nor_commits() {
    let hub = Hub::new();
    let bruno = hub.enrol("bruno").await;
    let mut group = hub.new_group(&bruno).await;
    hub.auth.revoke_device(Inviter::Operator, bruno.device(), hub.now).await.unwrap();
    let refused = refused_to_add(&hub, &bruno, 0).await;
    assert!(matches!(refused, Error::CertificateRefused(why) if why.contains("revoked")), "{refused:?}");
    let refused = hub.accept(&bruno, &mut group, Plan::default()).await;
    assert!(matches!(refused, Err(Error::DeviceRevoked)), "{refused:?}");
}

#[tokio::test]
async fn a_member_renews_his_leaf_only_with_the_key_he_enrolled() {
    let root = make_root(DOMAIN, Clock::system().now()).unwrap();
    let (hub, lost_hub) = (Hub::with(&root, Settings::default()), Hub::with(&root, Settings::default()));
    let device = DeviceId::new([9; 16]);
    let (anne, twin) = (hub.enrol_as("anne", device).await, lost_hub.enrol_as("anne", device).await);
    let mut group = hub.new_group(&anne).await;
    let bundle = group
        .self_update_with_new_signer(
            &anne.provider,
            &anne.signer,
            openmls::prelude::NewSignerBundle {
                signer: &twin.signer,
                credential_with_key: twin.credential.clone(),
            },
            openmls::prelude::LeafNodeParameters::default(),
        )
        .unwrap();
    let commit = super::world::bytes(bundle.commit());
    anne.merge(&mut group);
    let request = cercle_server::delivery::CommitRequest {
        group: super::world::id_of(&group),
        message_id: super::world::new_id(),
        commit,
        welcome: None,
        group_info: twin.group_info_by(&anne, &group),
        application: None,
    };
    let refused = hub.delivery.commit(&anne.identity, request, hub.now).await;
    assert!(
        matches!(refused, Err(Error::CertificateRefused(why)) if why.contains("another key")),
        "{refused:?}"
    );
}
