//! A device built on mls-rs, an independent implementation of MLS: keys, credential, groups and messages are
//! its own; of this project it uses the frames, the certificate rules and the group policy, which are what
//! docs/protocol.md asks of any client.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use cercle_proto::{
    certificate::{self, CertificateError, Root, Validity},
    frame,
    id::{DeviceId, GroupId, MessageId, UserId},
    invitation::Invitation,
    policy::{self, Policy},
    signing,
    v1::{self, EntryKind, client_frame::Body as Request, server_frame::Body as Answer},
};
use cercle_sdk::connection::trust::{self, TlsTrust};
use futures_util::{SinkExt as _, StreamExt as _};
use mls_rs::{
    CipherSuite, CipherSuiteProvider as _, Client, CryptoProvider as _, Extension, ExtensionList, Group,
    IdentityProvider, MlsMessage,
    client_builder::{MlsConfig, PaddingMode},
    error::IntoAnyError,
    extension::{
        ExtensionType,
        built_in::{ExternalSendersExt, RequiredCapabilitiesExt},
    },
    group::{ExportedTree, ReceivedMessage},
    identity::{Credential, CredentialType, SigningIdentity, x509::CertificateChain},
    mls_rules::{CommitOptions, DefaultMlsRules, EncryptionOptions},
    time::MlsTime,
};
use mls_rs_core::{
    crypto::{SignaturePublicKey, SignatureSecretKey},
    identity::MemberValidationContext,
};
use mls_rs_crypto_rustcrypto::RustCryptoProvider;
use prost::Message as _;
use tokio::{net::TcpStream, sync::mpsc};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

