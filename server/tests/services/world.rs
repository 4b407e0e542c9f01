//! A hub without a network and devices that are real MLS members: what the tests and the commit benchmark
//! are played with.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use cercle_proto::{
    certificate::{Root, encode_credential},
    id::{DeviceId, Epoch, GroupId, MessageId, Seq, TimestampMs, UserId},
    policy::{EXTENSION_TYPE, Policy},
    signing::{enrol_message, session_message},
    v1::{MemberClass, Role},
};
use cercle_server::{
    auth::{
        self, AuthenticationService, Identity, InvitationRequest, Inviter, IssuedCertificate, Issuer,
        authority::{KeyedCertificate, make_hub_sender, make_root},
    },
    clock::Clock,
    delivery::{
        self, Accepted, Application, ClaimRequest, CommitRequest, CreateGroupRequest, Delivery, Error,
        HubSender,
    },
    fanout::Fanout,
};
use cercle_storage::store::{Entry, ReadFrom, ReadLimit, Store};
use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, Credential, CredentialType, CredentialWithKey, Extension,
    ExtensionType, Extensions, ExternalSender, GroupContext, KeyPackage, KeyPackageIn, LeafNodeIndex,
    LeafNodeParameters, Lifetime, MlsGroup, MlsGroupCreateConfig, MlsGroupJoinConfig, MlsMessageBodyIn,
    MlsMessageIn, MlsMessageOut, PURE_PLAINTEXT_WIRE_FORMAT_POLICY, ProcessedMessageContent, ProtocolVersion,
    RatchetTreeIn, RequiredCapabilitiesExtension, SignaturePublicKey, StagedWelcome, UnknownExtension,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::{OpenMlsProvider as _, signatures::Signer as _};
use tls_codec::Deserialize as _;

pub(crate) const DOMAIN: &str = "cpts.example";
const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
const POLICY: ExtensionType = ExtensionType::Unknown(EXTENSION_TYPE);
pub(crate) const DAY_MS: u64 = 86_400_000;
pub(crate) const NONCE: [u8; 32] = [7; 32];

/// A number nobody else has in this process, for ids.
pub(crate) fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn unique_16(kind: u8) -> [u8; 16] {
    let mut id = [kind; 16];
    id[8..].copy_from_slice(&unique().to_be_bytes());
    id
}

pub(crate) fn new_id() -> MessageId {
    MessageId::new(unique_16(1))
}

