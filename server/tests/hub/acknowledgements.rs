//! How far devices have read: seen at once, stored a little later, and never worth an entry.

use cercle_proto::{
    id::GroupId,
    v1::{self, client_frame::Body, server_frame},
};

use crate::support::{Device, Hub, Peer};

async fn acknowledge(peer: &mut Peer, group: GroupId, seq: u64) {
    let cursor = v1::Cursor { group: group.to_bytes(), seq };
    peer.send(0, Body::Ack(v1::Ack { groups: vec![cursor], inbox: 0 })).await;
}

/// What the hub tells a device of its own cursor in the only group.
async fn listed(peer: &mut Peer, request: u64) -> u64 {
    peer.send(request, Body::ListGroups(v1::ListGroups {})).await;
    match peer.answer(request).await {
        server_frame::Body::Groups(list) => list.groups[0].acked,
        body => panic!("unexpected {body:?}"),
    }
}

/// What the hub tells a member of another's cursor.
async fn delivered(peer: &mut Peer, request: u64, group: GroupId, of: &Device) -> u64 {
    let get = v1::GetDeliveryStatus { group: group.to_bytes() };
    peer.send(request, Body::GetDeliveryStatus(get)).await;
    match peer.answer(request).await {
        server_frame::Body::DeliveryStatus(status) => {
            status.devices.iter().find(|cursor| cursor.device == of.id.to_bytes()).unwrap().acked
        }
        body => panic!("unexpected {body:?}"),
    }
}

async fn stored(hub: &Hub, group: GroupId, of: &Device) -> u64 {
    hub.store.roster_entry(group, of.id).await.unwrap().unwrap().acked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_is_seen_at_once_and_survives_the_end_of_the_hub() {
    let hub = Hub::start().await;
    let (anne, bruno) = (hub.enrol("anne", 1).await, hub.enrol("bruno", 2).await);
    let group = hub.group(9, &[("anne", &anne), ("bruno", &bruno)]).await;
    let (mut sender, mut reader) = (hub.session(&anne).await, hub.session(&bruno).await);
    let first = sender.post(group, 1, 50).await;
    acknowledge(&mut reader, group, first).await;
    assert_eq!(listed(&mut reader, 5).await, first);
    assert_eq!(delivered(&mut sender, 6, group, &bruno).await, first);
    assert_eq!(stored(&hub, group, &bruno).await, first, "who asks for others' cursors gets stored ones");

    let second = sender.post(group, 1, 51).await;
    // Ahead of the log, as a device of a restored hub may be: counts up to the newest entry.
    acknowledge(&mut reader, group, second + 1_000).await;
    assert_eq!(listed(&mut reader, 7).await, second);
    let hub = hub.restart().await;
    assert_eq!(stored(&hub, group, &bruno).await, second);
}

/// The hub is stopped at once, without the drain in which acknowledgements are stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_acknowledgement_loses_no_entry_and_is_made_good_by_the_next() {
    let hub = Hub::start().await;
    let (anne, bruno) = (hub.enrol("anne", 1).await, hub.enrol("bruno", 2).await);
    let group = hub.group(9, &[("anne", &anne), ("bruno", &bruno)]).await;
    let (mut sender, mut reader) = (hub.session(&anne).await, hub.session(&bruno).await);
    let first = sender.post(group, 1, 50).await;
    acknowledge(&mut reader, group, first).await;
    assert_eq!(listed(&mut reader, 5).await, first);

    let hub = hub.stop_and_start().await;
    let known = stored(&hub, group, &bruno).await;
    assert!(known <= first, "{known}");
    let (mut sender, mut reader) = (hub.session(&anne).await, hub.session(&bruno).await);
    // From its own cursor nothing comes twice, from the beginning everything is still there.
    reader.subscribe(1, &[(group, first)]).await;
    let second = sender.post(group, 1, 51).await;
    let received = reader.entries_until(group, second).await;
    assert_eq!(received.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [second]);
    let mut again = hub.session(&anne).await;
    again.subscribe(1, &[(group, first - 1)]).await;
    assert_eq!(again.entries_until(group, second).await[0].seq, first);
    acknowledge(&mut reader, group, second).await;
    assert_eq!(listed(&mut reader, 8).await, second);
}
