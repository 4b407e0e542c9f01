//! The reference hub as a child process, and a member's connection to it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bytes::Bytes;

use super::{child::Child, link::Heard};
use crate::{
    hub::Usage,
    plan::Plan,
    raw::{
        payload::Payload,
        wire::{Address, Socket},
    },
};

/// The reference hub.
pub(crate) struct Reference {
    process: Child,
    data: PathBuf,
    address: Address,
    plan: Plan,
}

/// A member's connection.
pub(crate) struct ReferenceLink(Socket);

impl Reference {
    /// Starts it with the TLS certificate of a hub's folder, under that hub's root.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) async fn start(data: &Path, root_fingerprint: [u8; 32]) -> anyhow::Result<Self> {
        let (process, place) = serve(data).await?;
        let address = Address::new(&place, root_fingerprint)?;
        Ok(Self { process, data: data.to_owned(), address, plan: Plan::default() })
    }

    /// Starts it again, with the memory of one that has served nobody.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        let (process, place) = serve(&self.data).await?;
        self.process = process;
        self.address = self.address.moved(&place);
        Ok(())
    }

    /// Takes the plan; nothing is kept on the other side.
    pub(crate) fn set(&mut self, plan: &Plan) {
        self.plan = plan.clone();
    }

    /// Connects a member.
    ///
    /// # Errors
    /// When it cannot connect.
    pub(crate) async fn open(&self) -> anyhow::Result<Socket> {
        self.address.dial().await
    }

    /// Puts a member into its groups.
    ///
    /// # Errors
    /// When the reference hub closes.
    pub(crate) async fn enter(&self, device: usize, mut socket: Socket) -> anyhow::Result<ReferenceLink> {
        let groups = self.plan.groups_of(device);
        let numbers = groups.into_iter().flat_map(|group| number(group).to_be_bytes());
        socket.put(numbers.collect());
        socket.next().await.context("the reference hub closed")?;
        Ok(ReferenceLink(socket))
    }

    /// What it has used up to now.
    ///
    /// # Errors
    /// When there is no such process.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.process.pid())
    }
}

/// Starts it with the certificate in this folder; also says where it is.
async fn serve(data: &Path) -> anyhow::Result<(Child, String)> {
    let own = std::env::current_exe().context("this program does not know where it is")?;
    let arguments = ["reference-hub".as_ref(), "--data".as_ref(), data.as_os_str()];
    let (process, line) = Child::start_and_read(&own, &arguments).await?;
    let place = line.strip_prefix("ready ").context("the reference hub did not start")?;
    Ok((process, place.to_owned()))
}

impl ReferenceLink {
    /// Queues a message.
    pub(crate) fn post(&mut self, group: usize, payload: Payload, bytes: usize) {
        let mut message = number(group).to_be_bytes().to_vec();
        payload.write(&mut message, bytes);
        self.0.put(Bytes::from(message));
    }

    /// Reads one message; false when the hub has closed.
    pub(crate) async fn hear(&mut self, heard: &mut Heard) -> bool {
        let Some(bytes) = self.0.next().await else { return false };
        heard.payloads.extend(bytes.get(4..).and_then(Payload::parse));
        true
    }
}

fn number(group: usize) -> u32 {
    u32::try_from(group).expect("a plan has fewer groups than that")
}
