//! Messages from device to device: waves, live entries, limits of membership, slow readers.

use std::time::Duration;

use cercle_proto::{
    ErrorCode,
    v1::{self, client_frame::Body, server_frame},
};

use crate::support::{Hub, application};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_reaches_the_other_device_and_echoes_as_a_header() {
    let hub = Hub::start().await;
    let (anne, bruno) = (hub.enrol("anne", 1).await, hub.enrol("bruno", 2).await);
    let group = hub.group(9, &[("anne", &anne), ("bruno", &bruno)]).await;
    let mut sender = hub.session(&anne).await;
    let mut reader = hub.grpc().await;
    reader.authenticate(&bruno).await;
    for peer in [&mut sender, &mut reader] {
        peer.subscribe(1, &[(group, 1)]).await;
        let complete = v1::CatchupComplete { wave: 1, refused: Vec::new() };
        assert_eq!(peer.body().await, server_frame::Body::CatchupComplete(complete));
    }
    let message = application(group, 1, 3, 20);
    sender.send(3, Body::SendApplication(message.clone())).await;
    let received = reader.entries_until(group, 2).await;
    assert_eq!(received[0].mls, message.mls);
    assert_eq!(received[0].sender, anne.id.to_bytes());
    let echo = sender.entries_until(group, 2).await;
    assert_eq!((echo[0].message_id.clone(), echo[0].mls.len()), (message.message_id, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_one_device_arrives_in_the_order_it_was_sent() {
    let hub = Hub::start().await;
    let (anne, bruno) = (hub.enrol("anne", 1).await, hub.enrol("bruno", 2).await);
    let group = hub.group(9, &[("anne", &anne), ("bruno", &bruno)]).await;
    let mut sender = hub.session(&anne).await;
    let mut reader = hub.session(&bruno).await;
    reader.subscribe(1, &[(group, 1)]).await;
    let sent: Vec<_> = (100..600).map(|id| application(group, 1, id, 20)).collect();
    for (id, message) in (100..).zip(&sent) {
        sender.send(id, Body::SendApplication(message.clone())).await;
    }
    let received = reader.entries_until(group, 501).await;
    let ids = |entries: Vec<bytes::Bytes>| entries;
    assert_eq!(
        ids(received.iter().map(|entry| entry.message_id.clone()).collect()),
        ids(sent.into_iter().map(|message| message.message_id).collect()),
    );
    assert!(received.iter().zip(2..).all(|(entry, seq)| entry.seq == seq), "gap-free");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_comes_in_its_wave_and_then_live_without_a_gap() {
    let hub = Hub::start().await;
    let (anne, bruno) = (hub.enrol("anne", 1).await, hub.enrol("bruno", 2).await);
    let groups = [
        hub.group(9, &[("anne", &anne), ("bruno", &bruno)]).await,
        hub.group(8, &[("anne", &anne), ("bruno", &bruno)]).await,
    ];
    let mut sender = hub.session(&anne).await;
    for id in 10..1_200 {
        sender.post(groups[usize::from(id % 3 == 0)], 1, id).await;
    }
    let mut reader = hub.session(&bruno).await;
    reader.subscribe(7, &groups.map(|group| (group, 1))).await;
    // More arrives while history is read.
    for id in 1_200..1_260 {
        sender.post(groups[0], 1, id).await;
    }
    let mut next = [2, 2];
    let mut complete = false;
    while next[0] - 2 + next[1] - 2 < 1_250 {
        match reader.body().await {
            server_frame::Body::Entries(entries) => {
                assert_eq!(entries.wave, if complete { 0 } else { 7 });
                let which = usize::from(entries.group == groups[1].to_bytes());
                for entry in entries.entries {
                    assert_eq!(entry.seq, next[which]);
                    next[which] += 1;
                }
            }
            server_frame::Body::CatchupComplete(wave) => {
                assert_eq!((wave.wave, wave.refused.len(), complete), (7, 0, false));
                complete = true;
            }
            body => panic!("unexpected {body:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_device_reads_its_removal_and_nothing_after() {
    let hub = Hub::start().await;
    let (anne, bruno) = (hub.enrol("anne", 1).await, hub.enrol("bruno", 2).await);
    let group = hub.group(9, &[("anne", &anne), ("bruno", &bruno)]).await;
    let other = hub.group(8, &[("anne", &anne), ("bruno", &bruno)]).await;
    let mut reader = hub.session(&bruno).await;
    reader.subscribe(1, &[(group, 1), (other, 1)]).await;
    reader.body().await;
    let removal = hub.change_roster(group, &anne, 1, Vec::new(), vec![bruno.id]).await;
    let mut sender = hub.session(&anne).await;
    // Wakes the reader, who then finds removal and message together.
    sender.post(group, 2, 50).await;
    sender.post(group, 2, 51).await;
    assert_eq!(reader.entries_until(group, removal).await.last().unwrap().seq, removal);
    sender.post(other, 1, 52).await;
    match reader.body().await {
        server_frame::Body::Entries(entries) => assert_eq!(entries.group, other.to_bytes()),
        body => panic!("unexpected {body:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_that_cannot_be_read_are_refused_in_the_wave() {
    let hub = Hub::start().await;
    let (anne, eve) = (hub.enrol("anne", 1).await, hub.enrol("eve", 3).await);
    let group = hub.group(9, &[("anne", &anne)]).await;
    let mut stranger = hub.session(&eve).await;
    stranger.subscribe(1, &[(group, 0)]).await;
    let server_frame::Body::CatchupComplete(complete) = stranger.body().await else { panic!() };
    assert_eq!(complete.refused[0].code, ErrorCode::GroupUnknown.number());
    let mut member = hub.session(&anne).await;
    member.subscribe(1, &[(group, 99)]).await;
    let server_frame::Body::CatchupComplete(complete) = member.body().await else { panic!() };
    assert_eq!(complete.refused[0].code, ErrorCode::ResyncRequired.number());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stops_reading_disturbs_nobody_and_is_disconnected() {
    let hub = Hub::with(|config| config.write_timeout_ms = 300).await;
    let (anne, bruno, mute) =
        (hub.enrol("anne", 1).await, hub.enrol("bruno", 2).await, hub.enrol("mute", 3).await);
    let group = hub.group(9, &[("anne", &anne), ("bruno", &bruno), ("mute", &mute)]).await;
    let mut stuck = hub.session(&mute).await;
    stuck.subscribe(1, &[(group, 1)]).await;
    let mut reader = hub.session(&bruno).await;
    reader.subscribe(1, &[(group, 1)]).await;
    let mut sender = hub.session(&anne).await;
    // More than the buffers of a socket hold.
    let count = 300;
    for id in 0..count {
        let message = application(group, 1, 1_000 + id, 60_000);
        sender.send(1_000 + id, Body::SendApplication(message)).await;
        let answer = sender.answer(1_000 + id).await;
        assert!(matches!(answer, server_frame::Body::Accepted(_)), "{answer:?}");
        reader.entries_until(group, 2 + id).await;
    }
    let gone = async {
        while hub.running.metrics().text().contains("sessions{transport=\"websocket\"} 3") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, gone).await.expect("the stuck session ends");
    assert!(hub.running.metrics().text().contains("cercle_sessions_ended_total{code=\"504\"} 1"));
    sender.post(group, 1, 5_000).await;
    reader.entries_until(group, 2 + count).await;
}
