//! A hub that is backed up, restored on another machine, and gets everything back from its clients.

#[path = "client_restored_hub/drill.rs"]
mod drill;
#[path = "client_restored_hub/hour.rs"]
mod hour;
#[path = "client_restored_hub/members.rs"]
mod members;

use std::sync::Arc;

use cercle_server::{
    admin::{self, Command},
    backup::{self, Repository},
    clock::Clock,
    config::Config,
};

use self::members::{all_agree, enrol};
use super::{
    client_world::{Hub, soon},
    link::Link,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_and_keys_are_in_the_backup_and_the_second_one_copies_what_is_new() {
    let mut hub = Hub::start().await;
    let link = Link::to(hub.address().await).await;
    let (anne, bruno) = (enrol(&hub, &link, "anne").await, enrol(&hub, &link, "bruno").await);
    let group = super::client_world::pair(&anne.client, &bruno.client).await;
    let repository = hub.folder().join("backups");
    let config = Config::load(hub.config(), []).unwrap();
    let make = || Command::Backup { repository: repository.clone(), recipient: None };
    let first = admin::client::send(&config.admin_socket, &make()).await.unwrap();
    soon(anne.client.send(group, "one more")).await.unwrap();
    all_agree(&[&anne, &bruno], group, &["one more".to_owned()].into()).await;
    let second = admin::client::send(&config.admin_socket, &make()).await.unwrap();
    let bytes = |answer: &serde_json::Value, field: &str| answer[field].as_u64().unwrap();
    assert_eq!(bytes(&first, "bytes"), bytes(&first, "new_bytes"), "the first copies everything");
    assert!(bytes(&second, "new_bytes") < bytes(&second, "bytes"), "{second}");
    let opened = Arc::new(Repository::open(&repository).unwrap());
    assert_eq!(opened.backups().unwrap().len(), 2);
    // What is damaged is named, and not restored.
    let manifest = opened.backups().unwrap().remove(1);
    let chunk = manifest.rows.first().unwrap().clone();
    let file = repository.join("chunks").join(&chunk[..2]).join(&chunk);
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[1..]).unwrap();
    let damaged = backup::verify(&opened, None, None).unwrap_err();
    assert!(damaged.to_string().contains(&chunk), "{damaged}");
    let data = hub.folder().join("successor");
    let refused = backup::restore(&opened, None, &data, None, None, Clock::system().now()).await;
    assert!(matches!(refused, Err(backup::BackupError::Damaged(_))));
    assert!(!data.exists(), "an attempt that failed leaves nothing");
    std::fs::write(&file, &whole).unwrap();
    backup::verify(&opened, None, None).unwrap();
    hub.stop().await;
    backup::restore(&opened, None, &data, None, None, Clock::system().now()).await.unwrap();
    hub.move_to(&data).await;
    link.lead_to(hub.listening().to_string());
    soon(bruno.client.send(group, "merci")).await.unwrap();
    all_agree(&[&anne, &bruno], group, &["one more".to_owned(), "merci".to_owned()].into()).await;
}
