//! A further device of the same user, over sockets: linked with a code and a number, in every group at once,
//! with everything that was said.

use cercle_proto::{
    id::{DeviceId, GroupId},
    link::LinkCode,
};
use cercle_sdk::{
    client::{Client, ClientError},
    core::{Act, Ask, BoardFilter, GroupState, Part, PolicyTemplate},
    event::Event,
    linking::LinkError,
    message::{CircleBasis, HistoryPolicy, RequestId, request::Situation},
    profile::{Profile, Protection},
    thread::requests::State,
};

use super::{
    client_world::{Hub, pair, settings, soon, texts, until, until_text, user},
    core_circle::{circle, entry},
    core_requests::{claim, complete, visit},
};

/// A device that is not enrolled.
pub(crate) async fn blank(hub: &Hub, name: &str) -> Client {
    let profile = Profile::create(&hub.folder_of(name), Protection::KeyFile).unwrap();
    Client::open(profile, settings()).await.unwrap()
}

/// Links a new device, from the code to the last group.
pub(crate) async fn link(hub: &Hub, old: &Client, name: &str) -> Client {
    let new = blank(hub, name).await;
    Box::pin(link_blank(old, &new)).await;
    soon(new.groups_joined()).await.unwrap();
    new
}

async fn link_blank(old: &Client, new: &Client) -> DeviceId {
    let linking = soon(old.begin_link()).await.unwrap();
    let code = LinkCode::parse(&linking.code()).unwrap();
    let (met, joining) = tokio::join!(soon(linking.meet()), soon(new.join_link(&code)));
    let (met, joining) = (met.unwrap(), joining.unwrap());
    let number = joining.number();
    let (device, identity) = tokio::join!(soon(met.confirm(&number)), soon(joining.finish()));
    let (device, identity) = (device.unwrap(), identity.unwrap());
    assert_eq!(identity.device, device);
    device
}

/// Waits until a device has these texts of a group.
pub(crate) async fn reads(client: &Client, group: GroupId, expected: &[String]) {
    let mut events = client.events();
    soon(async {
        while texts(client, group).await != expected {
            events.next().await.expect("the client is open");
        }
    })
    .await;
}

pub(crate) async fn sent(client: &Client) {
    let mut events = client.events();
    soon(async {
        while !client.outbox().await.unwrap().is_empty() {
            events.next().await;
        }
    })
    .await;
}

