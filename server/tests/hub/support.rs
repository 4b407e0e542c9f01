//! A hub in this process and raw clients for it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use cercle_proto::{
    ErrorCode, frame,
    id::{DeviceId, GroupId, MessageId, UserId},
    invitation::Invitation,
    signing,
    v1::{self, MemberClass, Role, client_frame, server_frame},
};
use cercle_server::{
    auth::InvitationRequest,
    clock::Clock,
    config::Config,
    init,
    server::{RunningServer, Server},
    transport::grpc::RawCodec,
};
use cercle_storage::store::{CommitRecord, CreateGroup, Joined, Store};
use futures_util::{SinkExt, StreamExt};
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{net::TcpStream, sync::mpsc, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

/// Longer than anything here takes, so that a hanging test ends.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A hub in this process, over a store in memory.
pub(crate) struct Hub {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) data: PathBuf,
    pub(crate) running: RunningServer,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) config: Config,
}

impl Hub {
    /// A hub with the default configuration.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A hub whose configuration is changed first.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::over(cercle_storage::open_memory(), change).await
    }

    /// A hub over this store.
    pub(crate) async fn over(store: Arc<dyn Store>, change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("hub");
        let mut config = new_installation(&data).await;
        config.durability = cercle_server::config::Durability::Process;
        config.metrics = "127.0.0.1:0".into();
        change(&mut config);
        let running = Server::new(config.clone()).with_store(store.clone()).start().await.unwrap();
        Self { directory, data, running, store, config }
    }

    /// The same hub, ended and started again.
    pub(crate) async fn restart(self) -> Self {
        let Self { directory, data, running, store, config } = self;
        running.shutdown().await;
        let running = Server::new(config.clone()).with_store(store.clone()).start().await.unwrap();
        Self { directory, data, running, store, config }
    }

    /// The same hub, stopped at once without a drain, and started again.
    pub(crate) async fn stop_and_start(self) -> Self {
        let Self { directory, data, running, store, config } = self;
        running.end().await;
        let running = Server::new(config.clone()).with_store(store.clone()).start().await.unwrap();
        Self { directory, data, running, store, config }
    }

    /// Invites a user; returns the secret.
    pub(crate) async fn invite(&self, user: &str) -> [u8; 32] {
        self.invite_as(user, Role::Member).await
    }

    async fn invite_as(&self, user: &str, role: Role) -> [u8; 32] {
        let request = InvitationRequest {
            user: Some(user.into()),
            display_name: format!("Dr {user}"),
            profession: String::new(),
            class: MemberClass::Professional,
            roles: vec![role],
            valid_for_ms: None,
            lost_devices: false,
        };
        self.running.invite(request).await.unwrap().0.secret
    }

    /// A TLS connection that trusts the root of this hub.
    pub(crate) async fn tls(&self, alpn: &[u8]) -> TlsStream<TcpStream> {
        tls_to(self.running.address(), &self.data, alpn).await
    }

    pub(crate) fn client_config(&self, alpn: &[u8]) -> rustls::ClientConfig {
        client_config(&self.data, alpn)
    }

    /// A WebSocket, nothing said yet.
    pub(crate) async fn websocket(&self) -> Peer {
        Peer::WebSocket(Box::new(self.raw_websocket().await))
    }

    pub(crate) async fn raw_websocket(&self) -> WebSocketStream<TlsStream<TcpStream>> {
        websocket_over(self.tls(b"").await).await
    }

    /// A gRPC stream, nothing said yet.
    pub(crate) async fn grpc(&self) -> Peer {
        let root = std::fs::read(self.data.join("root.pem")).unwrap();
        let tls = tonic::transport::ClientTlsConfig::new()
            .ca_certificate(tonic::transport::Certificate::from_pem(root))
            .domain_name("127.0.0.1");
        let endpoint = format!("https://{}", self.running.address());
        let endpoint = tonic::transport::Endpoint::from_shared(endpoint).unwrap().tls_config(tls).unwrap();
        let channel = endpoint.connect().await.unwrap();
        let (outbound, queue) = mpsc::channel(64);
        let mut client = tonic::client::Grpc::new(channel);
        client.ready().await.unwrap();
        let frames =
            futures_util::stream::unfold(
                queue,
                |mut queue| async move { Some((queue.recv().await?, queue)) },
            );
        let path = http::uri::PathAndQuery::from_static(frame::GRPC_PATH);
        let response = client.streaming(tonic::Request::new(frames), path, RawCodec).await.unwrap();
        Peer::Grpc(outbound, Box::new(response.into_inner()))
    }

    /// A connection by each transport, with its name.
    pub(crate) async fn both(&self) -> [(&'static str, Peer); 2] {
        [("websocket", self.websocket().await), ("grpc", self.grpc().await)]
    }

    /// Enrols a device of a new user over a connection of its own.
    pub(crate) async fn enrol(&self, user: &str, id: u8) -> Device {
        self.enrol_as(user, id, Role::Member).await
    }

    /// Enrols a device of a new user with a role.
    pub(crate) async fn enrol_as(&self, user: &str, id: u8, role: Role) -> Device {
        let secret = self.invite_as(user, role).await;
        let device = Device::new(id);
        let mut peer = self.websocket().await;
        let nonce = peer.greet().await;
        peer.send(1, client_frame::Body::Enrol(device.enrolment(&nonce, &secret))).await;
        let body = peer.answer(1).await;
        assert!(matches!(body, server_frame::Body::CertificateIssued(_)), "{body:?}");
        device
    }

    /// An open session of a device, over a WebSocket.
    pub(crate) async fn session(&self, device: &Device) -> Peer {
        let mut peer = self.websocket().await;
        peer.authenticate(device).await;
        peer
    }

    /// Waits until the hub has noticed that a device is gone.
    pub(crate) async fn wait_until_gone(&self, device: &Device) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.running.has_session(device.id) {
            assert!(tokio::time::Instant::now() < deadline, "the session does not end");
            tokio::task::yield_now().await;
        }
    }

    /// A group that has these devices as members from its creation on, made behind the services' back: what
    /// is tested here needs rosters and logs, not MLS.
    pub(crate) async fn group(&self, id: u8, members: &[(&str, &Device)]) -> GroupId {
        let group = GroupId::new([id; 16]);
        let joined = |(index, (user, device)): (usize, &(&str, &Device))| Joined {
            device: device.id,
            user: UserId::new(user, "cpts.example").unwrap(),
            leaf: u32::try_from(index).unwrap(),
            may_post: true,
        };
        let mut rows: Vec<Joined> = members.iter().enumerate().map(joined).collect();
        let create = CreateGroup {
            group,
            message_id: MessageId::new([id; 16]),
            creator: rows.remove(0),
            group_info: Bytes::new(),
            group_state: Bytes::new(),
            posting_restricted: false,
            at: 1,
        };
        self.store.create_group(create).await.unwrap();
        self.change_roster(group, members[0].1, 0, rows, Vec::new()).await;
        group
    }

    /// Ends an epoch behind the services' back, and tells nobody.
    pub(crate) async fn change_roster(
        &self,
        group: GroupId,
        by: &Device,
        epoch: u64,
        joined: Vec<Joined>,
        removed: Vec<DeviceId>,
    ) -> u64 {
        let commit = CommitRecord {
            group,
            sender: by.id,
            external: false,
            message_id: MessageId::from_time(epoch, &group.as_bytes()[..10].try_into().unwrap()),
            epoch,
            body: Bytes::from_static(b"commit"),
            group_info: Bytes::new(),
            group_state: Bytes::new(),
            joined,
            removed,
            may_post: Vec::new(),
            posting_restricted: false,
            welcome: None,
            application: None,
            application_blobs: Vec::new(),
            at: 2,
        };
        self.store.commit(commit).await.unwrap().seq
    }
}