const SUITE: CipherSuite = CipherSuite::CURVE25519_AES128;
const POLICY: ExtensionType = ExtensionType::new(policy::EXTENSION_TYPE);
/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The plaintext of a message, as far as this device knows it.
#[derive(Clone, PartialEq, prost::Message)]
struct Envelope {
    #[prost(uint64, tag = "1")]
    sent_at_ms: u64,
    #[prost(bytes = "vec", tag = "2")]
    epoch_authenticator: Vec<u8>,
    #[prost(message, optional, tag = "16")]
    text: Option<Text>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

/// Believes certificates under one root, by the rules of docs/protocol.md section 3.
#[derive(Debug, Clone)]
pub(crate) struct Certificates(Root);

#[derive(Debug)]
pub(crate) struct Untrusted(#[expect(dead_code, reason = "shown by Debug")] CertificateError);

impl IntoAnyError for Untrusted {}

impl Certificates {
    fn device(&self, identity: &SigningIdentity) -> Result<certificate::DeviceIdentity, Untrusted> {
        let verified = self.0.verify(&chain(identity)?, &identity.signature_key, Validity::Ignore);
        match verified.map_err(Untrusted)? {
            certificate::Subject::Device(device) => Ok(device),
            certificate::Subject::Hub(_) => Err(Untrusted(CertificateError::Malformed("the hub"))),
        }
    }
}

fn chain(identity: &SigningIdentity) -> Result<Vec<Vec<u8>>, Untrusted> {
    match &identity.credential {
        Credential::X509(chain) => Ok(chain.iter().map(|certificate| certificate.to_vec()).collect()),
        _ => Err(Untrusted(CertificateError::Malformed("the credential is not X.509"))),
    }
}

impl IdentityProvider for Certificates {
    type Error = Untrusted;

    fn validate_member(
        &self,
        identity: &SigningIdentity,
        _: Option<MlsTime>,
        _: MemberValidationContext<'_>,
    ) -> Result<(), Untrusted> {
        self.device(identity).map(|_| ())
    }

    fn validate_external_sender(
        &self,
        identity: &SigningIdentity,
        _: Option<MlsTime>,
        _: Option<&ExtensionList>,
    ) -> Result<(), Untrusted> {
        let chain = chain(identity)?;
        let hub = self.0.verify_hub(&chain[0], Validity::Ignore).map_err(Untrusted)?;
        let same = hub.public_key.as_slice() == identity.signature_key.as_ref();
        if same { Ok(()) } else { Err(Untrusted(CertificateError::OtherKey)) }
    }

    fn identity(&self, identity: &SigningIdentity, _: &ExtensionList) -> Result<Vec<u8>, Untrusted> {
        Ok(self.device(identity)?.device.as_bytes().to_vec())
    }

    fn valid_successor(
        &self,
        old: &SigningIdentity,
        new: &SigningIdentity,
        _: &ExtensionList,
    ) -> Result<bool, Untrusted> {
        let (old, new) = (self.device(old)?, self.device(new)?);
        Ok(old.device == new.device && old.user == new.user)
    }

    fn supported_types(&self) -> Vec<CredentialType> {
        vec![CredentialType::X509]
    }
}

/// A connection to a hub: frames out, frames in.
pub(crate) struct Line {
    pub(crate) out: mpsc::Sender<Bytes>,
    pub(crate) frames: mpsc::Receiver<Bytes>,
}

impl Line {
    /// Over TLS and WebSocket, as docs/protocol.md section 1 says.
    pub(crate) async fn dial(invitation: &Invitation) -> Self {
        let tcp = TcpStream::connect(&invitation.address).await.unwrap();
        let config = trust::client_config(TlsTrust::Root(invitation.root_fingerprint)).unwrap();
        let (host, _) = invitation.address.rsplit_once(':').unwrap();
        let name = rustls_pki_types::ServerName::try_from(host.to_owned()).unwrap();
        let tls = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        let url = format!("wss://{}{}", invitation.address, frame::WEBSOCKET_PATH);
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", frame::SUBPROTOCOL.parse().unwrap());
        let (socket, _) = Box::pin(tokio_tungstenite::client_async(request, tls)).await.unwrap();
        let (mut sink, mut stream) = socket.split();
        let (out, mut outbound) = mpsc::channel::<Bytes>(1_000);
        let (inbound, frames) = mpsc::channel(1_000);
        tokio::spawn(async move {
            while let Some(bytes) = outbound.recv().await {
                if sink.send(Message::Binary(bytes)).await.is_err() {
                    return;
                }
            }
        });
        tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                if let Message::Binary(bytes) = message
                    && inbound.send(bytes).await.is_err()
                {
                    return;
                }
            }
        });
        Self { out, frames }
    }
}

/// A group of this device.
pub(crate) struct Joined<C: MlsConfig> {
    pub(crate) group: Group<C>,
    pub(crate) texts: Vec<String>,
    cursor: u64,
    /// Message id of the own commit that waits for its echo.
    committing: Option<Bytes>,
}