/// A hub over a store in memory.
pub(crate) struct Hub {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) auth: AuthenticationService,
    pub(crate) delivery: Delivery,
    pub(crate) fanout: Fanout,
    pub(crate) root: Root,
    pub(crate) now: TimestampMs,
    hub_sender: CredentialWithKey,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self::with(&make_root(DOMAIN, Clock::system().now()).unwrap(), delivery::Settings::default())
    }

    pub(crate) fn with_group_size(group_devices_max: usize) -> Self {
        let settings = delivery::Settings { group_devices_max, ..delivery::Settings::default() };
        Self::with(&make_root(DOMAIN, Clock::system().now()).unwrap(), settings)
    }

    /// A hub under a given root; two of them can issue the same names for different keys.
    pub(crate) fn with(root: &KeyedCertificate, settings: delivery::Settings) -> Self {
        Self::over(cercle_storage::open_memory(), root, settings)
    }

    pub(crate) fn over(store: Arc<dyn Store>, root: &KeyedCertificate, settings: delivery::Settings) -> Self {
        let now = Clock::system().now();
        let keyed = make_hub_sender(root, DOMAIN, now).unwrap();
        let issuer = Issuer::load(root, keyed.certificate.clone(), DOMAIN, now).unwrap();
        let trusted = issuer.root().clone();
        let sender = HubSender::new(&keyed).unwrap();
        let hub_sender = credential(&keyed.certificate, &sender.public_key());
        let fanout = Fanout::new();
        let delivery = Delivery::new(Arc::clone(&store), trusted.clone(), sender, fanout.clone(), settings);
        let auth = AuthenticationService::new(Arc::clone(&store), issuer, auth::Settings::default());
        Self { store, auth, delivery, fanout, root: trusted, now, hub_sender }
    }

    /// Invites and enrols a device of a user.
    pub(crate) async fn enrol(&self, user: &str) -> Device {
        self.enrol_as(user, DeviceId::new(unique_16(2))).await
    }

    pub(crate) async fn enrol_as(&self, user: &str, device: DeviceId) -> Device {
        let signer = SignatureKeyPair::new(SUITE.signature_algorithm()).unwrap();
        let issued = self.redeem(self.invite(user).await, device, &signer).await.unwrap();
        Device::new(device, signer, &issued)
    }

    pub(crate) async fn invite(&self, user: &str) -> [u8; 32] {
        self.auth.create_invitation(Inviter::Operator, invitation(user), self.now).await.unwrap().secret
    }

    pub(crate) async fn redeem(
        &self,
        secret: [u8; 32],
        device: DeviceId,
        signer: &SignatureKeyPair,
    ) -> Result<IssuedCertificate, auth::Error> {
        let key: [u8; 32] = signer.to_public_vec().try_into().unwrap();
        let proof = signer.sign(&enrol_message(&NONCE, &secret, device, &key)).unwrap();
        self.auth.enrol(&NONCE, &secret, device, &key, &proof, self.now).await
    }

    /// Registers a conversation that the device administers.
    pub(crate) async fn new_group(&self, creator: &Device) -> MlsGroup {
        self.new_group_with(creator, &Policy::conversation(creator.identity.user.clone())).await
    }

    pub(crate) async fn new_group_with(&self, creator: &Device, policy: &Policy) -> MlsGroup {
        let (group, request) = self.found(creator, policy);
        self.delivery.create_group(&creator.identity, request, self.now).await.unwrap();
        group
    }

    /// A new group and the request that registers it.
    pub(crate) fn found(&self, creator: &Device, policy: &Policy) -> (MlsGroup, CreateGroupRequest) {
        self.found_with(creator, context_extensions(policy, &self.hub_sender))
    }

    pub(crate) fn found_with(
        &self,
        creator: &Device,
        extensions: Vec<Extension>,
    ) -> (MlsGroup, CreateGroupRequest) {
        let id = GroupId::new(unique_16(3));
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(SUITE)
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .capabilities(capabilities())
            .with_group_context_extensions(Extensions::from_vec(extensions).unwrap())
            .max_past_epochs(3)
            .build();
        let group = MlsGroup::new_with_group_id(
            &creator.provider,
            &creator.signer,
            &config,
            openmls::prelude::GroupId::from_slice(id.as_bytes()),
            creator.credential.clone(),
        )
        .unwrap();
        let request = CreateGroupRequest {
            group: id,
            message_id: new_id(),
            group_info: creator.group_info(&group),
            ratchet_tree: bytes(&group.export_ratchet_tree()),
        };
        (group, request)
    }

    /// Adds devices to the group of `by` and lets them join; returns their groups.
    pub(crate) async fn add(&self, by: &Device, group: &mut MlsGroup, others: &[&Device]) -> Vec<MlsGroup> {
        let packages = others.iter().map(|other| other.key_package()).collect();
        let request = by.commit(group, Plan { add: packages, ..Plan::default() });
        let welcome = request.welcome.clone().unwrap();
        self.delivery.commit(&by.identity, request, self.now).await.unwrap();
        by.merge(group);
        others.iter().map(|other| other.join(&welcome, group)).collect()
    }

    /// Sends a commit and merges it on acceptance.
    pub(crate) async fn accept(
        &self,
        by: &Device,
        group: &mut MlsGroup,
        plan: Plan,
    ) -> Result<Accepted, Error> {
        let request = by.commit(group, plan);
        let accepted = self.delivery.commit(&by.identity, request, self.now).await;
        match &accepted {
            Ok(_) => by.merge(group),
            Err(_) => by.forget_commit(group),
        }
        accepted
    }

    pub(crate) async fn send(
        &self,
        by: &Device,
        group: &mut MlsGroup,
        text: &str,
    ) -> Result<Accepted, Error> {
        let mls = by.encrypt(group, text);
        self.delivery
            .send_application(&by.identity, id_of(group), Application::new(new_id(), mls), self.now)
            .await
    }

    pub(crate) async fn log(&self, group: GroupId) -> Vec<Entry> {
        self.log_after(group, 0).await
    }

    pub(crate) async fn log_after(&self, group: GroupId, after: Seq) -> Vec<Entry> {
        let from = ReadFrom { group, after, until: Seq::MAX };
        let limit = ReadLimit { entries: 10_000, bytes: usize::MAX };
        self.store.read(vec![from], limit).await.unwrap().remove(0).entries
    }

    pub(crate) async fn epoch(&self, group: GroupId) -> Epoch {
        self.store.group(group).await.unwrap().unwrap().epoch
    }

    /// The devices in the roster, in order.
    pub(crate) async fn members(&self, group: GroupId) -> Vec<DeviceId> {
        let roster = self.store.roster(group).await.unwrap();
        let members = roster.into_iter().filter(|entry| entry.removed_at.is_none());
        let mut devices: Vec<DeviceId> = members.map(|entry| entry.device).collect();
        devices.sort();
        devices
    }

    pub(crate) async fn claim(&self, by: &Device, users: &[&Device]) -> delivery::ClaimReply {
        let users = users.iter().map(|device| device.identity.user.clone()).collect();
        let request = ClaimRequest { claim_id: unique_16(4), users, group: None, device: None };
        self.delivery.claim_key_packages(&by.identity, request, self.now).await.unwrap()
    }

    pub(crate) fn extensions(&self, policy: &Policy) -> Vec<Extension> {
        context_extensions(policy, &self.hub_sender)
    }
}

