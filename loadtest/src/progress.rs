//! What a run is doing, on standard error, and whether it was asked to stop.

use std::{
    io::{IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::ensure;
use tokio::sync::watch;

use crate::{clock::Clock, limits::PROGRESS_EVERY_US};

/// Shows progress; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    shown: bool,
    last_us: Mutex<u64>,
    stopped: watch::Sender<bool>,
}

impl Progress {
    /// Shows progress if standard error is a terminal or `always` says so.
    pub(crate) fn new(always: bool) -> Self {
        let shown = always || std::io::stderr().is_terminal();
        let (last_us, stopped) = (Mutex::new(0), watch::Sender::new(false));
        Self(Arc::new(Inner { clock: Clock::start(), shown, last_us, stopped }))
    }

    /// So many of so many are done; shown a few times a second.
    pub(crate) fn step(&self, doing: &str, done: usize, of: usize) {
        self.show(|| format!("{doing}: {done} of {of}"));
    }

    /// Says something at most a few times a second.
    pub(crate) fn show(&self, say: impl FnOnce() -> String) {
        if !self.0.shown {
            return;
        }
        let now_us = self.0.clock.now_us();
        {
            let mut last = self.0.last_us.lock().unwrap_or_else(PoisonError::into_inner);
            if now_us < *last + PROGRESS_EVERY_US {
                return;
            }
            *last = now_us;
        }
        self.write(&say());
    }

    /// Says where the run is, whenever that was said last.
    pub(crate) fn stage(&self, say: &str) {
        if self.0.shown {
            self.write(say);
        }
    }

    fn write(&self, say: &str) {
        let seconds = self.0.clock.now_us() / 1_000_000;
        // Nobody can be told if standard error is closed; the run goes on.
        let _ = writeln!(std::io::stderr(), "[{seconds:>4} s] {say}");
    }

    /// Asks the run to stop where it is.
    pub(crate) fn stop(&self) {
        self.0.stopped.send_replace(true);
    }

    /// Whether the run was asked to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        *self.0.stopped.borrow()
    }

    /// Waits until a moment of the run, not at all if it has passed; false as soon as the run was asked to stop.
    pub(crate) async fn until(&self, clock: Clock, due_us: u64) -> bool {
        let mut stopped = self.0.stopped.subscribe();
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => false,
            () = clock.until(due_us) => true,
        }
    }

    /// For what has to be there before anything is measured.
    ///
    /// # Errors
    /// When the run was asked to stop: there is nothing to show yet.
    pub(crate) fn prepares(&self) -> anyhow::Result<()> {
        ensure!(!self.is_stopped(), "stopped before anything was measured");
        Ok(())
    }
}