/// See the head of this file.
pub(crate) struct Peer<C: MlsConfig> {
    pub(crate) user: UserId,
    device: DeviceId,
    client: Client<C>,
    line: Line,
    hub: SigningIdentity,
    pub(crate) groups: HashMap<GroupId, Joined<C>>,
    requests: u64,
    answers: VecDeque<v1::ServerFrame>,
    /// When its key packages begin: the hub's clock may stand while that of the machine goes on.
    since: MlsTime,
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

fn next_id() -> Bytes {
    Bytes::copy_from_slice(&random::<16>())
}

/// Sends a request before there is a [`Peer`], and waits for its answer.
async fn ask(line: &mut Line, request: u64, body: Request) -> Answer {
    line.out.send(frame::encode(&frame::client(request, body))).await.unwrap();
    loop {
        let bytes = tokio::time::timeout(PATIENCE, line.frames.recv()).await.expect("in time").unwrap();
        let frame = frame::decode_server(bytes).unwrap();
        if frame.request == request {
            return frame.body.unwrap();
        }
    }
}

/// Enrols a device of the invitation's user, opens its session and publishes key packages.
pub(crate) async fn enrol(mut line: Line, invitation: &Invitation) -> Peer<impl MlsConfig + use<>> {
    let crypto = RustCryptoProvider::with_enabled_cipher_suites(vec![SUITE]);
    let suite = crypto.cipher_suite_provider(SUITE).unwrap();
    let (secret, public): (SignatureSecretKey, SignaturePublicKey) = suite.signature_key_generate().unwrap();
    let device = DeviceId::new(random());
    let hello = v1::Hello { version_min: 1, version_max: 1, client: "another/1".into() };
    let Answer::HelloOk(hello) = ask(&mut line, 1, Request::Hello(hello)).await else {
        panic!("not greeted")
    };
    let nonce: [u8; 32] = hello.nonce.as_ref().try_into().unwrap();

    let key: [u8; 32] = public.as_ref().try_into().unwrap();
    let proof = signing::enrol_message(&nonce, &invitation.secret, device, &key);
    let enrol = v1::Enrol {
        invitation: invitation.secret.to_vec().into(),
        device: device.to_bytes(),
        public_key: key.to_vec().into(),
        proof: suite.sign(&secret, &proof).unwrap().into(),
    };
    let issued = match ask(&mut line, 2, Request::Enrol(enrol)).await {
        Answer::CertificateIssued(issued) => issued,
        other => panic!("not enrolled: {other:?}"),
    };
    let root = Root::from_der(&issued.root).unwrap();
    assert_eq!(root.fingerprint(), invitation.root_fingerprint);
    let proof = suite.sign(&secret, &signing::session_message(&nonce, device)).unwrap();
    let authenticate =
        v1::Authenticate { device: device.to_bytes(), proof: proof.into(), ..Default::default() };
    let opened = match ask(&mut line, 3, Request::Authenticate(authenticate)).await {
        Answer::Authenticated(opened) => opened,
        other => panic!("not authenticated: {other:?}"),
    };

    let certificates = Certificates(root);
    let hub_key = certificates.0.verify_hub(&opened.hub_certificate, Validity::Ignore).unwrap().public_key;
    let identity = |certificate: &[u8], key: &[u8]| {
        let chain = CertificateChain::from(vec![certificate.to_vec()]);
        SigningIdentity::new(Credential::X509(chain), SignaturePublicKey::from(key.to_vec()))
    };
    let me = identity(&issued.certificate, &public);
    let life = certificates.device(&me).unwrap().not_after_ms / 1_000;
    let now = MlsTime::now().seconds_since_epoch();
    let options = CommitOptions::new()
        .with_path_required(true)
        .with_allow_external_commit(true)
        .with_always_out_of_band_ratchet_tree(true);
    let rules = DefaultMlsRules::new()
        .with_commit_options(options)
        .with_encryption_options(EncryptionOptions::new(false, PaddingMode::None));
    let client = Client::builder()
        .crypto_provider(crypto)
        .identity_provider(certificates)
        .mls_rules(rules)
        .extension_type(POLICY)
        .key_package_lifetime(Duration::from_secs((life - now - 3_600).min(80 * 86_400)))
        .signing_identity(me, secret, SUITE)
        .build();
    let mut peer = Peer {
        user: UserId::parse(&issued.user).unwrap(),
        device,
        client,
        line,
        hub: identity(&opened.hub_certificate, &hub_key),
        groups: HashMap::new(),
        requests: 3,
        answers: VecDeque::new(),
        since: MlsTime::from(now.min(hello.now_ms / 1_000) - 600),
    };
    peer.publish().await;
    peer.tell(Request::Subscribe(v1::Subscribe { wave: 1, ..Default::default() })).await;
    peer
}

impl<C: MlsConfig> Peer<C> {
    async fn publish(&mut self) {
        let package = || {
            let (none, since) = (ExtensionList::new, Some(self.since));
            let made = self.client.generate_key_package_message(none(), none(), since);
            Bytes::from(made.unwrap().to_bytes().unwrap())
        };
        let key_packages = (0..3).map(|_| package()).collect();
        let publish = v1::PublishKeyPackages { generation: 1, key_packages, last_resort: Bytes::new() };
        let answer = self.ask(Request::PublishKeyPackages(publish)).await;
        assert!(matches!(answer, Answer::KeyPackagesPublished(_)), "{answer:?}");
    }

