//! Every other kind of message between two real clients, and what is refused where.

use cercle_sdk::{
    client::ClientError,
    core::PolicyTemplate,
    error::Error,
    event::Event,
    message::{Body, GroupProfile, Language, ThreadKind, template},
};

use crate::client_world::{Hub, pair, soon, until, until_text, user};

fn filled(kind: &str) -> Body {
    serde_json::from_str(template::of(kind).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_arrives_as_it_was_written_and_adds_up() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("claire.martin").await);
    let mut heard = bob.events();
    let profile = GroupProfile { thread: ThreadKind::Direct, ..GroupProfile::titled("Direct") };
    let group = soon(alice.create_group(profile, PolicyTemplate::Conversation)).await.unwrap();
    soon(alice.invite(group, vec![user("claire.martin")])).await.unwrap();
    for (kind, _) in template::TEMPLATES {
        let body = filled(kind);
        soon(alice.post(group, body.clone().into())).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
        until(&mut heard, |event| matches!(event, Event::MessageReceived(message) if message.body == body))
            .await;
    }
    let Body::CarePlanValidation(validation) = filled("care_plan_validation") else { panic!("a validation") };
    let mut heard = alice.events();
    soon(bob.post(group, Body::CarePlanValidation(validation).into())).await.unwrap();
    let mut own = bob.events();
    let last = soon(bob.send(group, "validé")).await.unwrap();
    until_text(&mut heard, "validé").await;
    until(&mut own, |event| matches!(event, Event::MessageAccepted { message, .. } if *message == last))
        .await;
    let mut seen = Vec::new();
    for client in [&alice, &bob] {
        let states = |thread: &cercle_sdk::thread::Thread| {
            let all = ["event_alert", "library_entry", "event", "form", "care_plan", "adverse_event"]
                .map(|kind| thread.kinds().states(kind, 0, Language::French).unwrap());
            let validated = thread.kinds().plans.current().all(|plan| plan.validated);
            (
                all.iter().map(Vec::len).collect::<Vec<_>>(),
                validated,
                all.map(|states| states[0].json.clone()),
            )
        };
        seen.push(client.with_thread(group, states).await.unwrap());
    }
    assert_eq!(
        (&seen[0].0, seen[0].1),
        (&vec![1; 6], true),
        "one of each, and the plan is validated by its role"
    );
    assert_eq!(seen[0], seen[1], "both devices have the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_names_a_patient_is_refused_in_a_wide_thread_and_nothing_is_sent() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    for kind in ["event_alert", "assessment", "care_plan", "education_step"] {
        let refused = alice.post(group, filled(kind).into()).await.unwrap_err();
        let named = matches!(&refused, ClientError::Core(Error::IdentityInWideThread { kind: named }) if *named == kind);
        assert!(named, "{kind}: {refused}");
    }
    assert!(alice.outbox().await.unwrap().is_empty());
}
