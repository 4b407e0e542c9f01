//! `cercle-server serve`: runs until a signal ends it.

use anyhow::Context;
use cercle_server::{config::Config, server, telemetry::log};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Starts the hub, prints where it is when it is ready, and where its metrics are; drains it on SIGTERM or SIGINT.
pub(super) async fn serve(config: Config) -> anyhow::Result<()> {
    log::start(config.log_format(), &config.log_filter);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting with:\n{}", config.redacted());
    let mut signals = Signals::new().context("signals cannot be received")?;
    let hub = server::start(config).await?;
    super::print(&format!("ready {}\n", hub.address()));
    if let Some(address) = hub.metrics_address() {
        super::print(&format!("metrics {address}\n"));
    }
    loop {
        tokio::select! {
            biased;
            _ = signals.hangup.recv() => match hub.reload_certificate() {
                Ok(()) => tracing::info!("the TLS certificate was read again"),
                Err(error) => tracing::error!(%error, "the TLS certificate in use is kept"),
            },
            () = hub.store_failed() => {
                anyhow::bail!("the store takes no writes any more (see above): restart the hub when the disk is mended");
            }
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
        }
    }
    tracing::info!("draining");
    if hub.shutdown().await {
        tracing::info!("stopped");
    } else {
        tracing::warn!("stopped before every request had ended; clients try again with the same ids");
    }
    Ok(())
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}