    async fn tell(&mut self, body: Request) -> u64 {
        self.requests += 1;
        self.line.out.send(frame::encode(&frame::client(self.requests, body))).await.unwrap();
        self.requests
    }

    /// Sends a request and handles what comes until its answer.
    pub(crate) async fn ask(&mut self, body: Request) -> Answer {
        let request = self.tell(body).await;
        self.until(|peer| peer.answers.iter().any(|frame| frame.request == request)).await;
        let at = self.answers.iter().position(|frame| frame.request == request).unwrap();
        self.answers.remove(at).unwrap().body.unwrap()
    }

    /// Handles what comes until the condition holds.
    pub(crate) async fn until(&mut self, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            let bytes = tokio::time::timeout(PATIENCE, self.line.frames.recv()).await;
            let frame = frame::decode_server(bytes.expect("in time").expect("connected")).unwrap();
            match frame.body.clone().unwrap() {
                Answer::Ping(_) => drop(self.tell(Request::Pong(v1::Pong {})).await),
                Answer::InboxItem(item) => self.inbox(item).await,
                Answer::Entries(entries) => self.entries(&entries),
                _ if frame.request > 0 => self.answers.push_back(frame),
                _ => {}
            }
        }
    }

    async fn inbox(&mut self, item: v1::InboxItem) {
        let Some(v1::inbox_item::Item::Welcome(welcome)) = item.item else { return };
        let id = GroupId::try_from(&welcome.group).unwrap();
        let message = MlsMessage::from_bytes(&welcome.welcome).unwrap();
        let (group, _) = self.client.join_group(None, &message, None).unwrap();
        assert_eq!(group.current_epoch(), welcome.epoch);
        self.follow(id, group, welcome.joined_at).await;
        let outcome = v1::welcome_ack::Outcome::Joined.into();
        self.tell(Request::WelcomeAck(v1::WelcomeAck { group: welcome.group, outcome })).await;
        self.tell(Request::Ack(v1::Ack { groups: Vec::new(), inbox: item.number })).await;
    }

    async fn follow(&mut self, id: GroupId, group: Group<C>, cursor: u64) {
        let texts = self.groups.remove(&id).map(|old| old.texts).unwrap_or_default();
        self.groups.insert(id, Joined { group, texts, cursor, committing: None });
        let groups = vec![v1::Cursor { group: id.to_bytes(), seq: cursor }];
        let wave = self.requests + 100;
        self.tell(Request::Subscribe(v1::Subscribe { wave, groups, ..Default::default() })).await;
    }

    fn entries(&mut self, frame: &v1::Entries) {
        let Some(joined) = self.groups.get_mut(&GroupId::try_from(&frame.group).unwrap()) else { return };
        for entry in frame.entries.iter().filter(|entry| entry.seq > joined.cursor).collect::<Vec<_>>() {
            assert_eq!(entry.seq, joined.cursor + 1, "entries are missing");
            joined.cursor = entry.seq;
            joined.take(entry, self.device);
        }
    }

