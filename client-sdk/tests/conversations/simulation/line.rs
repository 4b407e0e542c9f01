//! A connection between a device and the hub over a bad network: frames wait in both directions until the
//! simulation lets them go on, or loses, doubles or swaps them.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use cercle_server::session::link::{Inbound, Link, LinkError};
use futures_util::{Sink, SinkExt as _, Stream};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

/// Frames that the network holds in one direction; with more the hub has to wait.
pub(super) const FRAMES_UNDER_WAY_MAX: usize = 64;

/// The device's side.
pub(super) struct Line {
    to_hub: mpsc::Sender<Bytes>,
    from_hub: mpsc::Receiver<Bytes>,
    /// On their way to the hub.
    pub(super) up: VecDeque<Bytes>,
    /// On their way to the device.
    pub(super) down: VecDeque<Bytes>,
}

impl Line {
    /// A connection, and the hub's end of it.
    pub(super) fn new() -> (Self, HubEnd) {
        let (to_hub, frames) = mpsc::channel(FRAMES_UNDER_WAY_MAX);
        let (out, from_hub) = mpsc::channel(4);
        let line = Self { to_hub, from_hub, up: VecDeque::new(), down: VecDeque::new() };
        (line, HubEnd { frames, out: PollSender::new(out) })
    }

    /// Lets the next frame reach the hub; false if there is none or the hub takes none.
    pub(super) fn deliver_up(&mut self) -> bool {
        let Some(frame) = self.up.front() else { return false };
        match self.to_hub.try_send(frame.clone()) {
            Ok(()) => {
                self.up.pop_front();
                true
            }
            Err(_) => false,
        }
    }

    /// Takes what the hub sends into the network, as far as there is room.
    pub(super) fn take_from_hub(&mut self) -> Vec<Bytes> {
        let mut taken = Vec::new();
        while self.down.len() < FRAMES_UNDER_WAY_MAX
            && let Ok(frame) = self.from_hub.try_recv()
        {
            self.down.push_back(frame.clone());
            taken.push(frame);
        }
        taken
    }

    /// The hub has ended it, and nothing is under way to the device any more.
    pub(super) fn is_over(&self) -> bool {
        self.down.is_empty() && self.from_hub.is_closed() && self.from_hub.is_empty()
    }
}

/// The hub's side: it writes only as fast as the network takes.
pub(super) struct HubEnd {
    frames: mpsc::Receiver<Bytes>,
    out: PollSender<Bytes>,
}

impl Stream for HubEnd {
    type Item = Result<Inbound, LinkError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.frames.poll_recv(cx).map(|frame| frame.map(|frame| Ok(Inbound::Frame(frame))))
    }
}

impl Sink<Bytes> for HubEnd {
    type Error = LinkError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.out.poll_ready_unpin(cx).map_err(|_| LinkError::Closed)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Bytes) -> Result<(), LinkError> {
        self.out.start_send_unpin(frame).map_err(|_| LinkError::Closed)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.out.poll_flush_unpin(cx).map_err(|_| LinkError::Closed)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.out.poll_close_unpin(cx).map_err(|_| LinkError::Closed)
    }
}

impl Link for HubEnd {
    const NAME: &'static str = "simulated";

    fn trust(&mut self) {}

    async fn finish(self, _: Duration) {}
}