/// A TLS connection that trusts the root in the data directory of a hub.
pub(crate) async fn tls_to(address: SocketAddr, data: &Path, alpn: &[u8]) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(client_config(data, alpn))).connect(name, tcp).await.unwrap()
}

fn client_config(data: &Path, alpn: &[u8]) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(data.join("root.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    if !alpn.is_empty() {
        config.alpn_protocols = vec![alpn.to_vec()];
    }
    config
}

/// A WebSocket, nothing said yet.
pub(crate) async fn websocket_over(stream: TlsStream<TcpStream>) -> WebSocketStream<TlsStream<TcpStream>> {
    let request = http::Request::get("wss://127.0.0.1/v1/ws")
        .header("host", "127.0.0.1")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", frame::SUBPROTOCOL)
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(())
        .unwrap();
    tokio_tungstenite::client_async(request, stream).await.unwrap().0
}

/// Makes a hub in a directory; returns its configuration.
pub(crate) async fn new_installation(data: &Path) -> Config {
    let options = init::Options {
        data: data.to_owned(),
        domain: "cpts.example".into(),
        address: "127.0.0.1:0".into(),
        tls: None,
        administrator: "admin".into(),
        administrator_name: "Admin".into(),
        at_rest_key: None,
    };
    let created = init::create(options, &Clock::system()).await.unwrap();
    let _: Invitation = created.invitation;
    Config::load(&created.config, []).unwrap()
}

