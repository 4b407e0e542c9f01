//! One device of the world: a core, its store file, and its end of a connection.

use std::{
    collections::{BTreeSet, VecDeque},
    path::PathBuf,
};

use bytes::Bytes;
use cercle_proto::{frame, id::GroupId, v1};
use cercle_sdk::{
    core::{Action, Core, Input, Outcome, Settings, StoreKey},
    error::Error,
    event::Event,
    message::Body,
    recovery::code::Cost,
};
use tokio::sync::mpsc;

const KEY: [u8; 32] = [7; 32];
/// Nothing happens that a test did not ask for.
pub(crate) const SETTINGS: Settings = Settings {
    lazy_updates: false,
    messages_per_second: 150,
    test_identities: true,
    recovery_cost: Cost::LEAST,
};

/// The device's end of a connection.
pub(crate) struct DeviceEnd {
    pub(crate) out: mpsc::Sender<Bytes>,
    pub(crate) frames: mpsc::Receiver<Bytes>,
    /// Writes that the hub has not answered.
    pub(crate) unanswered: BTreeSet<u64>,
}

type SentFilter = Box<dyn FnMut(&mut v1::ClientFrame) -> bool>;
type Filter = Box<dyn FnMut(&mut v1::ServerFrame) -> bool>;

/// One device.
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) core: Option<Core>,
    pub(crate) events: Vec<Event>,
    pub(crate) finished: VecDeque<(u64, Result<Outcome, Error>)>,
    /// Wants to be connected.
    pub(crate) online: bool,
    pub(crate) disconnects: Vec<String>,
    /// What the hub has refused.
    pub(crate) errors: Vec<v1::Error>,
    /// The hub has confirmed its key packages.
    pub(crate) published: bool,
    path: PathBuf,
    pub(crate) connection: Option<DeviceEnd>,
    /// Frames from the hub for which this says false are lost.
    keep: Option<Filter>,
    /// Frames to the hub for which this says false are lost; it may also change them.
    pub(crate) keep_sent: Option<SentFilter>,
    /// Stops at this many inputs from here, before or after it carries out what they led to.
    pub(crate) stop: Option<(usize, Stop)>,
    pub(crate) settings: Settings,
}

/// When a device stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Its transaction is committed, nothing of it has left the device.
    BeforeActing,
    /// All of it has left the device.
    AfterActing,
}

