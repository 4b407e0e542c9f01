//! A hub on loopback and clients with profiles on disk: the whole of it, sockets included.

use std::{future::Future, path::PathBuf, time::Duration};

use cercle_proto::{
    id::{GroupId, UserId},
    invitation::Invitation,
    v1::{MemberClass, Role},
};
use cercle_sdk::{
    client::{Client, ClientError, Events, Notice},
    core::{PolicyTemplate, Settings},
    error::Error,
    event::Event,
    message::Body,
    profile::{Profile, Protection},
    recovery::code::Cost,
};
use cercle_server::{
    auth::InvitationRequest,
    clock::Clock,
    config::Config,
    init,
    server::{RunningServer, Server},
};
use tempfile::TempDir;

/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A hub that can be stopped and started on the same port and data.
pub(crate) struct Hub {
    folder: TempDir,
    config: PathBuf,
    environment: Vec<(String, String)>,
    clock: Clock,
    running: Option<RunningServer>,
}

impl Hub {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With settings, as the environment gives them.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::start_by(Clock::system(), settings).await
    }

    /// As [`Hub::start_with`], by another clock than the machine's.
    pub(crate) async fn start_by(clock: Clock, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = init::Options {
            data: folder.path().join("hub"),
            domain: "cpts.example".to_owned(),
            address: "127.0.0.1:0".to_owned(),
            tls: None,
            administrator: "admin".to_owned(),
            administrator_name: "Administration".to_owned(),
            at_rest_key: None,
        };
        let config = Box::pin(init::create(options, &clock)).await.unwrap().config;
        let environment = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let mut hub = Self { folder, config, environment: environment.collect(), clock, running: None };
        hub.resume().await;
        hub
    }

    pub(crate) async fn resume(&mut self) {
        let config = Config::load(&self.config, self.environment.clone()).unwrap();
        let server = Server::new(config).with_clock(self.clock.clone());
        self.running = Some(Box::pin(server.start()).await.unwrap());
    }

    pub(crate) async fn stop(&mut self) {
        assert!(self.running.take().unwrap().shutdown().await, "drained in time");
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> &std::path::Path {
        &self.config
    }

    /// A folder that is gone with the hub.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Starts as another machine would: from another data directory, at a port that is free.
    pub(crate) async fn move_to(&mut self, data: &std::path::Path) {
        self.config = data.join(init::CONFIG_FILE);
        self.environment.push(("CERCLE_SERVER_LISTEN".to_owned(), "127.0.0.1:0".to_owned()));
        self.resume().await;
    }

    /// The address that is listened at.
    pub(crate) fn listening(&self) -> std::net::SocketAddr {
        self.running.as_ref().unwrap().address()
    }

    pub(crate) fn folder_of(&self, user: &str) -> PathBuf {
        self.folder.path().join("profiles").join(user)
    }

    pub(crate) async fn invitation(&self, user: &str) -> Invitation {
        self.invitation_as(user, Vec::new()).await
    }

    /// An invitation for somebody with roles on the hub.
    pub(crate) async fn invitation_as(&self, user: &str, roles: Vec<Role>) -> Invitation {
        let request = InvitationRequest {
            user: Some(user.to_owned()),
            display_name: user.to_owned(),
            profession: String::new(),
            class: MemberClass::Professional,
            roles,
            valid_for_ms: None,
            lost_devices: false,
        };
        let (_, link) = self.running.as_ref().unwrap().invite(request).await.unwrap();
        Invitation::parse(&link).unwrap()
    }

    /// A new user with a device that is connected and has read everything.
    pub(crate) async fn enrol(&self, user: &str) -> Client {
        let profile = Profile::create(&self.folder_of(user), Protection::KeyFile).unwrap();
        let client = Client::open(profile, settings()).await.unwrap();
        soon(client.enrol(&self.invitation(user).await)).await.unwrap();
        soon(client.caught_up()).await.unwrap();
        client
    }

    /// As [`Hub::enrol`], by way of another address.
    pub(crate) async fn enrol_through(&self, user: &str, address: &str) -> Client {
        self.enrol_as(user, Vec::new(), address).await
    }

    /// As [`Hub::enrol_through`], with roles on the hub.
    pub(crate) async fn enrol_as(&self, user: &str, roles: Vec<Role>, address: &str) -> Client {
        let profile = Profile::create(&self.folder_of(user), Protection::KeyFile).unwrap();
        let client = Client::open(profile, settings()).await.unwrap();
        let invitation = self.invitation_as(user, roles).await;
        let invitation = Invitation { address: address.to_owned(), ..invitation };
        soon(client.enrol(&invitation)).await.unwrap();
        soon(client.caught_up()).await.unwrap();
        client
    }

    /// `host:port` of the hub.
    pub(crate) async fn address(&self) -> String {
        self.invitation("nobody").await.address
    }

    /// The files of attachments on the hub.
    pub(crate) fn attachments(&self) -> PathBuf {
        self.folder.path().join("hub").join("attachments")
    }

    /// The folder of the hub's directory.
    pub(crate) fn directory(&self) -> PathBuf {
        self.folder.path().join("hub").join("directory")
    }

    /// The device of a user again, from its profile on the disk.
    pub(crate) async fn reopen(&self, user: &str) -> Client {
        let profile = Profile::open(&self.folder_of(user), || None).unwrap();
        let client = Client::open(profile, settings()).await.unwrap();
        client.connect().await.unwrap();
        client
    }
}

/// As an app has them, but recovery codes cost nothing.
pub(crate) fn settings() -> Settings {
    Settings { recovery_cost: Cost::LEAST, ..Settings::default() }
}

/// Waits, but not for ever.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, Box::pin(work)).await.expect("it takes too long")
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name, "cpts.example").unwrap()
}

/// A group of two, in which the second has heard the first.
pub(crate) async fn pair(first: &Client, second: &Client) -> GroupId {
    let (mut heard, mut own) = (second.events(), first.events());
    let group = soon(first.create_group("Deux", PolicyTemplate::Conversation)).await.unwrap();
    let id = second.identity().await.unwrap().unwrap().user;
    soon(first.invite(group, vec![id])).await.unwrap();
    soon(first.send(group, "bonjour")).await.unwrap();
    until_text(&mut heard, "bonjour").await;
    // The other may read it before its sender has heard that it was accepted.
    soon(async {
        while !first.outbox().await.unwrap().is_empty() {
            own.next().await;
        }
    })
    .await;
    group
}

/// Waits for an event that fits.
pub(crate) async fn until(events: &mut Events, fits: impl Fn(&Event) -> bool) {
    soon(async {
        loop {
            match events.next().await.expect("the client is open") {
                Notice::Event(event) if fits(&event) => return,
                Notice::Event(_) => {}
                Notice::Missed(count) => panic!("{count} events were missed"),
            }
        }
    })
    .await;
}

/// Waits for a message with this text.
pub(crate) async fn until_text(events: &mut Events, text: &str) {
    let wanted = Body::text(text);
    until(events, |event| matches!(event, Event::MessageReceived(message) if message.body == wanted)).await;
}

/// The texts of a group that a device has, in order; none while it has not joined yet.
pub(crate) async fn texts(client: &Client, group: GroupId) -> Vec<String> {
    let messages = match client.messages(group, 0, 10_000).await {
        Err(ClientError::Core(Error::UnknownGroup(_))) => return Vec::new(),
        messages => messages.unwrap(),
    };
    let text = |body| match body {
        Body::Text(text) => Some(text.text),
        _ => None,
    };
    messages.into_iter().filter_map(|message| text(message.body)).collect()
}
