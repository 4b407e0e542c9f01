//! An `ejabberd`: a group is a room (XEP-0045); where messages must be safe, the room has an archive (XEP-0313)
//! in SQLite. It is talked to without TLS, which is the easier job for it.
//!
//! The codec is XMPP as far as these scenarios need it: it looks for the stanzas that it waits for.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Buf;
use tokio::time::timeout;

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
    limits::{OPERATION_PATIENCE, PEER_PATIENCE, PORT_TRIES},
    plan::Plan,
    progress::Progress,
    raw::payload::Payload,
};

const OPEN: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
                    to='localhost' version='1.0'>";

/// Where Debian keeps its modules and the schema of its archive.
const LIBRARIES: &str = "/usr/lib";
const SCHEMA: &str = "/usr/share/ejabberd/sql/lite.sql";

/// A server and the plan's groups as rooms.
pub(crate) struct Ejabberd {
    runtime: PathBuf,
    place: PathBuf,
    process: Option<Child>,
    port: u16,
    plan: Plan,
}

/// A device's connection.
pub(crate) struct EjabberdLink {
    wire: Plain,
    posted: HashMap<u64, Payload>,
    /// Streams of which this is the sender: a room answers with the message itself.
    own: HashSet<u32>,
}

impl Ejabberd {
    /// Looks whether it is installed; it starts when the plan is known.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn find(target: &Target, place: &Path) -> anyhow::Result<Self> {
        find_program("ejabberdctl", target)?;
        let runtime = find_program("erl", target)?;
        ensure!(!modules().is_empty(), "its modules are not where Debian puts them");
        let place = place.join("ejabberd");
        Ok(Self { runtime, place, process: None, port: 0, plan: Plan::default() })
    }

    /// Starts it for a plan and registers the plan's devices.
    ///
    /// # Errors
    /// When it does not start or refuses a device.
    pub(crate) async fn set(&mut self, plan: &Plan, progress: &Progress) -> anyhow::Result<()> {
        self.plan = plan.clone();
        for turn in 0..PORT_TRIES {
            let folder = self.place.with_file_name(format!("ejabberd-{turn}"));
            self.port = free_port()?;
            let mut process = self.serve(&folder)?;
            let (port, mut ended) = (self.port, false);
            let ready = until("ejabberd", PEER_PATIENCE, async || {
                ended = process.has_ended()?;
                Ok(ended || answers(port).await)
            });
            // Where its port was taken meanwhile it ends, or never answers.
            if ready.await.is_ok() && !ended && !process.has_ended()? {
                self.process = Some(process);
                for device in 0..plan.devices {
                    progress.step("registering with ejabberd", device, plan.devices);
                    self.register(device).await?;
                }
                return Ok(());
            }
        }
        bail!("it does not answer, {PORT_TRIES} times")
    }

    fn serve(&self, folder: &Path) -> anyhow::Result<Child> {
        fs::create_dir_all(folder.join("spool"))?;
        let archive = folder.join("archive.sqlite");
        let config = folder.join("ejabberd.yml");
        fs::write(&config, self.config(&archive))?;
        if self.plan.durable {
            let made = Command::new("sqlite3").arg(&archive).stdin(fs::File::open(SCHEMA)?).status();
            ensure!(made.context("sqlite3 makes its archive")?.success(), "sqlite3 did not make the archive");
        }
        let mut command = Command::new(&self.runtime);
        command.args(["-noinput", "+K", "true", "+P", "1000000"]);
        for modules in modules() {
            command.arg("-pa").arg(modules);
        }
        command
            .arg("-mnesia")
            .arg("dir")
            .arg(format!("\"{}\"", folder.join("spool").display()))
            .args(["-s", "ejabberd"])
            .env("HOME", folder)
            .env("EJABBERD_CONFIG_PATH", &config)
            .env("EJABBERD_LOG_PATH", folder.join("ejabberd.log"))
            .env("SPOOL_DIR", folder.join("spool"))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Child::start(&mut command)
    }

    fn config(&self, archive: &Path) -> String {
        let durable = self.plan.durable;
        let kept = if durable {
            let archive = archive.display();
            format!(
                "sql_type: sqlite\nsql_database: \"{archive}\"\nmodules:\n  mod_mam:\n    db_type: sql\n    \
                 default: always\n    request_activates_archiving: false\n"
            )
        } else {
            "modules:\n".to_owned()
        };
        format!(
            "hosts: [localhost]\nloglevel: error\nlisten:\n  -\n    port: {}\n    ip: \"127.0.0.1\"\n    \
             module: ejabberd_c2s\n    max_stanza_size: 262144\n    shaper: none\n    access: all\n    \
             backlog: 4096\nauth_method: internal\nauth_password_format: plain\nregistration_timeout: infinity\n\
             max_fsm_queue: 1000000\n{kept}  mod_register:\n    ip_access: all\n    access: all\n  mod_muc:\n    \
             max_users: 1000\n    max_user_conferences: 10000\n    access: all\n    access_create: all\n    \
             default_room_options:\n      max_users: 1000\n      presence_broadcast: []\n      mam: {durable}\n      \
             persistent: true\n",
            self.port
        )
    }

    async fn register(&self, device: usize) -> anyhow::Result<()> {
        let mut link = self.open().await?;
        link.say(&format!(
            "<iq type='set' id='reg'><query xmlns='jabber:iq:register'><username>d{device}</username>\
             <password>load</password></query></iq>"
        ));
        let answer = link.until("id='reg'").await?;
        ensure!(answer.contains("type='result'"), "ejabberd does not register a device");
        Ok(())
    }

    async fn open(&self) -> anyhow::Result<EjabberdLink> {
        let wire = Plain::dial(self.port).await?;
        let mut link = EjabberdLink { wire, posted: HashMap::new(), own: HashSet::new() };
        link.say(OPEN);
        link.until("</stream:features>").await?;
        Ok(link)
    }

    /// Connects a device and lets it enter its rooms.
    ///
    /// # Errors
    /// When the server refuses.
    pub(crate) async fn join(&self, device: usize) -> anyhow::Result<EjabberdLink> {
        let mut link = self.open().await?;
        let proof = STANDARD.encode(format!("\0d{device}\0load"));
        link.say(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{proof}</auth>"));
        link.until("<success").await?;
        link.say(OPEN);
        link.until("</stream:features>").await?;
        link.say(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource>\
             </bind></iq>",
        );
        link.until("</bind>").await?;
        link.say("<presence/>");
        for group in self.plan.groups_of(device) {
            link.say(&format!(
                "<presence to='g{group}@conference.localhost/d{device}'><x xmlns='http://jabber.org/protocol/muc'>\
                 <history maxstanzas='0'/></x></presence>"
            ));
            link.until("<subject/>").await?;
        }
        Ok(link)
    }

    /// What it has used up to now.
    ///
    /// # Errors
    /// When there is no such process.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.process.as_ref().context("it runs")?.pid())
    }
}

