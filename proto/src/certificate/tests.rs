//! Certificates made with rcgen, as the hub makes them, verified as every device does.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, PKCS_ED25519,
    SanType,
};
use time::{Duration, OffsetDateTime};

use super::*;

struct Authority {
    root: Root,
    params: CertificateParams,
    key: KeyPair,
}

fn authority() -> Authority {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = name("CPTS", None);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.not_before = OffsetDateTime::UNIX_EPOCH;
    params.not_after = OffsetDateTime::UNIX_EPOCH + Duration::days(365 * 60);
    let root = Root::from_der(params.self_signed(&key).unwrap().der()).unwrap();
    Authority { root, params, key }
}

fn name(common: &str, class: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    if let Some(class) = class {
        name.push(DnType::OrganizationalUnitName, class);
        name.push(DnType::from_oid(&[2, 5, 4, 12]), "10");
        name.push(DnType::from_oid(&[2, 5, 4, 13]), "own_device");
    }
    name
}

fn day(days: i64) -> TimestampMs {
    u64::try_from(days * 86_400_000).unwrap()
}

/// A certificate valid from day 10 to day 20.
fn issue(authority: &Authority, uri: &str, class: &str) -> (Vec<u8>, Vec<u8>) {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = name("Dr Éléonore Exemple", Some(class));
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    params.is_ca = IsCa::ExplicitNoCa;
    params.not_before = OffsetDateTime::UNIX_EPOCH + Duration::days(10);
    params.not_after = OffsetDateTime::UNIX_EPOCH + Duration::days(20);
    let issuer = Issuer::from_params(&authority.params, &authority.key);
    let der = params.signed_by(&key, &issuer).unwrap().der().to_vec();
    (der, key.public_key_raw().to_vec())
}

fn device_certificate(authority: &Authority) -> (Vec<u8>, Vec<u8>) {
    let user = UserId::parse("810001234567@cpts.example").unwrap();
    issue(authority, &device_uri(&user, DeviceId::new([5; 16])), "professional")
}

#[test]
fn a_device_certificate_names_user_device_profession_and_class() {
    let authority = authority();
    let (der, key) = device_certificate(&authority);
    let credential = encode_credential(&[der]);
    let identity = authority.root.verify_device(&credential, &key, Validity::At(day(15))).unwrap();
    assert_eq!(identity.user.as_str(), "810001234567@cpts.example");
    assert_eq!(identity.device, DeviceId::new([5; 16]));
    assert_eq!(identity.display_name, "Dr Éléonore Exemple");
    assert_eq!((identity.profession.as_str(), identity.class), ("10", MemberClass::Professional));
    assert_eq!(identity.admission, Admission::OwnDevice);
    assert_eq!((identity.not_before_ms, identity.not_after_ms), (day(10), day(20)));
}

#[test]
fn validity_counts_only_for_new_leaves() {
    let authority = authority();
    let (der, key) = device_certificate(&authority);
    let verify = |validity| authority.root.verify(std::slice::from_ref(&der), &key, validity).map(|_| ());
    assert_eq!(verify(Validity::At(day(9))), Err(CertificateError::NotValidNow));
    assert_eq!(verify(Validity::At(day(21))), Err(CertificateError::NotValidNow));
    assert_eq!(verify(Validity::Ignore), Ok(()));
}

#[test]
fn another_root_or_another_key_is_refused() {
    let (ours, theirs) = (authority(), authority());
    let (der, key) = device_certificate(&theirs);
    let chain = [der];
    assert_eq!(ours.root.verify(&chain, &key, Validity::Ignore), Err(CertificateError::UnknownIssuer));
    assert_eq!(theirs.root.verify(&chain, &[1; 32], Validity::Ignore), Err(CertificateError::OtherKey));
}

#[test]
fn the_hub_is_told_apart_from_a_device() {
    let authority = authority();
    let (der, key) = issue(&authority, &hub_uri("cpts.example"), "hub");
    let subject = authority.root.verify(std::slice::from_ref(&der), &key, Validity::Ignore);
    assert_eq!(subject, Ok(Subject::Hub("cpts.example".into())));
    assert!(authority.root.verify_device(&encode_credential(&[der]), &key, Validity::Ignore).is_err());
}

#[test]
fn damaged_credentials_are_refused() {
    let (der, _) = device_certificate(&authority());
    let credential = encode_credential(std::slice::from_ref(&der));
    assert_eq!(decode_credential(&credential), Ok(vec![der.clone()]));
    for length in 0..credential.len() {
        assert!(decode_credential(&credential[..length]).is_err(), "{length}");
    }
    assert!(decode_credential(&encode_credential(&vec![der; 5])).is_err());
}

proptest::proptest! {
    #[test]
    fn any_chain_comes_back_from_its_credential(
        chain in proptest::collection::vec(proptest::collection::vec(0_u8.., 0..300), 1..=CHAIN_CERTIFICATES_MAX),
    ) {
        proptest::prop_assert_eq!(decode_credential(&encode_credential(&chain)), Ok(chain));
    }

    #[test]
    fn no_bytes_are_two_credentials(bytes in proptest::collection::vec(0_u8.., 0..200)) {
        let _ = read_device(&bytes);
        if let Ok(chain) = decode_credential(&bytes) {
            proptest::prop_assert_eq!(decode_credential(&encode_credential(&chain)), Ok(chain));
        }
    }
}
