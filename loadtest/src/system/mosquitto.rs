//! A `mosquitto` broker: MQTT 3.1.1 with QoS 1. It acknowledges before it has written to its disk.
//!
//! The codec is MQTT 3.1.1 as far as these scenarios need it.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{
    child::Child,
    find_program,
    link::Heard,
    plain::{Plain, free_port},
};
use crate::{
    arguments::Target,
    fleet::until,
    hub::Usage,
    limits::{HUB_PATIENCE, PORT_TRIES},
    plan::Plan,
    raw::payload::Payload,
};

/// Kinds of packets, with their fixed flags (MQTT 3.1.1 section 2.2).
const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const PUBACK: u8 = 0x40;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
/// Flags of a publication with QoS 1.
const QOS_1: u8 = 0x02;

/// A broker and the plan's groups as topics.
pub(crate) struct Mosquitto {
    process: Child,
    port: u16,
    plan: Plan,
}

/// A device's connection.
pub(crate) struct MosquittoLink {
    wire: Plain,
    next: u16,
    posted: HashMap<u16, Payload>,
    /// Streams of which this is the sender: their messages come back.
    own: HashSet<u32>,
}

impl Mosquitto {
    /// Starts a broker in a folder.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub(crate) async fn start(target: &Target, place: &Path) -> anyhow::Result<Self> {
        let program = find_program("mosquitto", target)?;
        for turn in 0..PORT_TRIES {
            let (folder, port) = (place.join(format!("mosquitto-{turn}")), free_port()?);
            fs::create_dir(&folder)?;
            let config = format!(
                "listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\n\
                 persistence_location {}/\nautosave_interval 5\nmax_inflight_messages 1000\n\
                 max_queued_messages 0\nset_tcp_nodelay true\nuser root\n",
                folder.display()
            );
            let file = folder.join("mosquitto.conf");
            fs::write(&file, config)?;
            let mut command = Command::new(&program);
            command.arg("-c").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut process = Child::start(&mut command)?;
            let mut ended = false;
            let ready = until("mosquitto", HUB_PATIENCE, async || {
                ended = process.has_ended()?;
                Ok(ended || Plain::dial(port).await.is_ok())
            });
            ready.await?;
            // It ends at once if somebody else has taken the port meanwhile.
            if !ended && !process.has_ended()? {
                return Ok(Self { process, port, plan: Plan::default() });
            }
        }
        bail!("it ends at once, {PORT_TRIES} times")
    }

    /// Takes the plan; topics need not be made.
    pub(crate) fn set(&mut self, plan: &Plan) {
        self.plan = plan.clone();
    }

    /// Connects a device and subscribes it to its groups.
    ///
    /// # Errors
    /// When the broker refuses.
    pub(crate) async fn join(&self, device: usize) -> anyhow::Result<MosquittoLink> {
        let wire = Plain::dial(self.port).await?;
        let mut link = MosquittoLink { wire, next: 0, posted: HashMap::new(), own: HashSet::new() };
        // Protocol name and level, clean session, no keep-alive, client id.
        let mut connect = BytesMut::from(&b"\x00\x04MQTT\x04\x02\x00\x00"[..]);
        put_text(&mut connect, &format!("d{device}-{}", link.wire.local_port()?));
        link.put(CONNECT, &connect);
        link.await_kind(CONNACK).await?;
        for group in self.plan.heard_by(device) {
            let mut subscribe = BytesMut::new();
            subscribe.put_u16(link.number());
            put_text(&mut subscribe, &format!("g/{group}"));
            subscribe.put_u8(1);
            link.put(SUBSCRIBE, &subscribe);
            link.await_kind(SUBACK).await?;
        }
        Ok(link)
    }

    /// What it has used up to now.
    ///
    /// # Errors
    /// When there is no such process.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.process.pid())
    }
}

impl MosquittoLink {
    /// Queues a message.
    pub(crate) fn post(&mut self, group: usize, payload: Payload, bytes: usize) {
        let mut publish = BytesMut::new();
        put_text(&mut publish, &format!("g/{group}"));
        let number = self.number();
        publish.put_u16(number);
        publish.extend(payload.to_bytes(bytes));
        self.put(PUBLISH | QOS_1, &publish);
        self.posted.insert(number, payload);
        self.own.insert(payload.stream);
    }

    /// Reads what is there, and acknowledges messages.
    ///
    /// # Errors
    /// When the broker breaks the protocol.
    pub(crate) async fn hear(&mut self, heard: &mut Heard) -> anyhow::Result<bool> {
        if !self.wire.fill().await? {
            return Ok(false);
        }
        while let Some((kind, mut body)) = self.packet()? {
            match kind & 0xf0 {
                PUBACK => heard.accepted.extend(self.posted.remove(&body.get_u16())),
                PUBLISH => {
                    let topic = body.get_u16();
                    body.advance(usize::from(topic));
                    let number = body.get_u16();
                    let payload = Payload::parse(&body);
                    heard.payloads.extend(payload.filter(|payload| !self.own.contains(&payload.stream)));
                    self.put(PUBACK, &number.to_be_bytes());
                }
                _ => {}
            }
        }
        Ok(true)
    }

    fn number(&mut self) -> u16 {
        self.next = self.next.checked_add(1).unwrap_or(1);
        self.next
    }

    fn put(&mut self, kind: u8, body: &[u8]) {
        let out = &mut self.wire.out;
        out.put_u8(kind);
        let mut length = body.len();
        loop {
            let more = if length > 0x7f { 0x80 } else { 0 };
            out.put_u8(u8::try_from(length & 0x7f).expect("seven bits") | more);
            length >>= 7;
            if length == 0 {
                break;
            }
        }
        out.extend_from_slice(body);
    }

    /// Takes the next whole packet out of what was read.
    fn packet(&mut self) -> anyhow::Result<Option<(u8, Bytes)>> {
        let read = &mut self.wire.read;
        let (mut length, mut head) = (0, 1);
        loop {
            let Some(byte) = read.get(head) else { return Ok(None) };
            length |= usize::from(byte & 0x7f) << (7 * (head - 1));
            head += 1;
            if byte & 0x80 == 0 {
                break;
            }
            ensure!(head <= 4, "mosquitto sends a packet that is none");
        }
        if read.len() < head + length {
            return Ok(None);
        }
        let kind = read[0];
        read.advance(head);
        Ok(Some((kind, read.split_to(length).freeze())))
    }

    async fn await_kind(&mut self, wanted: u8) -> anyhow::Result<()> {
        loop {
            while let Some((kind, body)) = self.packet()? {
                if kind & 0xf0 == wanted {
                    ensure!(body.last().is_some_and(|code| *code < 0x80), "mosquitto refuses");
                    return Ok(());
                }
            }
            ensure!(self.wire.fill().await.context("mosquitto")?, "mosquitto closed the connection");
        }
    }
}

fn put_text(to: &mut BytesMut, text: &str) {
    to.put_u16(u16::try_from(text.len()).expect("names here are short"));
    to.extend_from_slice(text.as_bytes());
}