/// Folders of its modules.
fn modules() -> Vec<PathBuf> {
    let entries = |folder: &Path| {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let named =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ejabberd-"));
    let found = entries(Path::new(LIBRARIES)).into_iter().filter(|path| path.is_dir());
    let found = found.flat_map(|folder| entries(&folder)).filter(named).map(|path| path.join("ebin"));
    found.filter(|path| path.is_dir()).collect()
}

/// Whether somebody speaks XMPP there.
async fn answers(port: u16) -> bool {
    let asking = async {
        let mut wire = Plain::dial(port).await.ok()?;
        wire.out.extend(OPEN.bytes());
        wire.fill().await.ok()
    };
    matches!(timeout(OPERATION_PATIENCE, asking).await, Ok(Some(true)))
}

impl EjabberdLink {
    fn say(&mut self, text: &str) {
        self.wire.out.extend(text.bytes());
    }

    /// Reads until this text comes and drops everything before its end; what that was.
    async fn until(&mut self, text: &str) -> anyhow::Result<String> {
        let reading = async {
            loop {
                if let Some(place) = find(&self.wire.read, text.as_bytes()) {
                    let end = place + text.len();
                    let before = String::from_utf8_lossy(&self.wire.read[..end]).into_owned();
                    self.wire.read.advance(end);
                    return Ok(before);
                }
                ensure!(self.wire.fill().await?, "ejabberd closed the connection");
            }
        };
        timeout(OPERATION_PATIENCE, reading).await.with_context(|| format!("ejabberd never says {text}"))?
    }

    /// Queues a message.
    pub(crate) fn post(&mut self, group: usize, payload: Payload, bytes: usize) {
        let body = STANDARD.encode(payload.to_bytes(bytes));
        self.say(&format!(
            "<message to='g{group}@conference.localhost' type='groupchat' id='m'><body>{body}</body></message>"
        ));
        self.posted.insert(payload.identity(), payload);
        self.own.insert(payload.stream);
    }

    /// Reads what is there. The room has taken a message when it sends it back.
    ///
    /// # Errors
    /// When the server refuses a message.
    pub(crate) async fn hear(&mut self, heard: &mut Heard) -> anyhow::Result<bool> {
        const END: &[u8] = b"</message>";
        const BODY: &[u8] = b"<body>";
        if !self.wire.fill().await? {
            return Ok(false);
        }
        while let Some(end) = find(&self.wire.read, END) {
            let stanza = self.wire.read.split_to(end + END.len());
            ensure!(find(&stanza, b"type='error'").is_none(), "ejabberd refuses a message");
            let Some(body) = find(&stanza, BODY).map(|place| &stanza[place + BODY.len()..]) else { continue };
            // The first 24 letters are 18 bytes, which hold the head.
            let head = body.get(..24).and_then(|letters| STANDARD.decode(letters).ok());
            let Some(payload) = head.and_then(|head| Payload::parse(&head)) else { continue };
            if self.own.contains(&payload.stream) {
                heard.accepted.extend(self.posted.remove(&payload.identity()));
            } else {
                heard.payloads.push(payload);
            }
        }
        Ok(true)
    }
}

/// Where a text begins.
fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}
