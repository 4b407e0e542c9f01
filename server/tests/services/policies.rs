//! Who may add, remove, post and change the rules: the policy inside the group, enforced on the hub.

use cercle_proto::policy::Policy;
use cercle_server::delivery::Error;
use openmls::prelude::{Extension, ExternalSender, UnknownExtension};

use super::world::{Device, Hub, Plan, basic_credential, id_of, leaf_of};

pub(crate) fn conversation(creator: &Device) -> Policy {
    Policy::conversation(creator.user().clone())
}

fn announcements(creator: &Device) -> Policy {
    Policy::announcements(creator.user().clone())
}

#[tokio::test]
async fn only_an_administrator_removes_others() {
    let hub = Hub::new();
    let (anne, bruno, chloe) = (hub.enrol("anne").await, hub.enrol("bruno").await, hub.enrol("chloe").await);
    let mut annes = hub.new_group(&anne).await;
    let mut brunos = hub.add(&anne, &mut annes, &[&bruno, &chloe]).await.remove(0);
    let plan = |leaf| Plan { remove: vec![leaf], ..Plan::default() };
    let chloes = leaf_of(&annes, &chloe);
    let refused = hub.accept(&bruno, &mut brunos, plan(chloes)).await;
    assert!(matches!(refused, Err(Error::PolicyDenied(_))), "{refused:?}");
    hub.accept(&anne, &mut annes, plan(chloes)).await.unwrap();
    let mut expected = vec![anne.device(), bruno.device()];
    expected.sort();
    assert_eq!(hub.members(id_of(&annes)).await, expected);
}

#[tokio::test]
async fn a_member_adds_in_a_conversation_but_not_to_announcements() {
    let hub = Hub::new();
    let (anne, bruno, chloe) = (hub.enrol("anne").await, hub.enrol("bruno").await, hub.enrol("chloe").await);
    for (policy, allowed) in [(conversation(&anne), true), (announcements(&anne), false)] {
        let mut annes = hub.new_group_with(&anne, &policy).await;
        let mut brunos = hub.add(&anne, &mut annes, &[&bruno]).await.remove(0);
        let plan = Plan { add: vec![chloe.key_package()], ..Plan::default() };
        let verdict = hub.accept(&bruno, &mut brunos, plan).await;
        assert_eq!(verdict.is_ok(), allowed, "{verdict:?}");
    }
}

#[tokio::test]
async fn a_user_adds_and_removes_his_own_devices_whatever_the_policy() {
    let hub = Hub::new();
    let (anne, bruno, tablet) = (hub.enrol("anne").await, hub.enrol("bruno").await, hub.enrol("bruno").await);
    let mut annes = hub.new_group_with(&anne, &announcements(&anne)).await;
    let mut brunos = hub.add(&anne, &mut annes, &[&bruno]).await.remove(0);
    let plan = Plan { add: vec![tablet.key_package()], ..Plan::default() };
    hub.accept(&bruno, &mut brunos, plan).await.unwrap();
    let plan = Plan { remove: vec![leaf_of(&brunos, &tablet)], ..Plan::default() };
    hub.accept(&bruno, &mut brunos, plan).await.unwrap();
}

#[tokio::test]
async fn announcements_are_posted_by_administrators_until_the_policy_changes() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut annes = hub.new_group_with(&anne, &announcements(&anne)).await;
    let mut brunos = hub.add(&anne, &mut annes, &[&bruno]).await.remove(0);
    let refused = hub.send(&bruno, &mut brunos, "non").await;
    assert!(matches!(refused, Err(Error::PolicyDenied(_))), "{refused:?}");
    hub.send(&anne, &mut annes, "oui").await.unwrap();

    let both = announcements(&anne).with_administrators(vec![anne.user().clone(), bruno.user().clone()]);
    let plan = Plan { extensions: Some(hub.extensions(&both)), ..Plan::default() };
    hub.accept(&anne, &mut annes, plan).await.unwrap();
    for entry in hub.log_after(id_of(&annes), 1).await {
        bruno.process(&mut brunos, &entry);
    }
    hub.send(&bruno, &mut brunos, "oui aussi").await.unwrap();

    let only_bruno = announcements(&bruno);
    let plan = Plan { extensions: Some(hub.extensions(&only_bruno)), ..Plan::default() };
    hub.accept(&bruno, &mut brunos, plan).await.unwrap();
    let log = hub.log_after(id_of(&annes), 4).await;
    anne.process(&mut annes, log.last().unwrap());
    let refused = hub.send(&anne, &mut annes, "non").await;
    assert!(matches!(refused, Err(Error::PolicyDenied(_))), "{refused:?}");
}

