//! Invitations, enrolment, sessions, renewal and revocation.

use cercle_proto::{
    certificate::{Validity, encode_credential},
    id::DeviceId,
    v1::Role,
};
use cercle_server::auth::{Error, Identity, InvitationRequest, Inviter, authority};
use openmls_basic_credential::SignatureKeyPair;
use openmls_traits::{signatures::Signer as _, types::SignatureScheme};

use super::world::{DAY_MS, DOMAIN, Device, Hub, NONCE, invitation};

fn new_key() -> SignatureKeyPair {
    SignatureKeyPair::new(SignatureScheme::ED25519).unwrap()
}

#[tokio::test]
async fn an_invitation_enrols_one_device_with_a_certificate_under_the_root() {
    let hub = Hub::new();
    let (secret, key, device) = (hub.invite("anne").await, new_key(), DeviceId::new([1; 16]));
    let issued = hub.redeem(secret, device, &key).await.unwrap();
    let credential = encode_credential(std::slice::from_ref(&issued.certificate));
    let named = hub.root.verify_device(&credential, key.public(), Validity::At(hub.now)).unwrap();
    assert_eq!((named.device, named.user.as_str()), (device, "anne@cpts.example"));
    assert_eq!((named.display_name.as_str(), named.profession.as_str()), ("Dr anne", "10"));
    assert_eq!(named.not_after_ms, issued.expires_at);

    let again = hub.redeem(secret, device, &key).await.unwrap();
    assert_eq!(again.certificate, issued.certificate, "a lost answer is repeated");
    let other = hub.redeem(secret, DeviceId::new([2; 16]), &new_key()).await;
    assert!(matches!(other, Err(Error::InvitationUsed)), "{other:?}");
    let stolen = hub.redeem(secret, device, &new_key()).await;
    assert!(matches!(stolen, Err(Error::DeviceIdTaken | Error::InvitationUsed)), "{stolen:?}");
}

#[tokio::test]
async fn enrolment_needs_a_known_fresh_invitation_and_possession_of_the_key() {
    let hub = Hub::new();
    let (key, device) = (new_key(), DeviceId::new([1; 16]));
    let unknown = hub.redeem([9; 32], device, &key).await;
    assert!(matches!(unknown, Err(Error::InvitationUnknown)), "{unknown:?}");
    let secret = hub.invite("anne").await;
    let public: [u8; 32] = key.to_public_vec().try_into().unwrap();
    let message = cercle_proto::signing::enrol_message(&NONCE, &secret, device, &public);
    let foreign = new_key().sign(&message).unwrap();
    let refused = hub.auth.enrol(&NONCE, &secret, device, &public, &foreign, hub.now).await;
    assert!(matches!(refused, Err(Error::ProofInvalid)), "{refused:?}");
    let proof = key.sign(&message).unwrap();
    let refused = hub.auth.enrol(&[8; 32], &secret, device, &public, &proof, hub.now).await;
    assert!(matches!(refused, Err(Error::ProofInvalid)), "another nonce: {refused:?}");
    let late = hub.auth.enrol(&NONCE, &secret, device, &public, &proof, hub.now + 11 * DAY_MS).await;
    assert!(matches!(late, Err(Error::InvitationExpired)), "{late:?}");
}

#[tokio::test]
async fn a_device_id_belongs_to_one_key_and_a_user_has_so_many_devices() {
    let hub = Hub::new();
    let device = DeviceId::new([1; 16]);
    hub.enrol_as("anne", device).await;
    let taken = hub.redeem(hub.invite("bruno").await, device, &new_key()).await;
    assert!(matches!(taken, Err(Error::DeviceIdTaken)), "{taken:?}");
    for _ in 1..cercle_server::limits::DEVICES_PER_USER_MAX {
        hub.enrol("anne").await;
    }
    let more = hub.redeem(hub.invite("anne").await, DeviceId::new([3; 16]), &new_key()).await;
    assert!(matches!(more, Err(Error::TooManyDevices(_))), "{more:?}");
}

#[tokio::test]
async fn a_session_is_opened_by_a_signature_over_its_nonce() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let open = |nonce: [u8; 32], proof: Vec<u8>| {
        let auth = hub.auth.clone();
        let (device, now) = (anne.device(), hub.now);
        async move { auth.authenticate(&nonce, device, &proof, now).await }
    };
    let opened = open(NONCE, anne.session_proof(&NONCE)).await.unwrap();
    assert_eq!((opened.identity.user, opened.identity.roles), (anne.user().clone(), vec![Role::Member]));
    assert_eq!((opened.certificate, opened.incarnation), (anne.certificate.clone(), hub.store.incarnation()));
    assert!(!opened.identity.certificate_expired);
    let replayed = open([8; 32], anne.session_proof(&NONCE)).await;
    assert!(matches!(replayed, Err(Error::ProofInvalid)), "{replayed:?}");
    let unknown = hub.auth.authenticate(&NONCE, DeviceId::new([5; 16]), &[], hub.now).await;
    assert!(matches!(unknown, Err(Error::DeviceUnknown)), "{unknown:?}");
}

#[tokio::test]
async fn an_expired_certificate_opens_a_session_for_its_renewal() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let late = hub.now + 91 * DAY_MS;
    let proof = anne.session_proof(&NONCE);
    let opened = hub.auth.authenticate(&NONCE, anne.device(), &proof, late).await.unwrap();
    assert!(opened.identity.certificate_expired);
    let renewed = hub.auth.renew_certificate(&opened.identity, late).await.unwrap();
    let credential = encode_credential(std::slice::from_ref(&renewed.certificate));
    hub.root.verify_device(&credential, anne.signer.public(), Validity::At(late)).unwrap();
    let opened = hub.auth.authenticate(&NONCE, anne.device(), &proof, late).await.unwrap();
    assert!(!opened.identity.certificate_expired);
    let again = hub.auth.renew_certificate(&opened.identity, late + 1000).await.unwrap();
    assert_eq!(again.certificate, renewed.certificate, "a lost answer is repeated");
}

