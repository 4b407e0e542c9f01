//! A `nats-server`: its core for relaying, JetStream with a sync of every write where messages must be safe.
//!
//! The codec is the text protocol of NATS, as far as these scenarios need it.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::{Context, bail, ensure};
use bytes::{Buf, BytesMut};
use serde_json::{Value, json};

use super::{child::Child, find_program, link::Heard, plain::Plain};
use crate::{
    arguments::Target, fleet::until, hub::Usage, limits::HUB_PATIENCE, plan::Plan, raw::payload::Payload,
};

/// Name of the stream that holds everything.
const STREAM: &str = "LOAD";
/// Subject of answers to one device.
const ANSWERS: &str = "_INBOX.load";

/// A server and the plan's groups as subjects.
pub(crate) struct Nats {
    process: Child,
    port: u16,
    plan: Plan,
    /// Messages that the reader has had; it reads on behind them.
    read: AtomicU64,
}

/// A device's connection.
pub(crate) struct NatsLink {
    wire: Plain,
    durable: bool,
    posted: HashMap<u64, Payload>,
}

/// One thing that the server said.
enum Said {
    Message { subject: Vec<u8>, body: BytesMut },
    Pong,
}

impl Nats {
    /// Starts a server in a folder.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub(crate) async fn start(target: &Target, place: &Path) -> anyhow::Result<Self> {
        let program = find_program("nats-server", target)?;
        let folder = place.join("nats");
        fs::create_dir(&folder)?;
        let shown = folder.display();
        let config = format!(
            "host: 127.0.0.1\nport: -1\nports_file_dir: \"{shown}\"\nmax_payload: 1MB\n\
             authorization {{ user: load, password: load }}\n\
             jetstream {{ store_dir: \"{shown}/store\", sync_interval: always }}\n"
        );
        let file = folder.join("nats.conf");
        fs::write(&file, config)?;
        let mut command = Command::new(program);
        command.arg("-c").arg(&file).arg("-l").arg(folder.join("log")).stdin(Stdio::null());
        let mut process = Child::start(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
        let ports = folder.join(format!("nats-server_{}.ports", process.pid()));
        let mut port = None;
        until("nats-server", HUB_PATIENCE, async || {
            ensure!(!process.has_ended()?, "it refuses its configuration: it must be 2.10 or newer");
            let text = fs::read_to_string(&ports).unwrap_or_default();
            port = serde_json::from_str::<Value>(&text).ok().and_then(|ports| port_of(&ports));
            Ok(port.is_some())
        })
        .await?;
        let port = port.context("it tells its port")?;
        Ok(Self { process, port, plan: Plan::default(), read: AtomicU64::new(0) })
    }

    /// Takes the plan; what must be safe is kept in a stream.
    ///
    /// # Errors
    /// When the server refuses the stream.
    pub(crate) async fn set(&mut self, plan: &Plan) -> anyhow::Result<()> {
        self.plan = plan.clone();
        if plan.durable {
            let mut link = self.connect().await?;
            let config = json!({ "name": STREAM, "subjects": ["g.*"], "storage": "file" });
            link.ask(&format!("$JS.API.STREAM.CREATE.{STREAM}"), &config).await?;
        }
        Ok(())
    }

    /// Connects a device and subscribes it to its groups, or to what it has not read of the stream.
    ///
    /// # Errors
    /// When the server refuses.
    pub(crate) async fn join(&self, device: usize, from_store: bool) -> anyhow::Result<NatsLink> {
        let mut link = self.connect().await?;
        if from_store {
            link.wire.out.extend(b"SUB stored 2\r\n");
            let first = self.read.load(Ordering::Acquire) + 1;
            let config = json!({ "stream_name": STREAM, "config": {
                "deliver_subject": "stored", "ack_policy": "none",
                "deliver_policy": "by_start_sequence", "opt_start_seq": first,
            }});
            link.ask(&format!("$JS.API.CONSUMER.CREATE.{STREAM}"), &config).await?;
            return Ok(link);
        }
        for group in self.plan.heard_by(device) {
            link.wire.out.extend(format!("SUB g.{group} {}\r\n", group + 10).bytes());
        }
        link.ping().await?;
        Ok(link)
    }

    async fn connect(&self) -> anyhow::Result<NatsLink> {
        let wire = Plain::dial(self.port).await?;
        let mut link = NatsLink { wire, durable: self.plan.durable, posted: HashMap::new() };
        let options =
            json!({ "verbose": false, "pedantic": false, "echo": false, "user": "load", "pass": "load" });
        link.wire.out.extend(format!("CONNECT {options}\r\nSUB {ANSWERS}.{}.* 1\r\n", link.token()?).bytes());
        link.ping().await?;
        Ok(link)
    }

