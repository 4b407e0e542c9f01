//! What the client adds to the core: handles, threads, files, reconnecting.

use std::fs;

use cercle_proto::ErrorCode;
use cercle_sdk::{
    client::{Client, ClientError, ClientOpenError, Session},
    connection::Status,
    core::{DisconnectReason, Settings},
    error::Error,
    event::Event,
    profile::{Passphrase, Profile, ProfileError, Protection},
};

use crate::client_world::{Hub, pair, soon, texts, until, until_text, user};

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_share_one_client_and_keep_each_its_order() {
    const TASKS: usize = 6;
    const LINES: usize = 12;
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    let mut heard = bob.events();
    let tasks = (0..TASKS).map(|task| {
        let client = alice.clone();
        tokio::spawn(async move {
            for line in 0..LINES {
                client.send(group, &format!("{task} {line}")).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        soon(task).await.unwrap();
    }
    soon(alice.send(group, "fin")).await.unwrap();
    until_text(&mut heard, "fin").await;
    let all = texts(&bob, group).await;
    assert_eq!(all.len(), 1 + TASKS * LINES + 1);
    for task in 0..TASKS {
        let own = all.iter().filter(|text| text.starts_with(&format!("{task} ")));
        let expected: Vec<_> = (0..LINES).map(|line| format!("{task} {line}")).collect();
        assert!(own.eq(expected.iter()), "task {task}: {all:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_queued_without_a_connection_is_sent_once_by_the_next_process() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    alice.disconnect().await.unwrap();
    soon(alice.send(group, "écrit hors ligne")).await.unwrap();
    soon(alice.close()).await;
    let mut heard = bob.events();
    let alice = hub.reopen("alice").await;
    until_text(&mut heard, "écrit hors ligne").await;
    soon(alice.send(group, "fin")).await.unwrap();
    until_text(&mut heard, "fin").await;
    assert_eq!(texts(&bob, group).await, ["bonjour", "écrit hors ligne", "fin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_the_wait_for_a_group_change_does_not_cancel_the_change() {
    let mut hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let chloe = hub.enrol("chloe").await;
    let group = pair(&alice, &bob).await;
    let mut joined = chloe.events();
    hub.stop().await;
    tokio::select! {
        biased;
        done = alice.invite(group, vec![user("chloe")]) => panic!("without a hub: {done:?}"),
        // Answered after the invitation was taken, because requests are served in order.
        asked = alice.identity() => assert!(asked.is_ok()),
    }
    hub.resume().await;
    until(&mut joined, |event| matches!(event, Event::GroupJoined { .. })).await;
    assert_eq!(alice.members(group).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_comes_back_by_itself_after_the_hub_was_away() {
    let mut hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    let (mut heard, mut link) = (bob.events(), bob.watch_link());
    hub.stop().await;
    soon(link.wait_for(|link| matches!(link.status, Status::Waiting { .. } | Status::Connecting)))
        .await
        .unwrap();
    soon(alice.send(group, "pendant la coupure")).await.unwrap();
    hub.resume().await;
    until_text(&mut heard, "pendant la coupure").await;
    soon(bob.caught_up()).await.unwrap();
    assert_eq!(bob.session(), Session::CaughtUp);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_copies_of_a_device_the_older_session_stops_and_says_why() {
    let hub = Hub::start().await;
    let alice = hub.enrol("alice").await;
    let (profile, copy) = (hub.folder_of("alice"), hub.folder_of("copy"));
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(&profile).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    make_private(&copy);
    let other = hub.reopen("copy").await;
    soon(other.caught_up()).await.unwrap();
    let stopped = soon(alice.stopped()).await;
    let replaced = DisconnectReason::Refused { code: Some(ErrorCode::SessionReplaced), retry_after_ms: 0 };
    assert!(matches!(stopped, ClientError::Stopped(reason) if reason == replaced), "{stopped}");
    let mut link = alice.watch_link();
    soon(link.wait_for(|link| link.status == Status::Stopped)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_releases_the_profile_at_once_and_ends_every_handle() {
    let hub = Hub::start().await;
    let alice = hub.enrol("alice").await;
    let other_handle = alice.clone();
    let mut events = alice.events();
    assert!(matches!(Profile::open(&hub.folder_of("alice"), || None), Err(ProfileError::InUse(_))));
    soon(alice.close()).await;
    drop(Profile::open(&hub.folder_of("alice"), || None).unwrap());
    assert!(matches!(other_handle.groups().await, Err(ClientError::Closed)));
    drop(other_handle);
    while soon(events.next()).await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_the_hub_or_an_identity_says_so() {
    let hub = Hub::start().await;
    let profile = Profile::create(&hub.folder_of("new"), Protection::KeyFile).unwrap();
    let nobody = Client::open(profile, Settings::default()).await.unwrap();
    assert!(matches!(nobody.connect().await, Err(ClientError::Core(Error::NotEnrolled))));
    assert!(nobody.identity().await.unwrap().is_none());
    let alice = hub.enrol("alice").await;
    alice.disconnect().await.unwrap();
    let mut link = alice.watch_link();
    soon(link.wait_for(|link| link.status == Status::Idle)).await.unwrap();
    assert!(matches!(soon(alice.list_devices(None)).await, Err(ClientError::Core(Error::Offline))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_passphrase_opens_nothing_and_harms_nothing() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("p");
    let passphrase = |text: &str| Passphrase::new(text.to_owned());
    let profile = Profile::create(&folder, Protection::Passphrase(passphrase("quatre mots"))).unwrap();
    soon(Client::open(profile, Settings::default()).await.unwrap().close()).await;
    let wrong = Profile::open(&folder, || Some(passphrase("trois mots"))).unwrap();
    let refused = Client::open(wrong, Settings::default()).await;
    assert!(matches!(refused, Err(ClientOpenError::Profile(ProfileError::WrongPassphrase))), "{refused:?}");
    let right = Profile::open(&folder, || Some(passphrase("quatre mots"))).unwrap();
    soon(Client::open(right, Settings::default()).await.unwrap().close()).await;
}

#[cfg(unix)]
fn make_private(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
}

#[cfg(not(unix))]
fn make_private(_: &std::path::Path) {}