#[tokio::test]
async fn only_an_administrator_changes_the_policy_and_somebody_keeps_administering() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut annes = hub.new_group(&anne).await;
    let mut brunos = hub.add(&anne, &mut annes, &[&bruno]).await.remove(0);
    let plan = |policy: Policy| Plan { extensions: Some(hub.extensions(&policy)), ..Plan::default() };
    let refused = hub.accept(&bruno, &mut brunos, plan(conversation(&bruno))).await;
    assert!(matches!(refused, Err(Error::PolicyDenied(_))), "{refused:?}");
    let stranger = hub.enrol("stranger").await;
    let refused = hub.accept(&anne, &mut annes, plan(conversation(&stranger))).await;
    assert!(matches!(refused, Err(Error::PolicyDenied(_))), "{refused:?}");
}

#[tokio::test]
async fn the_hub_stays_the_only_external_sender() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let mut group = hub.new_group(&anne).await;
    let own = basic_credential(anne.signer.public());
    let mut extensions = hub.extensions(&conversation(&anne));
    extensions[1] = Extension::ExternalSenders(vec![ExternalSender::new(own.signature_key, own.credential)]);
    let refused =
        hub.accept(&anne, &mut group, Plan { extensions: Some(extensions), ..Plan::default() }).await;
    assert!(matches!(refused, Err(Error::MlsInvalid(_))), "{refused:?}");
}

#[tokio::test]
async fn a_damaged_policy_is_refused() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let mut group = hub.new_group(&anne).await;
    let mut extensions = hub.extensions(&conversation(&anne));
    extensions[2] = Extension::Unknown(cercle_proto::policy::EXTENSION_TYPE, UnknownExtension(vec![0xff; 9]));
    let plan = Plan { extensions: Some(extensions), ..Plan::default() };
    let refused = hub.accept(&anne, &mut group, plan).await;
    assert!(matches!(refused, Err(Error::PolicyDenied(_))), "{refused:?}");
}

#[tokio::test]
async fn a_new_group_fits_the_profile_and_is_administered_by_its_creator() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let (_, foreign) = hub.found(&anne, &conversation(&bruno));
    let refused = hub.delivery.create_group(&anne.identity, foreign, hub.now).await;
    assert!(matches!(refused, Err(Error::PolicyDenied(_))), "{refused:?}");
    for left_out in 0..3 {
        let mut extensions = hub.extensions(&conversation(&anne));
        extensions.remove(left_out);
        let (_, request) = hub.found_with(&anne, extensions);
        let refused = hub.delivery.create_group(&anne.identity, request, hub.now).await;
        assert!(matches!(refused, Err(Error::MlsInvalid(_) | Error::PolicyDenied(_))), "{refused:?}");
    }
    let (_, request) = hub.found(&anne, &conversation(&anne));
    let refused = hub.delivery.create_group(&bruno.identity, request.clone(), hub.now).await;
    assert!(matches!(refused, Err(Error::CertificateRefused(_))), "another's leaf: {refused:?}");
    let first = hub.delivery.create_group(&anne.identity, request.clone(), hub.now).await.unwrap();
    let again = hub.delivery.create_group(&anne.identity, request.clone(), hub.now).await.unwrap();
    assert!(!first.repeated && again.repeated && again.seq == 0);
    let taken = cercle_server::delivery::CreateGroupRequest { message_id: super::world::new_id(), ..request };
    let refused = hub.delivery.create_group(&anne.identity, taken, hub.now).await;
    assert!(matches!(refused, Err(Error::GroupExists)), "{refused:?}");
}
