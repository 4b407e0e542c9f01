//! Cases about users, devices and invitations.

use std::sync::Arc;

use bytes::Bytes;

use super::sample::{bytes, commit, device, group, make_group, user};
use crate::store::{
    CommitRecord, DeviceRecord, EnrolError, Enrolment, InvitationRecord, KeyPackageRecord, Store, UserRecord,
};

fn user_record(number: u64) -> UserRecord {
    UserRecord {
        user: user(number),
        display_name: format!("Dr {number}"),
        profession: "10".into(),
        class: 1,
        roles: vec![1, 2],
        created_at: 1_000,
    }
}

fn invitation(number: u64, secret: u8) -> InvitationRecord {
    InvitationRecord {
        secret_hash: [secret; 32],
        user: user(number),
        new_user: Some(user_record(number)),
        expires_at: 5_000,
        created_at: 1_000,
        used_by: None,
        by_user: false,
    }
}

fn device_record(number: u64, owner: u64) -> DeviceRecord {
    DeviceRecord {
        device: device(number),
        user: user(owner),
        public_key: [7; 32],
        certificate: bytes("certificate"),
        expires_at: 9_000,
        enrolled_at: 2_000,
        last_seen_at: 0,
        revoked_at: None,
    }
}

fn enrolment(number: u64, owner: u64, secret: u8) -> Enrolment {
    Enrolment { secret_hash: [secret; 32], device: device_record(number, owner), now: 2_000 }
}

async fn enrol(store: &Arc<dyn Store>, number: u64, owner: u64, secret: u8) {
    store.put_invitation(invitation(owner, secret)).await.unwrap();
    store.enrol(enrolment(number, owner, secret), 10).await.unwrap();
}

pub(super) async fn a_device_is_readmitted_once_and_its_user_kept(store: Arc<dyn Store>) {
    store.put_user(user_record(1)).await.unwrap();
    let renamed = UserRecord { display_name: "Another".into(), ..user_record(1) };
    assert_eq!(store.readmit(device_record(5, 1), renamed).await, Ok(device_record(5, 1)));
    assert_eq!(store.user(&user(1)).await, Ok(Some(user_record(1))), "the user on file stays");
    let other_key = DeviceRecord { public_key: [8; 32], ..device_record(5, 1) };
    assert_eq!(store.readmit(other_key, user_record(1)).await, Ok(device_record(5, 1)), "as does the device");
    store.readmit(device_record(6, 2), user_record(2)).await.unwrap();
    assert_eq!(store.user(&user(2)).await, Ok(Some(user_record(2))));
    assert_eq!(store.devices_of(&user(2)).await, Ok(vec![device_record(6, 2)]));
}

pub(super) async fn an_invitation_enrols_one_device_once(store: Arc<dyn Store>) {
    store.put_invitation(invitation(1, 1)).await.unwrap();
    assert_eq!(store.user(&user(1)).await, Ok(None));
    let enrolled = store.enrol(enrolment(5, 1, 1), 10).await.unwrap();
    assert_eq!(enrolled, device_record(5, 1));
    assert_eq!(store.user(&user(1)).await, Ok(Some(user_record(1))));
    assert_eq!(store.invitation([1; 32]).await.unwrap().unwrap().used_by, Some(device(5)));
    let mut again = enrolment(5, 1, 1);
    again.device.certificate = bytes("another");
    again.now = 99_999;
    assert_eq!(store.enrol(again, 10).await, Ok(device_record(5, 1)));
    assert_eq!(store.enrol(enrolment(6, 1, 1), 10).await, Err(EnrolError::Used));
    assert_eq!(store.devices_of(&user(1)).await, Ok(vec![device_record(5, 1)]));
    assert_eq!(store.device(device(6)).await, Ok(None));
}

pub(super) async fn an_enrolment_is_refused_for_its_reason(store: Arc<dyn Store>) {
    enrol(&store, 5, 1, 1).await;
    assert_eq!(store.enrol(enrolment(6, 1, 9), 10).await, Err(EnrolError::Unknown));
    store.put_invitation(invitation(2, 2)).await.unwrap();
    let late = Enrolment { now: 5_001, ..enrolment(6, 2, 2) };
    assert_eq!(store.enrol(late, 10).await, Err(EnrolError::Expired));
    assert_eq!(store.enrol(enrolment(5, 2, 2), 10).await, Err(EnrolError::DeviceIdTaken));
    assert_eq!(store.enrol(enrolment(6, 3, 2), 10).await, Err(EnrolError::Unknown));
    store.put_invitation(InvitationRecord { new_user: None, ..invitation(3, 3) }).await.unwrap();
    assert_eq!(store.enrol(enrolment(6, 3, 3), 10).await, Err(EnrolError::Unknown));
    let mut other_key = enrolment(5, 1, 1);
    other_key.device.public_key = [8; 32];
    assert_eq!(store.enrol(other_key, 10).await, Err(EnrolError::Used));
    for number in [2, 3] {
        assert_eq!(store.user(&user(number)).await, Ok(None));
    }
    let in_time = Enrolment { now: 5_000, ..enrolment(6, 2, 2) };
    assert!(store.enrol(in_time, 10).await.is_ok());
}

