//! Whom an accepted write wakes: readers of the group, owners of inboxes, owners of low stocks; and nobody
//! for a repetition.

use cercle_server::{
    delivery::{Application, WelcomeOutcome},
    fanout::{News, Registration, Relayed},
};

use super::world::{Hub, Plan, id_of, new_id};

fn news(of: &Registration) -> News {
    let mut news = News::default();
    of.mailbox().take(&mut news);
    news
}

#[tokio::test]
async fn readers_are_woken_once_for_each_accepted_message() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let mut group = hub.new_group(&anne).await;
    let id = id_of(&group);
    let mut session =
        hub.fanout.register(anne.device(), hub.fanout.next_connection(), std::sync::Arc::default());
    session.subscribe(id);
    let (message_id, mls) = (new_id(), anne.encrypt(&mut group, "bonjour"));
    let send = || {
        hub.delivery.send_application(&anne.identity, id, Application::new(message_id, mls.clone()), hub.now)
    };
    send().await.unwrap();
    assert!(news(&session).groups.contains(&id));
    send().await.unwrap();
    assert!(news(&session).groups.is_empty(), "a repetition is no news");
    hub.accept(&anne, &mut group, Plan::default()).await.unwrap();
    assert!(news(&session).groups.contains(&id));
}

#[tokio::test]
async fn who_is_added_learns_of_his_welcome() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let session =
        hub.fanout.register(bruno.device(), hub.fanout.next_connection(), std::sync::Arc::default());
    let mut group = hub.new_group(&anne).await;
    hub.add(&anne, &mut group, &[&bruno]).await;
    assert!(news(&session).inbox);
}

#[tokio::test]
async fn a_device_learns_that_its_stock_is_low() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let packages = vec![bruno.published(false), bruno.published(false)];
    hub.delivery.publish_key_packages(&bruno.identity, 1, packages, None, hub.now).await.unwrap();
    let session =
        hub.fanout.register(bruno.device(), hub.fanout.next_connection(), std::sync::Arc::default());
    hub.claim(&anne, &[&bruno]).await;
    assert_eq!(news(&session).key_packages_left, Some(1));
}

#[tokio::test]
async fn members_learn_who_waits_to_be_added_again() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut group = hub.new_group(&anne).await;
    hub.add(&anne, &mut group, &[&bruno]).await;
    let mut session =
        hub.fanout.register(anne.device(), hub.fanout.next_connection(), std::sync::Arc::default());
    session.subscribe(id_of(&group));
    let outcome = WelcomeOutcome::Invalid;
    hub.delivery.welcome_ack(&bruno.identity, id_of(&group), outcome, hub.now).await.unwrap();
    let hinted = news(&session).relayed;
    assert!(matches!(&hinted[0], Relayed::Membership { hint, .. } if hint.device == bruno.device()));
}
