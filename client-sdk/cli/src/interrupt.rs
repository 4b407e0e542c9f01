//! Ctrl-C, and the polite end that an operating system asks for.
//!
//! A listener is made once and kept: what comes while nobody waits for it is remembered, not lost.

use std::io;

/// Listens from its making on. While one exists, Ctrl-C no longer ends the process by itself.
pub(crate) struct Interrupt {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
}

impl Interrupt {
    /// Starts to listen.
    ///
    /// # Errors
    /// When the system does not let this process listen.
    #[cfg(unix)]
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Starts to listen.
    ///
    /// # Errors
    /// When the system does not let this process listen.
    #[cfg(windows)]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { interrupt: tokio::signal::windows::ctrl_c()? })
    }

    /// Waits until the user or the system wants the command to end. Cancelling it loses nothing.
    pub(crate) async fn requested(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(windows)]
        self.interrupt.recv().await;
    }
}