/// What a commit shall do.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) add: Vec<KeyPackage>,
    pub(crate) remove: Vec<LeafNodeIndex>,
    pub(crate) extensions: Option<Vec<Extension>>,
    /// Leave out the proposals that wait.
    pub(crate) ignore_pending: bool,
}

/// A device with its keys, its certificate and its own MLS store.
pub(crate) struct Device {
    pub(crate) provider: OpenMlsRustCrypto,
    pub(crate) signer: SignatureKeyPair,
    pub(crate) identity: Identity,
    pub(crate) certificate: Vec<u8>,
    pub(crate) credential: CredentialWithKey,
}

impl Device {
    pub(crate) fn new(device: DeviceId, signer: SignatureKeyPair, issued: &IssuedCertificate) -> Self {
        let identity = Identity {
            user: issued.user.clone(),
            device,
            roles: vec![Role::Member],
            certificate_expired: false,
        };
        let credential = credential(&issued.certificate, signer.public());
        let certificate = issued.certificate.clone();
        Self { provider: OpenMlsRustCrypto::default(), signer, identity, certificate, credential }
    }

    pub(crate) fn user(&self) -> &UserId {
        &self.identity.user
    }

    pub(crate) fn device(&self) -> DeviceId {
        self.identity.device
    }

    pub(crate) fn session_proof(&self, nonce: &[u8; 32]) -> Vec<u8> {
        self.signer.sign(&session_message(nonce, self.device())).unwrap()
    }

    pub(crate) fn key_package(&self) -> KeyPackage {
        self.build_key_package(false, 30 * DAY_MS / 1000)
    }

    pub(crate) fn build_key_package(&self, last_resort: bool, lifetime_s: u64) -> KeyPackage {
        let builder = KeyPackage::builder()
            .leaf_node_capabilities(capabilities())
            .key_package_lifetime(Lifetime::new(lifetime_s));
        let builder = if last_resort { builder.mark_as_last_resort() } else { builder };
        let bundle = builder.build(SUITE, &self.provider, &self.signer, self.credential.clone()).unwrap();
        bundle.into_key_package()
    }

