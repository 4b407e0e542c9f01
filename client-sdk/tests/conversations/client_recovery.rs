//! Coming back with nothing but the recovery code, over sockets.

use cercle_proto::{ErrorCode, certificate::Admission};
use cercle_sdk::{
    client::{Client, ClientError},
    core::{DisconnectReason, PolicyTemplate},
    error::Error,
    event::{DeviceEntry, Event},
    recovery::{RecoverySheet, code::RecoveryCode},
};

use super::{
    client_linking::{blank, link, reads, sent},
    client_world::{Hub, pair, soon, texts, until, until_text, user},
};

async fn recover(hub: &Hub, sheet: &RecoverySheet, name: &str) -> Client {
    let device = blank(hub, name).await;
    soon(device.recover(&sheet.address, &sheet.code)).await.unwrap();
    soon(device.groups_joined()).await.unwrap();
    soon(device.returned()).await.unwrap();
    device
}

fn is_refused(result: &Result<cercle_sdk::core::Identity, ClientError>) -> bool {
    let refused = Some(ErrorCode::RecoveryRefused);
    matches!(
        result,
        Err(ClientError::Stopped(DisconnectReason::Refused { code, .. })) if *code == refused
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_back_with_nothing_but_the_code_and_twice_is_the_same_as_once() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    let sheet = soon(alice.new_recovery_code(false)).await.unwrap();
    for number in 0..230 {
        alice.send(group, &format!("mot {number}")).await.unwrap();
    }
    sent(&alice).await;
    soon(alice.back_up()).await.unwrap();
    // What comes after goes into the same last chunk, and into other groups.
    let news = soon(bob.create_group("Annonces", PolicyTemplate::Announcements)).await.unwrap();
    let mut heard = alice.events();
    soon(bob.invite(news, vec![user("alice")])).await.unwrap();
    bob.send(news, "vaccins arrivés").await.unwrap();
    until_text(&mut heard, "vaccins arrivés").await;
    bob.send(group, "encore un").await.unwrap();
    until_text(&mut heard, "encore un").await;
    let (in_group, in_news) = (texts(&alice, group).await, texts(&alice, news).await);
    soon(alice.mark_read(group, 100)).await.unwrap();
    soon(alice.back_up()).await.unwrap();
    alice.close().await;
    std::fs::remove_dir_all(hub.folder_of("alice")).unwrap();

    let mut noticed = bob.events();
    let phone = recover(&hub, &sheet, "alice-phone").await;
    assert_eq!(phone.identity().await.unwrap().unwrap().user, user("alice"));
    assert_eq!(texts(&phone, group).await, in_group);
    assert_eq!(texts(&phone, news).await, in_news);
    let unread = phone.unread().await.unwrap();
    assert!(unread.iter().any(|(of, unread)| *of == group && unread.read_up_to == 100), "{unread:?}");
    until(&mut noticed, |event| matches!(event, Event::DeviceChange { added: true, .. })).await;
    let mut heard = bob.events();
    phone.send(group, "me revoilà").await.unwrap();
    until_text(&mut heard, "me revoilà").await;
    sent(&phone).await;
    soon(phone.back_up()).await.unwrap();

    let laptop = recover(&hub, &sheet, "alice-laptop").await;
    let mut expected = in_group;
    expected.push("me revoilà".into());
    assert_eq!(texts(&laptop, group).await, expected);
    reads(&phone, group, &expected).await;
    let places = |messages: Vec<cercle_sdk::core::Message>| {
        messages.into_iter().map(|message| (message.seq, message.id)).collect::<Vec<_>>()
    };
    let once = places(phone.messages(group, 0, 1_000).await.unwrap());
    let mut twice = once.clone();
    twice.dedup();
    assert_eq!(once, twice, "no message is there twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_code_is_refused_and_a_former_one_is_of_no_use() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    let former = soon(alice.new_recovery_code(false)).await.unwrap();
    soon(alice.back_up()).await.unwrap();
    let sheet = soon(alice.new_recovery_code(false)).await.unwrap();
    alice.send(group, "après le changement").await.unwrap();
    sent(&alice).await;
    soon(alice.back_up()).await.unwrap();
    let expected = texts(&alice, group).await;

    let device = blank(&hub, "device").await;
    assert!(is_refused(&soon(device.recover(&sheet.address, &RecoveryCode::generate())).await));
    assert!(is_refused(&soon(device.recover(&former.address, &former.code)).await));
    let mut nobody = sheet.address.clone();
    nobody.user = user("nobody");
    assert!(is_refused(&soon(device.recover(&nobody, &sheet.code)).await));
    // Bob has no code: nobody comes back as him.
    nobody.user = user("bob");
    assert!(is_refused(&soon(device.recover(&nobody, &sheet.code)).await));
    // The same profile takes the right one, and has what was said before the code was changed.
    soon(device.recover(&sheet.address, &sheet.code)).await.unwrap();
    soon(device.returned()).await.unwrap();
    assert_eq!(texts(&device, group).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_back_that_is_interrupted_goes_on() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    let other = soon(alice.create_group("Autre", PolicyTemplate::Conversation)).await.unwrap();
    for number in 0..450 {
        alice.send(group, &format!("mot {number}")).await.unwrap();
    }
    alice.send(other, "et là").await.unwrap();
    sent(&alice).await;
    let sheet = soon(alice.new_recovery_code(false)).await.unwrap();
    soon(alice.back_up()).await.unwrap();
    let expected = texts(&alice, group).await;
    alice.close().await;

    let phone = blank(&hub, "alice-phone").await;
    let mut events = phone.events();
    soon(phone.recover(&sheet.address, &sheet.code)).await.unwrap();
    until(&mut events, |event| matches!(event, Event::HistoryImported { .. })).await;
    phone.close().await;
    let phone = hub.reopen("alice-phone").await;
    soon(phone.returned()).await.unwrap();
    assert_eq!(texts(&phone, group).await, expected);
    assert_eq!(texts(&phone, other).await, ["et là"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_devices_keep_one_backup_and_a_device_without_it_does_not_replace_it() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    let sheet = soon(alice.new_recovery_code(false)).await.unwrap();
    soon(alice.back_up()).await.unwrap();
    let stranger = blank(&hub, "alice-stranger").await;
    soon(stranger.enrol(&hub.invitation("alice").await)).await.unwrap();
    soon(stranger.groups_joined()).await.unwrap();
    let refused = soon(stranger.new_recovery_code(false)).await;
    assert!(matches!(refused, Err(ClientError::Core(Error::RecoveryElsewhere))), "{refused:?}");
    let phone = recover(&hub, &sheet, "alice-phone").await;
    // Both write at the same time.
    let mut heard = (alice.events(), phone.events());
    bob.send(group, "pour deux").await.unwrap();
    until_text(&mut heard.0, "pour deux").await;
    until_text(&mut heard.1, "pour deux").await;
    let (one, two) = tokio::join!(soon(alice.back_up()), soon(phone.back_up()));
    one.unwrap();
    two.unwrap();
    let expected = texts(&alice, group).await;
    let laptop = recover(&hub, &sheet, "alice-laptop").await;
    assert_eq!(texts(&laptop, group).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_are_limited_and_the_user_is_told_to_wait() {
    let hub = Hub::start().await;
    let alice = hub.enrol("alice").await;
    let sheet = soon(alice.new_recovery_code(false)).await.unwrap();
    let device = blank(&hub, "device").await;
    let mut refused = 0;
    let wait = loop {
        match soon(device.recover(&sheet.address, &RecoveryCode::generate())).await {
            result if is_refused(&result) => refused += 1,
            Err(ClientError::Stopped(DisconnectReason::Refused {
                code: Some(ErrorCode::RateLimited),
                retry_after_ms,
            })) => break retry_after_ms,
            other => panic!("{other:?}"),
        }
        assert!(refused < 100, "nobody may go on guessing");
    };
    assert!(refused >= 3 && wait > 0, "{refused} attempts, then {wait} ms");
    // The right code has to wait too: who guesses is not told by the answer.
    assert!(soon(device.recover(&sheet.address, &sheet.code)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_thread_says_who_vouched_for_a_device_and_says_it_again_after_a_restart() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    let other = pair(&bob, &alice).await;
    let sheet = soon(alice.new_recovery_code(false)).await.unwrap();
    let device_of = async |client: &Client| client.identity().await.unwrap().unwrap().device;
    let linked = Box::pin(link(&hub, &alice, "alice-tablet")).await;
    let returned = recover(&hub, &sheet, "alice-phone").await;
    let invited = blank(&hub, "alice-desk").await;
    soon(invited.enrol(&hub.invitation("alice").await)).await.unwrap();
    soon(invited.groups_joined()).await.unwrap();
    soon(alice.revoke_device(device_of(&linked).await)).await.unwrap();
    let expected = [
        (device_of(&linked).await, true, Admission::OwnDevice),
        (device_of(&returned).await, true, Admission::RecoveryCode),
        (device_of(&invited).await, true, Admission::Invited),
        (device_of(&linked).await, false, Admission::OwnDevice),
    ];
    let entries = async |client: &Client, group| {
        let entries = client.device_entries(group).await.unwrap();
        assert!(entries.iter().all(|entry| entry.user == user("alice") && entry.at_ms > 0));
        let told = |entry: DeviceEntry| (entry.device, entry.added, entry.admission);
        entries.into_iter().map(told).collect::<Vec<_>>()
    };
    let mut events = bob.events();
    for group in [group, other] {
        soon(async {
            while entries(&bob, group).await.len() < expected.len() {
                events.next().await;
            }
        })
        .await;
        assert_eq!(entries(&bob, group).await, expected);
    }
    bob.close().await;
    let bob = hub.reopen("bob").await;
    for group in [group, other] {
        assert_eq!(entries(&bob, group).await, expected);
    }
    // They are in the backup too.
    soon(alice.device_out(device_of(&linked).await)).await.unwrap();
    soon(alice.back_up()).await.unwrap();
    let last = recover(&hub, &sheet, "alice-laptop").await;
    assert_eq!(entries(&last, group).await[..expected.len()], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_device_leaves_all_groups_though_nobody_else_is_there() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let groups = [pair(&alice, &bob).await, pair(&bob, &alice).await];
    let tablet = Box::pin(link(&hub, &alice, "alice-tablet")).await;
    let lost = tablet.identity().await.unwrap().unwrap().device;
    tablet.close().await;
    bob.close().await;
    soon(alice.revoke_device(lost)).await.unwrap();
    soon(alice.device_out(lost)).await.unwrap();
    for group in groups {
        let members = alice.members(group).await.unwrap();
        assert!(members.iter().all(|member| member.device != lost), "{members:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_hub_has_lost_of_a_backup_is_put_there_anew() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    let sheet = soon(alice.new_recovery_code(false)).await.unwrap();
    for number in 0..250 {
        alice.send(group, &format!("mot {number}")).await.unwrap();
    }
    sent(&alice).await;
    soon(alice.back_up()).await.unwrap();
    let vaults = std::fs::read_dir(hub.attachments().join("vaults")).unwrap();
    let vault = vaults.map(|entry| entry.unwrap().path()).next().unwrap();
    let files = std::fs::read_dir(vault).unwrap().map(|entry| entry.unwrap().path());
    let chunks: Vec<_> = files.filter(|path| path.to_string_lossy().contains("chunk-")).collect();
    assert!(chunks.len() >= 2, "{chunks:?}");
    chunks.iter().for_each(|chunk| std::fs::remove_file(chunk).unwrap());
    alice.send(group, "après la perte").await.unwrap();
    sent(&alice).await;
    soon(alice.back_up()).await.unwrap();
    let expected = texts(&alice, group).await;
    let phone = recover(&hub, &sheet, "alice-phone").await;
    assert_eq!(texts(&phone, group).await, expected);
}
