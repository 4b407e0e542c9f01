//! One device of a simulation: a real core over a store in a file, a clock that may be wrong, and a line.

use std::path::{Path, PathBuf};

use cercle_proto::{
    frame,
    id::{GroupId, MessageId},
    v1,
};
use cercle_sdk::{
    core::{Action, Core, DisconnectReason, GroupState, Input, Settings, StoreKey},
    event::Event,
    message::Body,
    recovery::code::Cost,
};

use super::line::Line;

const KEY: [u8; 32] = [7; 32];
const SETTINGS: Settings = Settings {
    lazy_updates: false,
    messages_per_second: 150,
    test_identities: true,
    recovery_cost: Cost::LEAST,
};

/// When a device stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Its transaction is committed, nothing of it has left the device.
    BeforeActing,
    /// All of it has left the device.
    AfterActing,
}

pub(super) struct Node {
    pub(super) number: usize,
    pub(super) core: Option<Core>,
    pub(super) line: Option<Line>,
    /// The network carries nothing of it.
    pub(super) cut_off: bool,
    /// How wrong its clock is.
    pub(super) skew_ms: i64,
    /// Stops at the next input.
    pub(super) stop: Option<Stop>,
    pub(super) published: bool,
    /// Entries that it has said to be missing.
    pub(super) gaps: u64,
    /// What it said that no device may say in a simulation without restored stores.
    pub(super) suffered: Vec<String>,
    pub(super) joined: bool,
    /// The network has turned the order of its messages round within a connection.
    pub(super) order_lost: bool,
    starts: u64,
    seed: u64,
    path: PathBuf,
}

impl Node {
    pub(super) fn new(number: usize, folder: &Path) -> Self {
        Self {
            number,
            core: None,
            line: None,
            cut_off: false,
            skew_ms: 0,
            stop: None,
            published: false,
            gaps: 0,
            suffered: Vec::new(),
            joined: false,
            order_lost: false,
            starts: 0,
            seed: 0,
            path: folder.join(format!("{number}.db")),
        }
    }

    /// Opens its store, as its program does when it starts.
    pub(super) fn open(&mut self, seed: u64) {
        self.seed = seed;
        self.starts += 1;
        let connection = rusqlite::Connection::open(&self.path).unwrap();
        let mut core = Core::open(connection, StoreKey::new(KEY), SETTINGS).unwrap();
        core.seed_for_simulation(
            seed.wrapping_mul(1_000).wrapping_add(self.starts * 16 + self.number as u64),
        );
        self.core = Some(core);
    }

    pub(super) fn reopen(&mut self) {
        self.open(self.seed);
    }

    /// Stops as if the power had gone.
    pub(super) fn crash(&mut self) {
        self.core = None;
        self.line = None;
        self.stop = None;
    }

    /// Its own time.
    pub(super) fn time(&self, now: u64) -> u64 {
        now.saturating_add_signed(self.skew_ms)
    }

    /// Takes an input; the commands that were carried out with it.
    pub(super) fn handle(&mut self, input: Input, now: u64) -> Vec<u64> {
        let time = self.time(now);
        let Some(core) = &mut self.core else { return Vec::new() };
        let actions = core.handle(input, time);
        match self.stop.take() {
            // A command that was carried out is durable even if nobody hears of it.
            Some(Stop::BeforeActing) => {
                let finished = finished(&actions);
                self.crash();
                finished
            }
            Some(Stop::AfterActing) => {
                let finished = self.act(actions, time);
                self.crash();
                finished
            }
            None => self.act(actions, time),
        }
    }

    fn act(&mut self, actions: Vec<Action>, time: u64) -> Vec<u64> {
        let finished = finished(&actions);
        let had_line = self.line.is_some();
        for action in actions {
            match action {
                Action::Send(frame) => {
                    if let Some(line) = &mut self.line {
                        line.up.push_back(frame::encode(&frame));
                    }
                }
                Action::Emit(event) => self.heard(&event),
                Action::Finished { .. } => {}
                Action::Disconnect { reason, .. } => {
                    if matches!(reason, DisconnectReason::Untrusted | DisconnectReason::StoreFailed) {
                        self.suffered.push(format!("{reason:?}"));
                    }
                    self.line = None;
                }
            }
        }
        if had_line && self.line.is_none() {
            self.handle(Input::Disconnected, time.saturating_add_signed(-self.skew_ms));
        }
        finished
    }

    fn heard(&mut self, event: &Event) {
        match event {
            Event::Gap { skipped, reason, .. } => {
                self.gaps += skipped;
                self.suffered.push(format!("gap of {skipped}: {reason:?}"));
            }
            Event::Recovering { reason, .. } => self.suffered.push(format!("recovering: {reason:?}")),
            Event::RollbackDetected | Event::MessageRefused { .. } | Event::GroupLeft { .. } => {
                self.suffered.push(format!("{event:?}"));
            }
            Event::GroupJoined { .. } => self.joined = true,
            _ => {}
        }
    }

    /// Takes the next frame that has come; false if there is none.
    pub(super) fn take_frame(&mut self, now: u64) -> bool {
        let Some(line) = &mut self.line else { return false };
        let Some(bytes) = line.down.pop_front() else { return false };
        let frame = frame::decode_server(bytes).unwrap();
        self.published |= matches!(&frame.body, Some(v1::server_frame::Body::KeyPackagesPublished(_)));
        self.handle(Input::Frame(frame), now);
        true
    }

    /// Epoch, cursor and authenticator of an active group with nothing left to send.
    pub(super) fn standing(&mut self, group: GroupId) -> Option<(u64, u64, Vec<u8>)> {
        let core = self.core.as_mut()?;
        if !core.outbox().ok()?.is_empty() {
            return None;
        }
        let found = core.groups().ok()?.into_iter().find(|summary| summary.group == group)?;
        (found.state == GroupState::Active).then_some((found.epoch, found.cursor, found.epoch_authenticator))
    }

    /// Place, id and text of every text.
    pub(super) fn texts(&self, group: GroupId) -> Vec<(u64, MessageId, String)> {
        let Some(core) = &self.core else { return Vec::new() };
        let messages = core.messages(group, 0, 10_000).unwrap_or_default();
        let text = |body| match body {
            Body::Text(text) => Some(text.text),
            _ => None,
        };
        messages
            .into_iter()
            .filter_map(|message| Some((message.seq, message.id, text(message.body)?)))
            .collect()
    }
}

fn finished(actions: &[Action]) -> Vec<u64> {
    let ended = |action: &Action| match action {
        Action::Finished { id, result: Ok(_) } => Some(*id),
        _ => None,
    };
    actions.iter().filter_map(ended).collect()
}