    /// A key package as it is published.
    pub(crate) fn published(&self, last_resort: bool) -> Bytes {
        bytes(&MlsMessageOut::from(self.build_key_package(last_resort, 30 * DAY_MS / 1000)))
    }

    /// Builds a commit with all that the hub wants with it. It stays pending in the group.
    pub(crate) fn commit(&self, group: &mut MlsGroup, plan: Plan) -> CommitRequest {
        let id = id_of(group);
        let mut builder = group
            .commit_builder()
            .consume_proposal_store(!plan.ignore_pending)
            .propose_adds(plan.add)
            .propose_removals(plan.remove)
            .force_self_update(true);
        if let Some(extensions) = plan.extensions {
            let extensions: Extensions<GroupContext> = Extensions::from_vec(extensions).unwrap();
            builder = builder.propose_group_context_extensions(extensions).unwrap();
        }
        let (commit, welcome, group_info) = builder
            .load_psks(self.provider.storage())
            .unwrap()
            .use_ratchet_tree_extension(false)
            .create_group_info(true)
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .unwrap()
            .stage_commit(&self.provider)
            .unwrap()
            .into_messages();
        CommitRequest {
            group: id,
            message_id: new_id(),
            commit: bytes(&commit),
            welcome: welcome.map(|welcome| bytes(&welcome)),
            group_info: bytes(&group_info.unwrap()),
            application: None,
        }
    }

    pub(crate) fn merge(&self, group: &mut MlsGroup) {
        group.merge_pending_commit(&self.provider).unwrap();
    }

    pub(crate) fn forget_commit(&self, group: &mut MlsGroup) {
        group.clear_pending_commit(self.provider.storage()).unwrap();
    }

    /// Joins with a welcome and the tree of a member.
    pub(crate) fn join(&self, welcome: &Bytes, member: &MlsGroup) -> MlsGroup {
        let MlsMessageBodyIn::Welcome(welcome) = parsed(welcome).extract() else { panic!("no welcome") };
        let tree = RatchetTreeIn::tls_deserialize_exact(bytes(&member.export_ratchet_tree())).unwrap();
        StagedWelcome::build_from_welcome(&self.provider, &join_config(), welcome)
            .unwrap()
            .with_ratchet_tree(tree)
            .replace_old_group()
            .build()
            .unwrap()
            .into_group(&self.provider)
            .unwrap()
    }

    /// An external commit from what the hub serves, and the group it leads to.
    pub(crate) fn join_externally(&self, info: &delivery::GroupInfoReply) -> (MlsGroup, CommitRequest) {
        let MlsMessageBodyIn::GroupInfo(group_info) = parsed(&info.group_info).extract() else {
            panic!("no group info")
        };
        let tree = RatchetTreeIn::tls_deserialize_exact(&info.ratchet_tree).unwrap();
        let leaf = LeafNodeParameters::builder()
            .with_credential_with_key(self.credential.clone())
            .with_capabilities(capabilities())
            .build();
        let (group, bundle) = MlsGroup::external_commit_builder()
            .with_ratchet_tree(tree)
            .with_config(join_config())
            .build_group(&self.provider, group_info, self.credential.clone())
            .unwrap()
            .leaf_node_parameters(leaf)
            .load_psks(self.provider.storage())
            .unwrap()
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .unwrap()
            .finalize(&self.provider)
            .unwrap();
        let request = CommitRequest {
            group: info.group,
            message_id: new_id(),
            commit: bytes(bundle.commit()),
            welcome: None,
            group_info: self.group_info(&group),
            application: None,
        };
        (group, request)
    }

    pub(crate) fn encrypt(&self, group: &mut MlsGroup, text: &str) -> Bytes {
        bytes(&group.create_message(&self.provider, &self.signer, text.as_bytes()).unwrap())
    }

    pub(crate) fn group_info(&self, group: &MlsGroup) -> Bytes {
        self.group_info_by(self, group)
    }

