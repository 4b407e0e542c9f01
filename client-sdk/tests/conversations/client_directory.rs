//! The directory through clients and sockets: what one member writes, the others find.

use std::path::Path;

use cercle_sdk::directory::{Card, Filter, SharedInbox};
use cercle_server::directory::import::{self, Options};

use crate::client_world::{Hub, soon};

const PEOPLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../server/tests/fixtures/directory/synthetic_personne_activite_50rows.txt"
);

/// Imports files, whatever they remove.
fn imported(hub: &Hub, file: &Path) {
    let files = vec![file.to_owned()];
    let options = Options { files, communes: Vec::new(), accept_removals: true, now_ms: 1 };
    import::run(&hub.directory(), &options, &mut |_| {}).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_imported_and_what_members_say_is_found_by_the_others() {
    let hub = Hub::start().await;
    imported(&hub, Path::new(PEOPLE));
    let (anne, linh) = (hub.enrol("anne").await, hub.enrol("899700000021").await);
    let card = Card { note: "Plaies chroniques".into(), hide_phone: true, ..Card::default() };
    let own = soon(linh.update_card(card)).await.unwrap();
    assert_eq!((own.family.as_str(), own.given.as_str()), ("MARTIN", "LINH"));
    let filter = Filter { text: "martin lin".into(), limit: 5, facets: true, ..Filter::default() };
    let page = soon(anne.directory_search(filter)).await.unwrap();
    let best = &page.entries[0];
    assert_eq!(
        (best.users.as_slice(), &best.key),
        (["899700000021@cpts.example".to_owned()].as_slice(), &own.key)
    );
    assert_eq!(best.card.as_ref().unwrap().note, "Plaies chroniques");
    assert!(page.total >= 1 && !page.professions.is_empty());
    assert_eq!(&soon(anne.directory_get("99700000021")).await.unwrap(), best);
    let refusal = soon(anne.directory_get("ps:nobody")).await.unwrap_err();
    assert!(refusal.to_string().contains("no such entry"), "{refusal}");
    let users = vec!["anne@cpts.example".to_owned(), "899700000021@cpts.example".to_owned()];
    let inbox = SharedInbox { name: "Cabinet".into(), users: users.clone(), ..SharedInbox::default() };
    let made = soon(anne.update_inbox(inbox.clone())).await.unwrap().unwrap();
    assert_eq!(soon(linh.directory_get(&made.key)).await.unwrap().users, users);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_directory_needs_a_connection_and_says_so() {
    let mut hub = Hub::start().await;
    let anne = hub.enrol("anne").await;
    assert!(soon(anne.directory_get("anne@cpts.example")).await.is_ok());
    let mut events = anne.events();
    hub.stop().await;
    crate::client_world::until(&mut events, |event| matches!(event, cercle_sdk::event::Event::Disconnected))
        .await;
    assert!(soon(anne.directory_search(Filter::default())).await.is_err());
}