/// A device and its key.
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    key: Ed25519KeyPair,
}

impl Device {
    pub(crate) fn new(id: u8) -> Self {
        Self { id: DeviceId::new([id; 16]), key: Ed25519KeyPair::from_seed_unchecked(&[id; 32]).unwrap() }
    }

    /// One of many.
    pub(crate) fn numbered(number: u16) -> Self {
        let (mut id, mut seed) = ([0xd0; 16], [0x5e; 32]);
        id[..2].copy_from_slice(&number.to_be_bytes());
        seed[..2].copy_from_slice(&number.to_be_bytes());
        Self { id: DeviceId::new(id), key: Ed25519KeyPair::from_seed_unchecked(&seed).unwrap() }
    }

    pub(crate) fn enrolment(&self, nonce: &[u8; 32], secret: &[u8; 32]) -> v1::Enrol {
        let public_key: [u8; 32] = self.key.public_key().as_ref().try_into().unwrap();
        let message = signing::enrol_message(nonce, secret, self.id, &public_key);
        v1::Enrol {
            invitation: Bytes::copy_from_slice(secret),
            device: self.id.to_bytes(),
            public_key: Bytes::copy_from_slice(&public_key),
            proof: Bytes::copy_from_slice(self.key.sign(&message).as_ref()),
        }
    }

    pub(crate) fn proof(&self, nonce: &[u8; 32]) -> v1::Authenticate {
        let signature = self.key.sign(&signing::session_message(nonce, self.id));
        let proof = Bytes::copy_from_slice(signature.as_ref());
        v1::Authenticate { device: self.id.to_bytes(), proof, certificate: Bytes::new() }
    }
}

/// A raw client.
pub(crate) enum Peer {
    WebSocket(Box<WebSocketStream<TlsStream<TcpStream>>>),
    Grpc(mpsc::Sender<Bytes>, Box<tonic::Streaming<Bytes>>),
}

impl Peer {
    pub(crate) async fn send(&mut self, request: u64, body: client_frame::Body) {
        self.send_bytes(frame::encode(&frame::client(request, body))).await;
    }

    /// Sends bytes as a frame. The hub may have closed the connection already: what it said is read anyway.
    pub(crate) async fn send_bytes(&mut self, bytes: Bytes) {
        match self {
            Self::WebSocket(socket) => drop(socket.send(Message::Binary(bytes)).await),
            Self::Grpc(outbound, _) => drop(outbound.send(bytes).await),
        }
    }