    /// The group info of the owner's group, signed with the key of this device.
    pub(crate) fn group_info_by(&self, owner: &Self, group: &MlsGroup) -> Bytes {
        bytes(&group.export_group_info(owner.provider.crypto(), &self.signer, false).unwrap())
    }

    /// Processes an entry of the log; returns the text of an application message.
    pub(crate) fn process(&self, group: &mut MlsGroup, entry: &Entry) -> Option<String> {
        let message = parsed(&entry.body).try_into_protocol_message().unwrap();
        match group.process_message(&self.provider, message).unwrap().into_content() {
            ProcessedMessageContent::ApplicationMessage(message) => {
                Some(String::from_utf8(message.into_bytes()).unwrap())
            }
            ProcessedMessageContent::ProposalMessage(proposal) => {
                group.store_pending_proposal(self.provider.storage(), *proposal).unwrap();
                None
            }
            ProcessedMessageContent::StagedCommitMessage(staged) => {
                group.merge_staged_commit(&self.provider, *staged).unwrap();
                None
            }
            _ => None,
        }
    }

    /// The proposal that the others remove this device.
    pub(crate) fn propose_leaving(&self, group: &mut MlsGroup) -> Bytes {
        bytes(&group.leave_group(&self.provider, &self.signer).unwrap())
    }
}

pub(crate) fn invitation(user: &str) -> InvitationRequest {
    InvitationRequest {
        user: Some(user.to_owned()),
        display_name: format!("Dr {user}"),
        profession: "10".to_owned(),
        class: MemberClass::Professional,
        roles: vec![Role::Member],
        valid_for_ms: None,
        lost_devices: false,
    }
}

pub(crate) fn id_of(group: &MlsGroup) -> GroupId {
    GroupId::try_from(group.group_id().as_slice()).unwrap()
}

pub(crate) fn leaf_of(group: &MlsGroup, device: &Device) -> LeafNodeIndex {
    let found = group.members().find(|member| member.signature_key == device.signer.public());
    found.unwrap().index
}

pub(crate) fn bytes(message: &impl tls_codec::Serialize) -> Bytes {
    message.tls_serialize_detached().unwrap().into()
}

/// A key package as another member gets it.
pub(crate) fn received(package: &Bytes) -> KeyPackage {
    let MlsMessageBodyIn::KeyPackage(package) = parsed(package).extract() else { panic!("no key package") };
    KeyPackageIn::validate(package, OpenMlsRustCrypto::default().crypto(), ProtocolVersion::Mls10).unwrap()
}

pub(crate) fn parsed(message: &Bytes) -> MlsMessageIn {
    MlsMessageIn::tls_deserialize_exact(message).unwrap()
}

pub(crate) fn credential(certificate: &[u8], public_key: &[u8]) -> CredentialWithKey {
    let content = encode_credential(&[certificate.to_vec()]);
    CredentialWithKey {
        credential: Credential::new(CredentialType::X509, content),
        signature_key: SignaturePublicKey::from(public_key),
    }
}

pub(crate) fn basic_credential(public_key: &[u8]) -> CredentialWithKey {
    let credential = BasicCredential::new(b"anybody".to_vec()).into();
    CredentialWithKey { credential, signature_key: SignaturePublicKey::from(public_key) }
}

fn capabilities() -> Capabilities {
    let types = [CredentialType::X509, CredentialType::Basic];
    Capabilities::new(None, Some(&[SUITE]), Some(&[POLICY, ExtensionType::LastResort]), None, Some(&types))
}

fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .max_past_epochs(3)
        .build()
}

fn context_extensions(policy: &Policy, hub: &CredentialWithKey) -> Vec<Extension> {
    vec![
        Extension::RequiredCapabilities(RequiredCapabilitiesExtension::new(
            &[POLICY],
            &[],
            &[CredentialType::X509],
        )),
        Extension::ExternalSenders(vec![ExternalSender::new(
            hub.signature_key.clone(),
            hub.credential.clone(),
        )]),
        Extension::Unknown(EXTENSION_TYPE, UnknownExtension(policy.encode())),
    ]
}