async fn title(client: &Client, group: GroupId) -> String {
    let groups = client.groups().await.unwrap();
    groups.into_iter().find(|summary| summary.group == group).map_or_else(String::new, |g| g.profile.title)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_linked_device_is_in_every_group_at_once_and_has_all_that_was_said() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let ours = pair(&alice, &bob).await;
    alice.send(ours, "et de deux").await.unwrap();
    // A circle, and announcements in which she may say nothing.
    let mut cared_for = circle(HistoryPolicy::Nothing);
    cared_for.patient.ins_oid = "1.2.250.1.213.1.4.8".into();
    let mut begun = bob.events();
    let care = soon(bob.open_circle(cared_for)).await.unwrap();
    soon(async {
        while bob.circle(care).await.unwrap().is_none() {
            begun.next().await.expect("the client is open");
        }
    })
    .await;
    soon(bob.add_to_circle(care, entry("alice", CircleBasis::SameTeam))).await.unwrap();
    let news = soon(bob.create_group("Annonces", PolicyTemplate::Announcements)).await.unwrap();
    let mut heard = alice.events();
    soon(bob.invite(news, vec![user("alice")])).await.unwrap();
    bob.send(care, "patient vu").await.unwrap();
    bob.send(news, "vaccins arrivés").await.unwrap();
    until_text(&mut heard, "vaccins arrivés").await;
    // And a group that she has left.
    let gone = soon(alice.create_group("Ancien", PolicyTemplate::Conversation)).await.unwrap();
    soon(alice.invite(gone, vec![user("bob")])).await.unwrap();
    alice.send(gone, "au revoir").await.unwrap();
    soon(alice.set_administrators(gone, vec![user("bob")])).await.unwrap();
    let mut left = alice.events();
    soon(alice.leave(gone)).await.unwrap();
    until(&mut left, |event| matches!(event, Event::GroupLeft { group, .. } if *group == gone)).await;

    let mut noticed = bob.events();
    let tablet = Box::pin(link(&hub, &alice, "alice-tablet")).await;
    soon(tablet.history_complete()).await.unwrap();
    for group in [ours, care, news] {
        reads(&tablet, group, &texts(&alice, group).await).await;
        assert_eq!(title(&tablet, group).await, title(&alice, group).await);
    }
    reads(&tablet, gone, &["au revoir".to_owned()]).await;
    let groups = tablet.groups().await.unwrap();
    assert_eq!(groups.len(), 4, "the group of own devices is none to show: {groups:?}");
    let state = groups.iter().find(|summary| summary.group == gone).map(|summary| summary.state);
    assert_eq!(state, Some(GroupState::Closed));
    let messages = tablet.messages(ours, 0, 100).await.unwrap();
    assert!(messages.iter().all(|message| message.exported_by.is_none()), "what one read oneself");
    // The others see that she has a device more, and everybody goes on.
    until(&mut noticed, |event| matches!(event, Event::DeviceChange { added: true, .. })).await;
    let mut heard = (alice.events(), bob.events());
    tablet.send(ours, "de ma tablette").await.unwrap();
    until_text(&mut heard.0, "de ma tablette").await;
    until_text(&mut heard.1, "de ma tablette").await;
    // She is no publisher there with this device either.
    let mut refused = tablet.events();
    let kept = tablet.send(news, "chut").await.unwrap();
    until(&mut refused, |event| matches!(event, Event::MessageRefused { message, .. } if *message == kept))
        .await;
    let progress = soon(async {
        let device = tablet.identity().await.unwrap().unwrap().device;
        loop {
            let progress = alice.link_progress(device).await.unwrap();
            if progress.is_complete() {
                return progress;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(progress.parts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_number_gives_nothing_out_and_ends_the_code() {
    let hub = Hub::start().await;
    let alice = hub.enrol("alice").await;
    let thief = blank(&hub, "thief").await;
    let linking = soon(alice.begin_link()).await.unwrap();
    let code = LinkCode::parse(&linking.code()).unwrap();
    let (met, joining) = tokio::join!(soon(linking.meet()), soon(thief.join_link(&code)));
    let (met, joining) = (met.unwrap(), joining.unwrap());
    let wrong = if joining.number() == "000000" { "000001" } else { "000000" };
    assert!(matches!(soon(met.confirm(wrong)).await, Err(LinkError::WrongNumber)));
    assert!(matches!(soon(joining.finish()).await, Err(LinkError::Refused)));
    assert!(thief.identity().await.unwrap().is_none());
    assert_eq!(soon(alice.list_devices(None)).await.unwrap().len(), 1);
    // A code that was used is of no use to anybody else.
    let other = blank(&hub, "other").await;
    assert!(matches!(soon(other.join_link(&code)).await, Err(LinkError::Used)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stands_between_with_keys_of_his_own_is_noticed_and_nothing_is_given_out() {
    let hub = Hub::start().await;
    let alice = hub.enrol("alice").await;
    let tablet = blank(&hub, "tablet").await;
    let linking = soon(alice.begin_link()).await.unwrap();
    // As a hub would that relays with a key of its own: the new device works with another key than the old
    // one shows.
    let mut code = LinkCode::parse(&linking.code()).unwrap();
    code.public_key = [9; 32];
    let (met, joining) = tokio::join!(soon(linking.meet()), soon(tablet.join_link(&code)));
    assert!(matches!(met, Err(LinkError::Foreign(_))), "{met:?}");
    assert!(matches!(joining, Err(LinkError::Ended)), "{joining:?}");
    // A cancelled code ends too.
    let linking = soon(alice.begin_link()).await.unwrap();
    let code = LinkCode::parse(&linking.code()).unwrap();
    soon(linking.cancel()).await;
    assert!(matches!(soon(tablet.join_link(&code)).await, Err(LinkError::Ended)));
    assert_eq!(soon(alice.list_devices(None)).await.unwrap().len(), 1);
    // And an enrolled device is linked to nobody.
    let linking = soon(alice.begin_link()).await.unwrap();
    let code = LinkCode::parse(&linking.code()).unwrap();
    let bob = hub.enrol("bob").await;
    let refused = soon(bob.join_link(&code)).await;
    assert!(matches!(refused, Err(LinkError::Client(ClientError::Core(_)))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_devices_stop_in_the_middle_and_nothing_is_lost() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    // More than fits into messages, so that it goes over the hub.
    for number in 0..120_u32 {
        alice.send(group, &format!("{number} {}", noise(number))).await.unwrap();
    }
    sent(&alice).await;
    let tablet = blank(&hub, "alice-tablet").await;
    let linking = soon(alice.begin_link()).await.unwrap();
    let code = LinkCode::parse(&linking.code()).unwrap();
    let (met, joining) = tokio::join!(soon(linking.meet()), soon(tablet.join_link(&code)));
    let (met, joining) = (met.unwrap(), joining.unwrap());
    let number = joining.number();
    // Each goes away in the moment in which it has what it needs.
    let (confirmed, enrolled) = tokio::join!(soon(met.confirm(&number)), soon(joining.finish()));
    confirmed.unwrap();
    enrolled.unwrap();
    alice.close().await;
    tablet.close().await;
    let tablet = hub.reopen("alice-tablet").await;
    soon(tablet.groups_joined()).await.unwrap();
    tablet.close().await;
    let alice = hub.reopen("alice").await;
    soon(alice.caught_up()).await.unwrap();
    let tablet = hub.reopen("alice-tablet").await;
    let mut events = tablet.events();
    until(&mut events, |event| matches!(event, Event::HistoryImported { .. } | Event::HistoryWaits { .. }))
        .await;
    tablet.close().await;
    let tablet = hub.reopen("alice-tablet").await;
    soon(tablet.history_complete()).await.unwrap();
    let expected = texts(&alice, group).await;
    assert_eq!(expected.len(), 121);
    reads(&tablet, group, &expected).await;
}

/// Hexadecimal noise, which does not compress into a message.
fn noise(number: u32) -> String {
    let mut state = u64::from(number) + 1;
    let mut text = String::new();
    for _ in 0..60 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.push_str(&format!("{state:016x}"));
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn two_new_devices_join_many_groups_at_the_same_time() {
    const GROUPS: usize = 22;
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let mut groups = Vec::new();
    for number in 0..GROUPS {
        let group =
            soon(bob.create_group(format!("Groupe {number}").as_str(), PolicyTemplate::Conversation)).await;
        let group = group.unwrap();
        soon(bob.invite(group, vec![user("alice")])).await.unwrap();
        groups.push(group);
    }
    let mut heard = alice.events();
    let last = *groups.last().unwrap();
    bob.send(last, "prêts").await.unwrap();
    until_text(&mut heard, "prêts").await;
    let (tablet, phone) = (blank(&hub, "tablet").await, blank(&hub, "phone").await);
    Box::pin(link_blank(&alice, &tablet)).await;
    Box::pin(link_blank(&alice, &phone)).await;
    let (one, two) = tokio::join!(soon(tablet.groups_joined()), soon(phone.groups_joined()));
    one.unwrap();
    two.unwrap();
    for client in [&tablet, &phone] {
        assert_eq!(client.groups().await.unwrap().len(), GROUPS);
    }
    soon(async {
        for group in &groups {
            while bob.members(*group).await.unwrap().len() < 4 {
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
    // Everybody is on the same branch of every group.
    let (mut at_tablet, mut at_phone) = (tablet.events(), phone.events());
    for group in &groups {
        bob.send(*group, "bienvenue").await.unwrap();
        until_text(&mut at_tablet, "bienvenue").await;
        until_text(&mut at_phone, "bienvenue").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_device_is_out_at_once_and_reads_nothing_new() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    let tablet = Box::pin(link(&hub, &alice, "alice-tablet")).await;
    let lost = tablet.identity().await.unwrap().unwrap().device;
    let mut noticed = bob.events();
    soon(alice.revoke_device(lost)).await.unwrap();
    assert!(matches!(soon(tablet.stopped()).await, ClientError::Stopped(_)));
    let gone =
        |event: &Event| matches!(event, Event::DeviceChange { added: false, device, .. } if *device == lost);
    until(&mut noticed, gone).await;
    let before = texts(&tablet, group).await;
    let mut heard = bob.events();
    alice.send(group, "sans la tablette").await.unwrap();
    until_text(&mut heard, "sans la tablette").await;
    let members = bob.members(group).await.unwrap();
    assert!(members.iter().all(|member| member.device != lost));
    tablet.connect().await.unwrap();
    assert!(matches!(soon(tablet.stopped()).await, ClientError::Stopped(_)));
    assert_eq!(texts(&tablet, group).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_with_an_invitation_of_its_own_joins_too_but_is_given_no_history() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    let tablet = blank(&hub, "alice-tablet").await;
    soon(tablet.enrol(&hub.invitation("alice").await)).await.unwrap();
    soon(tablet.groups_joined()).await.unwrap();
    // Also what bob writes before he has seen the new device is for it.
    let mut heard = tablet.events();
    bob.send(group, "à tous").await.unwrap();
    until_text(&mut heard, "à tous").await;
    assert_eq!(texts(&tablet, group).await, ["à tous"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_devices_have_the_same_read_marks_drafts_and_new_groups() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    bob.send(group, "à lire").await.unwrap();
    let mut heard = alice.events();
    bob.send(group, "et ça").await.unwrap();
    until_text(&mut heard, "et ça").await;
    soon(alice.mark_read(group, 3)).await.unwrap();
    let tablet = link(&hub, &alice, "alice-tablet").await;
    soon(tablet.history_complete()).await.unwrap();
    let read = async |client: &Client| {
        let unread = client.unread().await.unwrap();
        unread.into_iter().find(|(of, _)| *of == group).map_or(0, |(_, unread)| unread.read_up_to)
    };
    assert_eq!(read(&tablet).await, 3, "what was read before");
    let last = tablet.messages(group, 0, 100).await.unwrap().last().unwrap().seq;
    let mut told = alice.events();
    soon(tablet.mark_read(group, last)).await.unwrap();
    soon(async {
        while read(&alice).await < last {
            told.next().await;
        }
    })
    .await;
    let mut told = tablet.events();
    soon(alice.set_draft(group, "je voulais dire")).await.unwrap();
    soon(async {
        while tablet.draft(group).await.unwrap() != "je voulais dire" {
            told.next().await;
        }
    })
    .await;
    let mut told = alice.events();
    soon(tablet.set_draft(group, "")).await.unwrap();
    soon(async {
        while !alice.draft(group).await.unwrap().is_empty() {
            told.next().await;
        }
    })
    .await;
    let fresh = soon(tablet.create_group("Nouveau", PolicyTemplate::Conversation)).await.unwrap();
    soon(async {
        while !alice.groups().await.unwrap().iter().any(|summary| summary.group == fresh) {
            told.next().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_on_before_a_device_was_linked_is_to_do_on_it_too() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    let ask = Ask { request: visit(), groups: vec![group], widening: Vec::new(), patient: None };
    let id = soon(bob.ask(ask)).await.unwrap();
    reaches(&alice, id, State::Open).await;
    let claim = Act { request: id, action: claim(), situation: Situation::default() };
    soon(alice.act(claim)).await.unwrap();
    reaches(&bob, id, State::Claimed).await;
    let tablet = Box::pin(link(&hub, &alice, "alice-tablet")).await;
    soon(tablet.history_complete()).await.unwrap();
    reaches(&tablet, id, State::Claimed).await;
    let to_do = BoardFilter { part: Part::ToDo, ..BoardFilter::default() };
    let rows = tablet.board(to_do).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.request).collect::<Vec<_>>(), [id]);
    // She goes on with either.
    let done = Act { request: id, action: complete(), situation: Situation::default() };
    soon(tablet.act(done)).await.unwrap();
    for client in [&alice, &bob, &tablet] {
        reaches(client, id, State::Completed).await;
    }
}

/// Waits until a request stands so on a device.
async fn reaches(client: &Client, id: RequestId, state: State) {
    let mut events = client.events();
    let all = BoardFilter { closed: true, ..BoardFilter::default() };
    soon(async {
        loop {
            let rows = client.board(all.clone()).await.unwrap();
            if rows.iter().any(|row| row.request == id && row.state == state) {
                return;
            }
            events.next().await.expect("the client is open");
        }
    })
    .await;
}
