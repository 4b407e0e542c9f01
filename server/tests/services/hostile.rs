//! Bytes that no honest client sends: cut short, changed, random. Each is refused as the client's fault; none
//! is a fault of the hub, and the group goes on.

use bytes::Bytes;
use cercle_server::delivery::{CommitRequest, CreateGroupRequest, Error};

use super::world::{Hub, Plan, id_of, new_id};

/// The message cut short at many places, with bits changed at many places, and noise of many lengths.
fn variants(message: &Bytes) -> Vec<Bytes> {
    let step = message.len() / 40 + 1;
    let cut = (0..message.len()).step_by(step).map(|length| message.slice(..length));
    let changed = (0..message.len()).step_by(step).map(|position| {
        let mut changed = message.to_vec();
        changed[position] ^= 0x55;
        Bytes::from(changed)
    });
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let noise: Vec<Bytes> = (1..20).map(|words| (0..words).flat_map(|_| noise()).collect()).collect();
    let longer = Bytes::from([message.as_ref(), b"\0"].concat());
    cut.chain(changed).chain(noise).chain([longer, Bytes::new()]).collect()
}

fn is_fault_of_the_hub(error: &Error) -> bool {
    matches!(error, Error::Internal(_) | Error::Write(_) | Error::Read(_))
}

#[tokio::test]
async fn a_damaged_bundle_is_refused_in_every_part_and_the_whole_one_still_wins() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut group = hub.new_group(&anne).await;
    let right = anne.commit(&mut group, Plan { add: vec![bruno.key_package()], ..Plan::default() });
    let mut requests = Vec::new();
    // The last 66 bytes are the confirmation tag and the membership tag; the hub cannot check the latter.
    let (signed, _) = right.commit.split_at(right.commit.len() - 66);
    for commit in variants(&Bytes::copy_from_slice(signed)) {
        requests.push(CommitRequest { commit, ..right.clone() });
    }
    for group_info in variants(&right.group_info) {
        requests.push(CommitRequest { group_info, ..right.clone() });
    }
    for request in requests {
        let request = CommitRequest { message_id: new_id(), ..request };
        let error = hub.delivery.commit(&anne.identity, request, hub.now).await.unwrap_err();
        assert!(!is_fault_of_the_hub(&error), "{error:?}");
    }
    hub.delivery.commit(&anne.identity, right, hub.now).await.unwrap();
}

#[tokio::test]
async fn a_damaged_welcome_is_no_fault_of_the_hub() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut group = hub.new_group(&anne).await;
    let right = anne.commit(&mut group, Plan { add: vec![bruno.key_package()], ..Plan::default() });
    for welcome in variants(right.welcome.as_ref().unwrap()) {
        let request = CommitRequest { message_id: new_id(), welcome: Some(welcome), ..right.clone() };
        match hub.delivery.commit(&anne.identity, request, hub.now).await {
            // What is encrypted to the new member cannot be judged here.
            Ok(_) => return,
            Err(error) => assert!(matches!(error, Error::WelcomeMismatch(_)), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_damaged_creation_is_refused() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let policy = super::policies::conversation(&anne);
    let (_, right) = hub.found(&anne, &policy);
    let mut requests = Vec::new();
    for group_info in variants(&right.group_info) {
        requests.push(CreateGroupRequest { group_info, ..right.clone() });
    }
    for ratchet_tree in variants(&right.ratchet_tree) {
        requests.push(CreateGroupRequest { ratchet_tree, ..right.clone() });
    }
    for request in requests {
        let error = hub.delivery.create_group(&anne.identity, request, hub.now).await.unwrap_err();
        assert!(!is_fault_of_the_hub(&error), "{error:?}");
    }
    hub.delivery.create_group(&anne.identity, right, hub.now).await.unwrap();
}

#[tokio::test]
async fn a_damaged_proposal_or_key_package_is_refused() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut annes = hub.new_group(&anne).await;
    let mut brunos = hub.add(&anne, &mut annes, &[&bruno]).await.remove(0);
    let right = bruno.propose_leaving(&mut brunos);
    // The last 33 bytes are the membership tag, which needs a secret to be checked: any would do.
    let signed = right.slice(..right.len() - 33);
    for mls in variants(&signed).into_iter().filter(|mls| mls.len() <= signed.len()) {
        let sent = hub.delivery.send_proposal(&bruno.identity, id_of(&annes), new_id(), mls, hub.now).await;
        let error = sent.unwrap_err();
        assert!(!is_fault_of_the_hub(&error), "{error:?}");
    }
    for package in variants(&bruno.published(false)) {
        let published = hub.delivery.publish_key_packages(&bruno.identity, 1, vec![package], None, hub.now);
        let error = published.await.unwrap_err();
        assert!(matches!(error, Error::KeyPackageInvalid(_)), "{error:?}");
    }
}