    /// Makes a group with the extensions of docs/protocol.md section 4 and registers it.
    pub(crate) async fn create_group(&mut self) -> GroupId {
        let id = GroupId::new(random());
        let mut context = ExtensionList::new();
        let required = RequiredCapabilitiesExt::new(vec![POLICY], Vec::new(), vec![CredentialType::X509]);
        context.set_from(required).unwrap();
        context.set_from(ExternalSendersExt::new(vec![self.hub.clone()])).unwrap();
        context.set(Extension::new(POLICY, Policy::conversation(self.user.clone()).encode()));
        let group =
            self.client.create_group_with_id(id.as_bytes().to_vec(), context, Default::default(), None);
        let group = group.unwrap();
        let create = v1::CreateGroup {
            group: id.to_bytes(),
            message_id: next_id(),
            group_info: group
                .group_info_message_allowing_ext_commit(false)
                .unwrap()
                .to_bytes()
                .unwrap()
                .into(),
            ratchet_tree: group.export_tree().to_bytes().unwrap().into(),
        };
        let answer = self.ask(Request::CreateGroup(create)).await;
        assert!(matches!(answer, Answer::Accepted(_)), "{answer:?}");
        self.follow(id, group, 0).await;
        id
    }

    /// Adds every device of these users with one commit (with none, renews its own keys), and waits for it
    /// in the log.
    pub(crate) async fn commit(&mut self, id: GroupId, users: &[UserId]) {
        let mut packages = Vec::new();
        if !users.is_empty() {
            let claim = v1::ClaimKeyPackages {
                claim_id: next_id(),
                users: users.iter().map(|user| user.as_str().to_owned()).collect(),
                group: id.to_bytes(),
                device: Bytes::new(),
            };
            match self.ask(Request::ClaimKeyPackages(claim)).await {
                Answer::KeyPackages(claimed) => packages = claimed.key_packages,
                other => panic!("{other:?}"),
            }
        }
        let joined = self.groups.get_mut(&id).unwrap();
        let mut builder = joined.group.commit_builder();
        for package in packages {
            builder = builder.add_member(MlsMessage::from_bytes(&package.key_package).unwrap()).unwrap();
        }
        let made = builder.build().unwrap();
        let message_id = next_id();
        joined.committing = Some(message_id.clone());
        let bytes = |message: &MlsMessage| Bytes::from(message.to_bytes().unwrap());
        let bundle = v1::CommitBundle {
            group: id.to_bytes(),
            message_id,
            commit: bytes(&made.commit_message),
            welcome: made.welcome_messages.first().map(bytes).unwrap_or_default(),
            group_info: bytes(made.external_commit_group_info.as_ref().unwrap()),
            application: None,
        };
        let answer = self.ask(Request::CommitBundle(bundle)).await;
        assert!(matches!(answer, Answer::Accepted(_)), "{answer:?}");
        self.until(|peer| peer.groups[&id].committing.is_none()).await;
    }

    /// Forgets its state of the group and joins again by external commit.
    pub(crate) async fn rejoin(&mut self, id: GroupId) {
        let own_leaf = self.groups[&id].group.current_member_index();
        let info = match self.ask(Request::GetGroupInfo(v1::GetGroupInfo { group: id.to_bytes() })).await {
            Answer::GroupInfo(info) => info,
            other => panic!("{other:?}"),
        };
        let tree = ExportedTree::from_bytes(&info.ratchet_tree).unwrap().into_owned();
        let (group, commit) = self
            .client
            .external_commit_builder()
            .unwrap()
            .with_tree_data(tree)
            .with_removal(own_leaf)
            .build(MlsMessage::from_bytes(&info.group_info).unwrap())
            .unwrap();
        let next = group.group_info_message_allowing_ext_commit(false).unwrap();
        let bundle = v1::CommitBundle {
            group: id.to_bytes(),
            message_id: next_id(),
            commit: commit.to_bytes().unwrap().into(),
            welcome: Bytes::new(),
            group_info: next.to_bytes().unwrap().into(),
            application: None,
        };
        match self.ask(Request::CommitBundle(bundle)).await {
            Answer::Accepted(accepted) => self.follow(id, group, accepted.seq).await,
            other => panic!("{other:?}"),
        }
    }