impl Device {
    pub(crate) fn new(name: &str, path: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            core: None,
            events: Vec::new(),
            finished: VecDeque::new(),
            online: true,
            disconnects: Vec::new(),
            errors: Vec::new(),
            published: false,
            path,
            connection: None,
            keep: None,
            keep_sent: None,
            stop: None,
            settings: SETTINGS,
        }
    }

    /// Opens the store in a file that can hardly grow.
    pub(crate) fn open_full(&mut self) {
        let connection = rusqlite::Connection::open(&self.path).unwrap();
        let pages: u32 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        let limit = format!("PRAGMA max_page_count = {}", pages + 40);
        connection.query_row(&limit, [], |_| Ok(())).unwrap();
        self.core = Some(Core::open(connection, StoreKey::new(KEY), self.settings).unwrap());
    }

    pub(crate) fn core(&mut self) -> &mut Core {
        self.core.as_mut().expect("the device runs")
    }

    /// Opens the store.
    pub(crate) fn open(&mut self) {
        let connection = rusqlite::Connection::open(&self.path).unwrap();
        self.core = Some(Core::open(connection, StoreKey::new(KEY), self.settings).unwrap());
    }

    /// Stops as if the power had gone: what was not committed is lost, and so is the connection.
    pub(crate) fn crash(&mut self) {
        self.core = None;
        self.connection = None;
        self.keep = None;
        self.keep_sent = None;
        self.stop = None;
    }

    /// Pieces of large values in the store; the device must be stopped.
    pub(crate) fn pieces(&self) -> u64 {
        let connection = rusqlite::Connection::open(&self.path).unwrap();
        connection.query_row("SELECT COUNT(*) FROM pieces", [], |row| row.get(0)).unwrap()
    }

    /// Copies the store; the device must be stopped.
    pub(crate) fn copy_store(&self) -> Vec<u8> {
        assert!(self.core.is_none(), "a running store cannot be copied");
        std::fs::read(&self.path).unwrap()
    }

    /// Puts an older copy of the store in place; the device must be stopped.
    pub(crate) fn restore_store(&self, copy: &[u8]) {
        assert!(self.core.is_none(), "a running store cannot be replaced");
        std::fs::write(&self.path, copy).unwrap();
        for suffix in ["-wal", "-shm"] {
            let mut path = self.path.clone().into_os_string();
            path.push(suffix);
            let _ = std::fs::remove_file(path);
        }
    }

    pub(crate) fn disconnect(&mut self, now: u64) {
        self.online = false;
        if self.connection.take().is_some() {
            self.handle(Input::Disconnected, now);
        }
    }

    /// Frames from the hub are kept only if this says so; it may also change them.
    pub(crate) fn lose(&mut self, keep: impl FnMut(&mut v1::ServerFrame) -> bool + 'static) {
        self.keep = Some(Box::new(keep));
    }

    pub(crate) fn lose_nothing(&mut self) {
        self.keep = None;
        self.keep_sent = None;
    }

    pub(crate) fn saw(&self, event: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(event)
    }

    /// Every text of a group, in order.
    pub(crate) fn texts(&mut self, group: GroupId) -> Vec<String> {
        let Some(core) = self.core.as_ref() else { return Vec::new() };
        let messages = core.messages(group, 0, 10_000).unwrap_or_default();
        let texts = messages.into_iter().filter_map(|message| match message.body {
            Body::Text(text) => Some(text.text),
            _ => None,
        });
        texts.collect()
    }

    pub(crate) fn epoch_and_cursor(&mut self, group: GroupId) -> Option<(u64, u64, Vec<u8>)> {
        let groups = self.core.as_mut()?.groups().ok()?;
        let found = groups.into_iter().find(|summary| summary.group == group)?;
        Some((found.epoch, found.cursor, found.epoch_authenticator))
    }

    /// Takes every frame that has come.
    pub(crate) fn take(&mut self, now: u64) -> bool {
        let mut moved = false;
        while let Some(end) = &mut self.connection {
            match end.frames.try_recv() {
                Ok(frame) => self.arrived(Some(frame), now),
                Err(mpsc::error::TryRecvError::Disconnected) => self.arrived(None, now),
                Err(mpsc::error::TryRecvError::Empty) => break,
            }
            moved = true;
        }
        moved
    }

    pub(crate) fn arrived(&mut self, frame: Option<Bytes>, now: u64) {
        match frame {
            Some(frame) => {
                let mut frame = frame::decode_server(frame).unwrap();
                if let Some(end) = self.connection.as_mut() {
                    end.unanswered.remove(&frame.request);
                }
                if self.keep.as_mut().is_none_or(|keep| keep(&mut frame)) {
                    self.published |=
                        matches!(&frame.body, Some(v1::server_frame::Body::KeyPackagesPublished(_)));
                    if let Some(v1::server_frame::Body::Error(error)) = &frame.body {
                        self.errors.push(error.clone());
                    }
                    self.handle(Input::Frame(frame), now);
                }
            }
            None => {
                self.connection = None;
                self.handle(Input::Disconnected, now);
            }
        }
    }

    pub(crate) fn handle(&mut self, input: Input, now: u64) {
        let Some(core) = &mut self.core else { return };
        let actions = core.handle(input, now);
        let stop = self.stop.as_mut().and_then(|(inputs, when)| {
            *inputs = inputs.saturating_sub(1);
            (*inputs == 0).then_some(*when)
        });
        if stop == Some(Stop::BeforeActing) {
            return self.crash();
        }
        self.act(actions, now);
        if stop == Some(Stop::AfterActing) {
            self.crash();
        }
    }

    fn act(&mut self, actions: Vec<Action>, now: u64) {
        for action in actions {
            match action {
                Action::Send(mut frame) => {
                    let lost = self.keep_sent.as_mut().is_some_and(|keep| !keep(&mut frame));
                    if let Some(end) = self.connection.as_mut().filter(|_| !lost)
                        && end.out.try_send(frame::encode(&frame)).is_ok()
                        && is_write(&frame)
                    {
                        end.unanswered.insert(frame.request);
                    }
                }
                Action::Emit(event) => self.events.push(event),
                Action::Finished { id, result } => self.finished.push_back((id, result)),
                Action::Disconnect { reason, retry } => {
                    self.disconnects.push(format!("{reason:?}"));
                    self.online &= retry;
                    self.connection = None;
                }
            }
        }
        if let (None, Some(core)) = (&self.connection, &mut self.core) {
            core.handle(Input::Disconnected, now);
        }
    }
}

/// What the hub answers as soon as it has done it.
fn is_write(frame: &v1::ClientFrame) -> bool {
    use v1::client_frame::Body;
    matches!(
        &frame.body,
        Some(
            Body::CommitBundle(_)
                | Body::SendApplication(_)
                | Body::SendProposal(_)
                | Body::CreateGroup(_)
                | Body::ClaimKeyPackages(_)
        )
    )
}
