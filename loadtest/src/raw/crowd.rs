//! Many raw devices, and groups of them.
//!
//! Users are invited over the operator's socket of a hub of our own (which has no rate limit) or by the
//! coordinator of another hub (which may invite some hundreds). Groups are founded by a real client, which
//! then leaves the field: it could not read what raw devices send.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cercle_proto::{
    id::{DeviceId, GroupId, UserId},
    invitation::Invitation,
    v1::{client_frame::Body as Request, server_frame::Body as Answer},
};
use cercle_sdk::{
    bare::BareDevice,
    client::{Client, now_ms},
    core::{NewInvitation, PolicyTemplate},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
};

use super::{session::Session, wire::Address};
use crate::{
    fleet::{Member, patiently},
    hub::Hub,
    limits::{RAW_ENROLLING_MAX, RAW_KEY_PACKAGES, USERS_PER_INVITE},
};

/// An enrolled raw device.
pub(crate) struct RawDevice {
    /// Its keys.
    pub(crate) keys: BareDevice,
    /// Its user.
    pub(crate) user: UserId,
}

/// Raw devices, and the client that founds groups of them.
pub(crate) struct Crowd {
    /// Where the hub is.
    pub(crate) address: Address,
    /// The devices.
    pub(crate) devices: Vec<RawDevice>,
    founder: Member,
}

/// Who invites.
#[derive(Clone)]
enum Inviter {
    Operator(PathBuf),
    Coordinator(Client),
}

impl Crowd {
    /// Enrols `count` devices of as many users.
    ///
    /// # Errors
    /// When the hub refuses one of them.
    pub(crate) async fn enrol(hub: &Hub, count: usize, folder: &Path) -> anyhow::Result<Self> {
        let founder = Member::enrol(folder.join("founder"), hub.invitation()).await.context("the founder")?;
        let address = Address::new(&hub.invitation().address, hub.invitation().root_fingerprint)?;
        let inviter = match hub.operator_socket() {
            Some(socket) => Inviter::Operator(socket),
            None => Inviter::Coordinator(founder.client.clone()),
        };
        let prefix = format!("raw-{:x}", now_ms());
        let enrolling = (0..count).map(|number| {
            let (inviter, address) = (inviter.clone(), address.clone());
            let user = format!("{prefix}-{number}");
            async move { enrol(&inviter, &address, &user).await.with_context(|| format!("enrolling {user}")) }
        });
        let devices = stream::iter(enrolling).buffered(RAW_ENROLLING_MAX).try_collect().await?;
        Ok(Self { address, devices, founder })
    }

    /// Makes a group of these devices (by their places).
    ///
    /// # Errors
    /// When one cannot be added.
    pub(crate) async fn found(&self, members: &[usize]) -> anyhow::Result<GroupId> {
        let client = &self.founder.client;
        let group = client.create_group("Charge", PolicyTemplate::Conversation).await?;
        for members in members.chunks(USERS_PER_INVITE) {
            let users = members.iter().map(|place| self.devices[*place].user.clone()).collect();
            let invited = patiently("adding raw devices", client.invite(group, users)).await??;
            if !invited.missing.is_empty() {
                bail!("{} raw devices have no key package", invited.missing.len());
            }
        }
        Ok(group)
    }

    /// Takes the founder off the field; the groups stay.
    pub(crate) async fn founded(self) -> (Address, Vec<RawDevice>) {
        self.founder.client.close().await;
        (self.address, self.devices)
    }
}

async fn enrol(inviter: &Inviter, address: &Address, user: &str) -> anyhow::Result<RawDevice> {
    let invitation = Invitation::parse(&inviter.invite(user).await?)?;
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let mut keys = BareDevice::new(DeviceId::new(id))?;
    let mut session = Session::enrol(address, &mut keys, &invitation.secret).await?;
    let packages = keys.key_packages(RAW_KEY_PACKAGES, now_ms())?;
    match session.ask(Request::PublishKeyPackages(packages)).await? {
        Answer::KeyPackagesPublished(_) => {}
        other => bail!("publishing key packages: {other:?}"),
    }
    let user = keys.user().context("the device has a certificate")?.clone();
    Ok(RawDevice { keys, user })
}

impl Inviter {
    async fn invite(&self, user: &str) -> anyhow::Result<String> {
        match self {
            Self::Coordinator(client) => {
                let (user, display_name) = (user.to_owned(), "Charge".to_owned());
                let invitation = NewInvitation { user, display_name, ..Default::default() };
                Ok(client.create_invitation(invitation).await?.link)
            }
            Self::Operator(socket) => {
                let command = json!({ "command": "invite", "user": user, "name": "Charge" });
                let (read, mut write) = UnixStream::connect(socket).await?.into_split();
                write.write_all(format!("{command}\n").as_bytes()).await?;
                let mut answer = String::new();
                BufReader::new(read).read_line(&mut answer).await?;
                let answer: Value = serde_json::from_str(&answer).context("the operator's socket")?;
                let link = answer["ok"]["link"].as_str().map(str::to_owned);
                link.with_context(|| format!("the hub does not invite: {answer}"))
            }
        }
    }
}