pub(super) async fn a_user_has_a_limited_number_of_devices(store: Arc<dyn Store>) {
    enrol(&store, 1, 1, 1).await;
    enrol(&store, 2, 1, 2).await;
    store.put_invitation(invitation(1, 3)).await.unwrap();
    assert_eq!(store.enrol(enrolment(3, 1, 3), 2).await, Err(EnrolError::TooManyDevices(2)));
    store.put_invitation(invitation(1, 4)).await.unwrap();
    assert!(store.enrol(enrolment(2, 1, 4), 2).await.is_ok());
    assert_eq!(store.revoke(device(1), 3_000).await, Ok(true));
    assert!(store.enrol(enrolment(3, 1, 3), 2).await.is_ok());
    store.put_invitation(invitation(1, 5)).await.unwrap();
    assert_eq!(store.enrol(enrolment(1, 1, 5), 9).await, Err(EnrolError::DeviceIdTaken));
    assert_eq!(store.devices_of(&user(1)).await.unwrap().len(), 3);
}

pub(super) async fn a_revoked_device_loses_its_packages_and_is_listed_until_removed(store: Arc<dyn Store>) {
    enrol(&store, 2, 2, 2).await;
    make_group(&store, 1, 2).await;
    let package = KeyPackageRecord { hash: [1; 32], body: Bytes::new(), expires_at: 9_000 };
    store.publish(device(2), 1, vec![package.clone()], Some(package), 9).await.unwrap();
    assert_eq!(store.revoke(device(9), 3_000).await, Ok(false));
    assert_eq!(store.revoke(device(2), 3_000).await, Ok(true));
    assert_eq!(store.revoke(device(2), 4_000).await, Ok(true));
    assert_eq!(store.device(device(2)).await.unwrap().unwrap().revoked_at, Some(3_000));
    assert_eq!(store.left(device(2)).await, Ok(0));
    assert_eq!(store.claim(device(1), [1; 16], vec![(user(2), device(2))], 1_000).await, Ok(vec![]));
    assert_eq!(store.revoked_members().await, Ok(vec![(device(2), group(1))]));
    store.commit(CommitRecord { removed: vec![device(2)], ..commit(1, 1, 5, 1) }).await.unwrap();
    assert_eq!(store.revoked_members().await, Ok(vec![]));
}

pub(super) async fn users_are_listed_page_by_page(store: Arc<dyn Store>) {
    for number in [3, 1, 2] {
        store.put_user(user_record(number)).await.unwrap();
    }
    let renamed = UserRecord { display_name: "renamed".into(), ..user_record(2) };
    store.put_user(renamed.clone()).await.unwrap();
    assert_eq!(store.users(None, 2).await, Ok(vec![user_record(1), renamed]));
    assert_eq!(store.users(Some(user(2)), 2).await, Ok(vec![user_record(3)]));
    assert_eq!(store.users(Some(user(3)), 2).await, Ok(vec![]));
    assert_eq!(store.users(None, 0).await, Ok(vec![]));
}

pub(super) async fn a_certificate_is_replaced_unless_the_device_is_revoked(store: Arc<dyn Store>) {
    enrol(&store, 1, 1, 1).await;
    store.put_invitation(invitation(1, 2)).await.unwrap();
    store.set_certificate(device(1), bytes("second"), 10_000).await.unwrap();
    store.set_certificate(device(9), bytes("nobody"), 10_000).await.unwrap();
    store.set_last_seen(device(1), 5_000).await.unwrap();
    store.set_last_seen(device(1), 4_000).await.unwrap();
    store.set_last_seen(device(9), 4_000).await.unwrap();
    store.revoke(device(1), 6_000).await.unwrap();
    store.set_certificate(device(1), bytes("third"), 11_000).await.unwrap();
    let record = store.device(device(1)).await.unwrap().unwrap();
    assert_eq!(
        (record.certificate, record.expires_at, record.last_seen_at),
        (bytes("second"), 10_000, 5_000)
    );
    assert_eq!(store.device(device(9)).await, Ok(None));
    let opening = store.opening(device(1)).await.unwrap().unwrap();
    assert_eq!((opening.device.last_seen_at, opening.user.user), (5_000, opening.device.user));
    assert_eq!(store.opening(device(9)).await, Ok(None));
}