    /// Builds an external commit into a group that it has no part in.
    pub(crate) fn forge_external_commit(&mut self, group_info: &[u8], ratchet_tree: &[u8]) -> Vec<u8> {
        let tree = ExportedTree::from_bytes(ratchet_tree).unwrap().into_owned();
        let builder = self.client.external_commit_builder().unwrap().with_tree_data(tree);
        let (_, commit) = builder.build(MlsMessage::from_bytes(group_info).unwrap()).unwrap();
        commit.to_bytes().unwrap()
    }

    /// Posts a text and waits until the hub has it.
    pub(crate) async fn send(&mut self, id: GroupId, text: &str) {
        let text = Envelope { text: Some(Text { text: text.to_owned() }), ..Envelope::default() };
        self.post(id, &text.encode_to_vec()).await;
    }

    /// Posts an envelope with these fields beside its time and epoch, as they are, and waits until the hub has it.
    pub(crate) async fn post(&mut self, id: GroupId, fields: &[u8]) -> MessageId {
        let group = &mut self.groups.get_mut(&id).unwrap().group;
        let envelope = Envelope {
            sent_at_ms: MlsTime::now().seconds_since_epoch() * 1_000,
            epoch_authenticator: group.epoch_authenticator().unwrap()[..8].to_vec(),
            text: None,
        };
        // Fields of protobuf may come one after the other.
        let plaintext = [&envelope.encode_to_vec(), fields].concat();
        let message = group.encrypt_application_message(&plaintext, Vec::new()).unwrap();
        let message_id = next_id();
        let send = v1::SendApplication {
            group: id.to_bytes(),
            message_id: message_id.clone(),
            mls: message.to_bytes().unwrap().into(),
            blobs: Vec::new(),
        };
        let answer = self.ask(Request::SendApplication(send)).await;
        assert!(matches!(answer, Answer::Accepted(_)), "{answer:?}");
        MessageId::try_from(&message_id).unwrap()
    }

    /// Waits until it has read this text.
    pub(crate) async fn reads(&mut self, id: GroupId, text: &str) {
        self.until(|peer| {
            peer.groups.get(&id).is_some_and(|joined| joined.texts.iter().any(|known| known == text))
        })
        .await;
    }

    /// Epoch and epoch authenticator.
    pub(crate) fn standing(&self, id: GroupId) -> (u64, Vec<u8>) {
        let group = &self.groups[&id].group;
        (group.current_epoch(), group.epoch_authenticator().unwrap().to_vec())
    }

    /// Users with a device in the group.
    pub(crate) fn members(&self, id: GroupId) -> usize {
        self.groups[&id].group.roster().members_iter().count()
    }
}

impl<C: MlsConfig> Joined<C> {
    fn take(&mut self, entry: &v1::Entry, own: DeviceId) {
        if entry.mls.is_empty() {
            assert_eq!(entry.sender, own.to_bytes(), "only own entries come without content");
            if self.committing.as_ref() == Some(&entry.message_id) {
                self.group.apply_pending_commit().unwrap();
                self.committing = None;
            }
            return;
        }
        let message = MlsMessage::from_bytes(&entry.mls).unwrap();
        match self.group.process_incoming_message(message).unwrap() {
            ReceivedMessage::ApplicationMessage(message) => {
                assert_eq!(entry.kind, i32::from(EntryKind::Application));
                let envelope = Envelope::decode(message.data()).unwrap();
                if entry.epoch == self.group.current_epoch() {
                    let mine = self.group.epoch_authenticator().unwrap();
                    assert_eq!(envelope.epoch_authenticator, mine[..8], "another branch of the group");
                }
                self.texts.extend(envelope.text.map(|text| text.text));
            }
            ReceivedMessage::Commit(_) => assert_eq!(entry.kind, i32::from(EntryKind::Commit)),
            ReceivedMessage::Proposal(_) => assert_eq!(entry.kind, i32::from(EntryKind::Proposal)),
            other => panic!("{other:?}"),
        }
    }
}
