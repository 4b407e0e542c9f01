//! A bad line between a device and its hub: a TCP proxy on loopback that cuts every connection after so many
//! bytes, or holds everything back.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// The line. Gone when dropped.
pub(crate) struct Link {
    /// `host:port` of its end.
    pub(crate) address: String,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

struct State {
    hub: std::sync::Mutex<String>,
    /// Bytes carried, both ways.
    carried: AtomicU64,
    /// Cuts that are still to come, and after how many bytes each.
    cuts_left: AtomicU32,
    cut_every: AtomicU64,
    next_cut: AtomicU64,
    /// Nothing is carried beyond this many bytes.
    hold_at: watch::Sender<u64>,
    /// How many cuts there were: a connection that sees another number ends.
    cut: watch::Sender<u32>,
}

impl Link {
    /// A line that carries everything.
    pub(crate) async fn to(hub: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State {
            hub: std::sync::Mutex::new(hub),
            carried: AtomicU64::new(0),
            cuts_left: AtomicU32::new(0),
            cut_every: AtomicU64::new(0),
            next_cut: AtomicU64::new(u64::MAX),
            hold_at: watch::Sender::new(u64::MAX),
            cut: watch::Sender::new(0),
        });
        let accepting = tokio::spawn(accept(listener, state.clone()));
        Self { address, state, accepting }
    }

    /// From now on, new connections lead to another hub.
    pub(crate) fn lead_to(&self, hub: String) {
        *self.state.hub.lock().unwrap() = hub;
    }

    /// From this moment on, cuts every connection after each so many bytes, so many times.
    pub(crate) fn cut_every(&self, bytes: u64, times: u32) {
        self.state.cut_every.store(bytes, Ordering::SeqCst);
        self.state.cuts_left.store(times, Ordering::SeqCst);
        self.state.next_cut.store(self.carried() + bytes, Ordering::SeqCst);
    }

    /// Cuts that are still to come.
    pub(crate) fn cuts_left(&self) -> u32 {
        self.state.cuts_left.load(Ordering::SeqCst)
    }

    /// Bytes carried so far, both ways.
    pub(crate) fn carried(&self) -> u64 {
        self.state.carried.load(Ordering::SeqCst)
    }

    /// Carries this many more bytes, then nothing until [`Link::release`].
    pub(crate) fn hold_after(&self, bytes: u64) {
        self.state.hold_at.send_replace(self.carried() + bytes);
    }

    /// Carries everything again.
    pub(crate) fn release(&self) {
        self.state.hold_at.send_replace(u64::MAX);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((device, _)) = listener.accept().await {
        let state = state.clone();
        tokio::spawn(async move {
            let hub = state.hub.lock().unwrap().clone();
            let Ok(hub) = TcpStream::connect(&hub).await else { return };
            let mut cut = state.cut.subscribe();
            let (device_in, device_out) = device.into_split();
            let (hub_in, hub_out) = hub.into_split();
            tokio::select! {
                _ = cut.changed() => {}
                () = pump(device_in, hub_out, &state) => {}
                () = pump(hub_in, device_out, &state) => {}
            }
        });
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    state: &State,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut hold = state.hold_at.subscribe();
    loop {
        let Ok(count) = from.read(&mut buffer).await else { return };
        if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
        let carried = state.carried.fetch_add(count as u64, Ordering::SeqCst) + count as u64;
        state.cut_if_due(carried);
        if hold.wait_for(|at| carried < *at).await.is_err() {
            return;
        }
    }
}

impl State {
    fn cut_if_due(&self, carried: u64) {
        if carried < self.next_cut.load(Ordering::SeqCst) {
            return;
        }
        let left =
            self.cuts_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(_) => {
                self.next_cut.store(carried + self.cut_every.load(Ordering::SeqCst), Ordering::SeqCst);
                self.cut.send_modify(|cuts| *cuts += 1);
            }
            Err(_) => self.next_cut.store(u64::MAX, Ordering::SeqCst),
        }
    }
}