    /// Whether it keeps what is posted.
    pub(crate) const fn keeps(&self) -> bool {
        self.plan.durable
    }

    /// So many more messages of the stream are read.
    pub(crate) fn read_on(&self, count: u64) {
        self.read.fetch_add(count, Ordering::AcqRel);
    }

    /// What it has used up to now.
    ///
    /// # Errors
    /// When there is no such process.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.process.pid())
    }
}

fn port_of(ports: &Value) -> Option<u16> {
    ports["nats"][0].as_str()?.rsplit_once(':')?.1.parse().ok()
}

impl NatsLink {
    /// Queues a message.
    pub(crate) fn post(
        &mut self,
        group: usize,
        payload: Payload,
        bytes: usize,
        heard: &mut Heard,
    ) -> anyhow::Result<()> {
        let mut body = Vec::new();
        payload.write(&mut body, bytes);
        let head = if self.durable {
            self.posted.insert(payload.identity(), payload);
            format!("PUB g.{group} {ANSWERS}.{}.{} {}\r\n", self.token()?, payload.identity(), body.len())
        } else {
            heard.accepted.push(payload);
            format!("PUB g.{group} {}\r\n", body.len())
        };
        self.wire.out.extend(head.bytes());
        self.wire.out.extend(&body);
        self.wire.out.extend(b"\r\n");
        Ok(())
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// When the server refuses something.
    pub(crate) async fn hear(&mut self, heard: &mut Heard) -> anyhow::Result<bool> {
        if !self.wire.fill().await? {
            return Ok(false);
        }
        while let Some(said) = self.said()? {
            let Said::Message { subject, body } = said else { continue };
            match subject.strip_prefix(ANSWERS.as_bytes()) {
                Some(tail) => {
                    let number = tail.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
                    let number: u64 = std::str::from_utf8(number)?.parse().context("an answer's number")?;
                    let answer: Value = serde_json::from_slice(&body)?;
                    ensure!(answer.get("error").is_none(), "JetStream refuses: {answer}");
                    heard.accepted.extend(self.posted.remove(&number));
                }
                None => heard.payloads.extend(Payload::parse(&body)),
            }
        }
        Ok(true)
    }

    /// Takes the next whole thing out of what was read; answers pings.
    fn said(&mut self) -> anyhow::Result<Option<Said>> {
        loop {
            let read = &mut self.wire.read;
            let Some(end) = read.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
            let line = std::str::from_utf8(&read[..end])?.to_owned();
            let mut words = line.split_whitespace();
            match words.next() {
                Some("MSG") => {
                    let subject = words.next().unwrap_or_default().as_bytes().to_vec();
                    let size: usize = words.next_back().context("a size")?.parse()?;
                    if read.len() < end + 2 + size + 2 {
                        return Ok(None);
                    }
                    read.advance(end + 2);
                    let body = read.split_to(size);
                    read.advance(2);
                    return Ok(Some(Said::Message { subject, body }));
                }
                Some("PING") => {
                    read.advance(end + 2);
                    self.wire.out.extend(b"PONG\r\n");
                }
                Some("PONG") => {
                    read.advance(end + 2);
                    return Ok(Some(Said::Pong));
                }
                Some("-ERR") => bail!("nats-server: {line}"),
                _ => read.advance(end + 2),
            }
        }
    }

    async fn ping(&mut self) -> anyhow::Result<()> {
        self.wire.out.extend(b"PING\r\n");
        loop {
            while let Some(said) = self.said()? {
                if matches!(said, Said::Pong) {
                    return Ok(());
                }
            }
            ensure!(self.wire.fill().await?, "nats-server closed the connection");
        }
    }

    /// Asks the API of JetStream and waits for its answer.
    async fn ask(&mut self, subject: &str, request: &Value) -> anyhow::Result<()> {
        let text = request.to_string();
        let head = format!("PUB {subject} {ANSWERS}.{}.0 {}\r\n", self.token()?, text.len());
        self.wire.out.extend(head.bytes());
        self.wire.out.extend(text.bytes());
        self.wire.out.extend(b"\r\n");
        loop {
            while let Some(said) = self.said()? {
                if let Said::Message { subject, body } = said
                    && subject.starts_with(ANSWERS.as_bytes())
                {
                    let answer: Value = serde_json::from_slice(&body)?;
                    ensure!(answer.get("error").is_none(), "JetStream refuses: {answer}");
                    return Ok(());
                }
            }
            ensure!(self.wire.fill().await?, "nats-server closed the connection");
        }
    }

    /// What tells this connection's answers from others': its own port.
    fn token(&self) -> anyhow::Result<u16> {
        self.wire.local_port()
    }
}