#[tokio::test]
async fn a_revoked_device_opens_no_session_and_enrols_no_more() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let mut group = hub.new_group(&anne).await;
    let tablet = hub.enrol("anne").await;
    hub.add(&anne, &mut group, &[&tablet]).await;
    let revoked =
        hub.auth.revoke_device(Inviter::User(&anne.identity), tablet.device(), hub.now).await.unwrap();
    assert_eq!(revoked.groups, [super::world::id_of(&group)]);
    let proof = tablet.session_proof(&NONCE);
    let refused = hub.auth.authenticate(&NONCE, tablet.device(), &proof, hub.now).await;
    assert!(matches!(refused, Err(Error::DeviceRevoked)), "{refused:?}");
    let refused = hub.auth.renew_certificate(&tablet.identity, hub.now).await;
    assert!(matches!(refused, Err(Error::DeviceRevoked)), "{refused:?}");
    let guessing = hub.auth.authenticate(&NONCE, tablet.device(), &[0; 64], hub.now).await;
    assert!(matches!(guessing, Err(Error::ProofInvalid)), "only the device learns of it: {guessing:?}");
}

fn coordinator(device: &Device) -> Identity {
    Identity { roles: vec![Role::Coordinator], ..device.identity.clone() }
}

#[tokio::test]
async fn a_user_manages_his_own_devices_and_a_coordinator_everybodys() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let as_anne = Inviter::User(&anne.identity);
    let own = InvitationRequest { user: None, ..invitation("unused") };
    let created = hub.auth.create_invitation(as_anne, own, hub.now).await.unwrap();
    assert_eq!(created.user, *anne.user());
    for refused in [
        hub.auth.create_invitation(as_anne, invitation("bruno"), hub.now).await.map(|_| ()),
        hub.auth.devices(as_anne, Some(bruno.user().clone())).await.map(|_| ()),
    ] {
        assert!(matches!(refused, Err(Error::NotAuthorised)), "{refused:?}");
    }
    let refused = hub.auth.revoke_device(as_anne, bruno.device(), hub.now).await;
    assert!(matches!(refused, Err(Error::DeviceUnknown)), "{refused:?}");
    assert_eq!(hub.auth.devices(as_anne, None).await.unwrap().len(), 1);

    let coordinator = coordinator(&anne);
    let by = Inviter::User(&coordinator);
    hub.auth.create_invitation(by, invitation("chloe"), hub.now).await.unwrap();
    assert_eq!(hub.auth.devices(by, Some(bruno.user().clone())).await.unwrap().len(), 1);
    hub.auth.revoke_device(by, bruno.device(), hub.now).await.unwrap();
}

#[tokio::test]
async fn an_invitation_says_who_in_bounded_words() {
    let hub = Hub::new();
    let base = || invitation("anne");
    let long = "x".repeat(65);
    let cases = [
        InvitationRequest { user: Some("a@b".into()), ..base() },
        InvitationRequest { user: None, ..base() },
        InvitationRequest { display_name: " ".into(), ..base() },
        InvitationRequest { display_name: long, ..base() },
        InvitationRequest { display_name: "a\nb".into(), ..base() },
        InvitationRequest { profession: "10 ".repeat(9), ..base() },
        InvitationRequest { valid_for_ms: Some(31 * DAY_MS), ..base() },
        InvitationRequest { valid_for_ms: Some(0), ..base() },
    ];
    for request in cases {
        let refused = hub.auth.create_invitation(Inviter::Operator, request, hub.now).await;
        assert!(matches!(refused, Err(Error::InvalidField(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn what_happens_to_identities_is_audited_without_names() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    hub.auth.renew_certificate(&anne.identity, hub.now + DAY_MS).await.unwrap();
    hub.auth.revoke_device(Inviter::Operator, anne.device(), hub.now + 2 * DAY_MS).await.unwrap();
    let audit = hub.store.audit(0, 100).await.unwrap();
    let actions: Vec<&str> = audit.iter().map(|record| record.entry.action.as_str()).collect();
    assert_eq!(actions, ["invitation.created", "device.enrolled", "certificate.renewed", "device.revoked"]);
    assert!(audit.iter().all(|record| !format!("{record:?}").contains("Dr anne")));
}

#[tokio::test]
async fn a_root_is_loaded_only_with_its_own_key_and_domain() {
    let hub = Hub::new();
    let (one, other) =
        (authority::make_root(DOMAIN, hub.now).unwrap(), authority::make_root(DOMAIN, hub.now).unwrap());
    let load = |root: &authority::KeyedCertificate, domain: &str| {
        authority::Issuer::load(root, Vec::new(), domain, hub.now).map(|_| ())
    };
    load(&one, DOMAIN).unwrap();
    assert!(load(&one, "other.example").is_err());
    let mixed = authority::KeyedCertificate { certificate: one.certificate.clone(), key: other.key.clone() };
    assert!(load(&mixed, DOMAIN).is_err());
    let server = authority::make_server(&one, DOMAIN, &["localhost".into(), "127.0.0.1".into()], hub.now);
    assert!(server.unwrap().certificate_pem().contains("BEGIN CERTIFICATE"));
}
