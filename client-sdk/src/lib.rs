//! What an app links to take part in Cercle: everything that needs keys.
//!
//! Two layers:
//! - the **core** ([`core`], `sync`, `mls`, [`store`], [`message`], [`thread`], [`search`], [`sealing`]): pure
//!   state machines over a SQLite connection; time comes in as an argument; no sockets, files, threads or clock.
//! - the **shell** ([`client`], [`connection`], [`transfer`], [`linking`], [`recovery`], [`profile`]): tokio, TLS, WebSocket, HTTPS, files.
//!
//! Apps, the `cercle` command line and bridges use [`client::Client`] and nothing below it.
//!
//! A whole conversation of two devices:
//!
//! ```
//! use cercle_proto::invitation::Invitation;
//! use cercle_sdk::client::{Client, Notice};
//! use cercle_sdk::core::{PolicyTemplate, Settings};
//! use cercle_sdk::event::Event;
//! use cercle_sdk::message::Body;
//! use cercle_sdk::profile::{Profile, Protection};
//!
//! # async fn conversation(home: &std::path::Path, link_a: &str, link_b: &str)
//! # -> Result<Body, Box<dyn std::error::Error>> {
//! let enrol = async |name: &str, link: &str| -> Result<Client, Box<dyn std::error::Error>> {
//!     let profile = Profile::create(&home.join(name), Protection::KeyFile)?;
//!     let client = Client::open(profile, Settings::default()).await?;
//!     client.enrol(&Invitation::parse(link)?).await?;
//!     client.caught_up().await?;
//!     Ok(client)
//! };
//! let (alice, bob) = (enrol("alice", link_a).await?, enrol("bob", link_b).await?);
//! let mut heard = bob.events();
//!
//! let group = alice.create_group("Tournée du matin", PolicyTemplate::Conversation).await?;
//! let bobs_id = bob.identity().await?.expect("enrolled").user;
//! alice.invite(group, vec![bobs_id]).await?;
//! alice.send(group, "Visite de 8 h faite.").await?;
//!
//! let message = loop {
//!     match heard.next().await.expect("open") {
//!         Notice::Event(Event::MessageReceived(message)) => match message.body {
//!             Body::Text(_) => break message,
//!             _ => {} // the group's title comes first
//!         },
//!         Notice::Event(_) | Notice::Missed(_) => {}
//!     }
//! };
//! assert_eq!(message.body, Body::text("Visite de 8 h faite."));
//! alice.close().await;
//! bob.close().await;
//! # Ok(message.body)
//! # }
//! #
//! # use cercle_server::{auth::InvitationRequest, clock::Clock, config::Config, init, server};
//! # let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
//! # runtime.block_on(async {
//! #     let home = tempfile::tempdir().unwrap();
//! #     let options = init::Options {
//! #         data: home.path().join("hub"),
//! #         domain: "cpts.example".to_owned(),
//! #         address: "127.0.0.1:0".to_owned(),
//! #         tls: None,
//! #         at_rest_key: None,
//! #         administrator: "admin".to_owned(),
//! #         administrator_name: "Administration".to_owned(),
//! #     };
//! #     let created = init::create(options, &Clock::system()).await.unwrap();
//! #     let hub = server::start(Config::load(&created.config, []).unwrap()).await.unwrap();
//! #     let invite = async |user: &str| {
//! #         let request = InvitationRequest {
//! #             user: Some(user.to_owned()),
//! #             display_name: user.to_owned(),
//! #             profession: String::new(),
//! #             class: cercle_proto::v1::MemberClass::Professional,
//! #             roles: Vec::new(),
//! #             valid_for_ms: None,
//! #             lost_devices: false,
//! #         };
//! #         hub.invite(request).await.unwrap().1
//! #     };
//! #     let (a, b) = (invite("alice").await, invite("bob").await);
//! #     let talk = conversation(home.path(), &a, &b);
//! #     tokio::time::timeout(std::time::Duration::from_secs(60), talk).await.unwrap().unwrap();
//! # });
//! ```

pub mod bare;
pub mod calendar;
pub mod client;
pub mod connection;
pub mod core;
pub mod directory;
pub mod error;
pub mod event;
pub mod export;
pub mod fhir;
pub mod history;
pub mod joining;
pub mod limits;
pub mod linking;
pub mod message;
mod mls;
pub mod profile;
pub mod recovery;
pub mod sealing;
pub mod search;
pub mod store;
mod sync;
pub mod thread;
pub mod transfer;
#[cfg(any(test, fuzzing))]
pub mod untrusted;

#[cfg(test)]
extern crate self as cercle_sdk;

#[cfg(test)]
#[path = "../tests/conversations/core_world.rs"]
#[expect(dead_code, unused_imports, reason = "made for many tests")]
mod core_world;

#[cfg(test)]
#[path = "../fuzz/targets.rs"]
#[expect(dead_code, unreachable_pub, reason = "made for the fuzzing binaries")]
mod fuzz_targets;