    /// The next frame, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<v1::ServerFrame> {
        let bytes = match self {
            Self::WebSocket(socket) => loop {
                match timeout(PATIENCE, socket.next()).await.expect("the hub says something in time") {
                    Some(Ok(Message::Binary(bytes))) => break bytes,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                    Some(Ok(_)) => {}
                }
            },
            Self::Grpc(_, inbound) => {
                timeout(PATIENCE, inbound.message()).await.expect("the hub says something in time").ok()??
            }
        };
        Some(frame::decode_server(bytes).unwrap())
    }

    /// The next frame that is no ping.
    pub(crate) async fn body(&mut self) -> server_frame::Body {
        loop {
            let frame = self.next().await.expect("the connection is open");
            match frame.body.expect("a server frame has a body") {
                server_frame::Body::Ping(_) => self.send(0, client_frame::Body::Pong(v1::Pong {})).await,
                body => return body,
            }
        }
    }

    /// The answer to a request; what comes before it is skipped.
    pub(crate) async fn answer(&mut self, request: u64) -> server_frame::Body {
        loop {
            let frame = self.next().await.expect("the connection is open");
            if frame.request == request {
                return frame.body.expect("a server frame has a body");
            }
        }
    }

    /// The code of the error that answers a request.
    pub(crate) async fn refusal(&mut self, request: u64) -> ErrorCode {
        match self.answer(request).await {
            server_frame::Body::Error(error) => ErrorCode::from_number(error.code).unwrap(),
            body => panic!("not refused: {body:?}"),
        }
    }

    /// The last error before the end of the connection, if any.
    pub(crate) async fn last_words(&mut self) -> Option<ErrorCode> {
        let mut last = None;
        while let Some(frame) = self.next().await {
            if let Some(server_frame::Body::Error(error)) = frame.body {
                last = ErrorCode::from_number(error.code);
            }
        }
        last
    }

    /// Says hello; returns the nonce.
    pub(crate) async fn greet(&mut self) -> [u8; 32] {
        let hello = v1::Hello { version_min: 1, version_max: 1, client: "test/1".into() };
        self.send(1, client_frame::Body::Hello(hello)).await;
        match self.answer(1).await {
            server_frame::Body::HelloOk(hello) => hello.nonce.as_ref().try_into().unwrap(),
            body => panic!("not greeted: {body:?}"),
        }
    }

    /// Opens the session of a device.
    pub(crate) async fn authenticate(&mut self, device: &Device) -> v1::Authenticated {
        let nonce = self.greet().await;
        self.send(2, client_frame::Body::Authenticate(device.proof(&nonce))).await;
        match self.answer(2).await {
            server_frame::Body::Authenticated(authenticated) => authenticated,
            body => panic!("not authenticated: {body:?}"),
        }
    }

    /// Reads groups after cursors, without inbox.
    pub(crate) async fn subscribe(&mut self, wave: u64, groups: &[(GroupId, u64)]) {
        let cursor = |(group, seq): &(GroupId, u64)| v1::Cursor { group: group.to_bytes(), seq: *seq };
        let groups = groups.iter().map(cursor).collect();
        let subscribe = v1::Subscribe { wave, groups, inbox_after: 0, remove: Vec::new() };
        self.send(9, client_frame::Body::Subscribe(subscribe)).await;
    }

    /// Collects entries until `until` of a group has come or its wave is complete.
    pub(crate) async fn entries_until(&mut self, group: GroupId, until: u64) -> Vec<v1::Entry> {
        let mut entries: Vec<v1::Entry> = Vec::new();
        while entries.last().is_none_or(|entry| entry.seq < until) {
            if let server_frame::Body::Entries(more) = self.body().await
                && more.group == group.to_bytes()
            {
                entries.extend(more.entries);
            }
        }
        entries
    }

    /// Sends an application message and returns the number it got.
    pub(crate) async fn post(&mut self, group: GroupId, epoch: u64, id: u64) -> u64 {
        self.send(id, client_frame::Body::SendApplication(application(group, epoch, id, 20))).await;
        match self.answer(id).await {
            server_frame::Body::Accepted(accepted) => accepted.seq,
            body => panic!("not accepted: {body:?}"),
        }
    }
}

/// An application message as far as the hub can see: the header of a `PrivateMessage` (RFC 9420 section 6)
/// and `length` opaque bytes.
pub(crate) fn application(group: GroupId, epoch: u64, id: u64, length: usize) -> v1::SendApplication {
    let mut mls = vec![0, 1, 0, 2, 16];
    mls.extend(group.as_bytes());
    mls.extend(epoch.to_be_bytes());
    mls.push(1);
    mls.extend(vec![0xab; length]);
    let mut message_id = [0x55; 16];
    message_id[8..].copy_from_slice(&id.to_be_bytes());
    v1::SendApplication {
        group: group.to_bytes(),
        message_id: Bytes::copy_from_slice(&message_id),
        mls: mls.into(),
        blobs: Vec::new(),
    }
}
