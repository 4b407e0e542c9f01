//! Alerts between real clients: groups, updates, answers, and what a device that comes late sees.

use cercle_sdk::{
    client::{Client, now_ms},
    core::{GroupAlert, PolicyTemplate},
    event::Event,
    message::{
        AlertAnswer, AnswerKind, Body, CrisisAlert,
        cap::{Cap, MsgType},
    },
};

use super::client_world::{Hub, soon, until, user};

const EXAMPLE: &[u8] = include_bytes!("../../src/message/cap/samples/canada.cap");

/// An alert as another system says it, under a number of its own.
fn alert(identifier: &str) -> CrisisAlert {
    let mut cap = Cap::from_xml(EXAMPLE).unwrap();
    cap.identifier = identifier.into();
    cap.msg_type = MsgType::Alert;
    cap.references = String::new();
    cap.infos.truncate(1);
    cap.infos[0].expires = String::new();
    cap.infos[0].response_types.clear();
    CrisisAlert { alert: Client::new_alert_id(), cap: cap.into(), ack_by_ms: 0, deputies: Vec::new() }
}

fn update_of(earlier: &CrisisAlert, identifier: &str) -> CrisisAlert {
    let mut update = alert(identifier);
    update.cap.msg_type = MsgType::Update;
    update.cap.references = earlier.cap.reference();
    update
}

/// Posts to a group and waits until another device has it.
async fn tell(from: &Client, group: cercle_proto::id::GroupId, body: Body, to: &Client) {
    let mut heard = to.events();
    let id = soon(from.post(group, body.into())).await.unwrap();
    until(&mut heard, |event| matches!(event, Event::MessageReceived(message) if message.id == id)).await;
}

fn standing(alerts: &[GroupAlert]) -> Vec<&str> {
    let holds = alerts.iter().filter(|known| known.state.holds(now_ms()));
    holds.map(|known| known.state.alert.cap.identifier.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_device_sees_how_things_stand_and_only_the_sender_and_his_deputies_change_that() {
    let hub = Hub::start().await;
    let (chief, deputy, member) =
        (hub.enrol("chief").await, hub.enrol("deputy").await, hub.enrol("member").await);
    let group = soon(chief.create_group("Cellule", PolicyTemplate::Conversation)).await.unwrap();
    let mut joined = member.events();
    soon(chief.invite(group, vec![user("deputy"), user("member")])).await.unwrap();
    until(&mut joined, |event| matches!(event, Event::GroupJoined { .. })).await;

    let mut first = alert("one");
    first.deputies = vec![user("deputy").as_str().to_owned()];
    tell(&chief, group, Body::CrisisAlert(first.clone()), &member).await;
    tell(&chief, group, Body::CrisisAlert(first.clone()), &member).await;
    assert_eq!(member.alerts().await.unwrap().len(), 1, "the same alert twice is one");
    tell(&member, group, Body::CrisisAlert(update_of(&first, "forged")), &chief).await;
    let known = chief.alerts().await.unwrap();
    assert!(!known[0].state.superseded, "a member changes nobody else's alert");

    member.disconnect().await.unwrap();
    tell(&deputy, group, Body::CrisisAlert(update_of(&first, "two")), &chief).await;
    member.connect().await.unwrap();
    soon(member.caught_up()).await.unwrap();
    assert_eq!(standing(&member.alerts().await.unwrap()), ["forged", "two"]);

    let answer = |answer| {
        Body::AlertAnswer(AlertAnswer {
            alert: first.alert,
            answer,
            from_ms: 0,
            to_ms: 0,
            note: String::new(),
        })
    };
    tell(&member, group, answer(AnswerKind::Available), &chief).await;
    tell(&member, group, answer(AnswerKind::OnSite), &chief).await;
    let known = chief.alerts().await.unwrap();
    let answers = &known[0].state.answers;
    assert_eq!(answers[&user("member")].answer, AnswerKind::OnSite, "the last answer counts");
    for client in [chief, deputy, member] {
        client.close().await;
    }
}
