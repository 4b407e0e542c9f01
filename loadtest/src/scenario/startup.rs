//! `startup`: how soon an empty hub serves, what it takes when idle, and how soon the demonstration shows
//! its first decrypted message.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::{task::spawn_blocking, time::timeout};

use crate::{
    arguments::Startup,
    clock::Clock,
    hub::{HubProcess, Usage, program},
    limits::DEMO_PATIENCE,
    progress::Progress,
    report::Report,
};

/// Starts hubs and demonstrations in turn.
///
/// # Errors
/// When one of them does not start.
pub(super) async fn run(
    options: &Startup,
    rounds: u32,
    place: &Path,
    progress: &Progress,
) -> anyhow::Result<Report> {
    let parameters = [("rounds", rounds.into()), ("idle_seconds", options.idle_seconds.into())];
    let mut report = Report::new("startup", &parameters);
    for round in 0..rounds {
        if progress.is_stopped() {
            break;
        }
        let hub = HubProcess::start(&place.join(format!("hub-{round}")), &[]).await?;
        report.figure("hub ready on an empty store", "ms", hub.ready_ms);
        tokio::time::sleep(Duration::from_secs_f64(options.idle_seconds)).await;
        let usage = Usage::of(hub.pid())?;
        report.figure("hub idle, resident memory", "MiB", usage.resident_mib);
        report.figure("hub processor time until then", "s", usage.cpu_s);
        hub.stop().await?;
        play_demonstration(&mut report).await?;
    }
    Ok(report)
}

async fn play_demonstration(report: &mut Report) -> anyhow::Result<()> {
    let program = program("cercle")?;
    let clock = Clock::start();
    let playing = spawn_blocking(move || {
        let mut demo = std::process::Command::new(program);
        demo.args(["demo", "--once", "--json"]).stdin(Stdio::null()).output()
    });
    let played = timeout(DEMO_PATIENCE, playing).await.context("the demonstration took too long")???;
    report.figure("demonstration, whole process", "ms", clock.ms_since(0));
    ensure!(played.status.success(), "the demonstration failed: {}", String::from_utf8_lossy(&played.stdout));
    let shown: Value =
        serde_json::from_slice(&played.stdout).context("reading what the demonstration shows")?;
    let figure =
        |name: &str| shown[name].as_f64().with_context(|| format!("the demonstration shows no {name}"));
    report.figure("demonstration, first message", "ms", figure("first_message_ms")?);
    report.figure("demonstration, hub ready", "ms", figure("hub_ready_ms")?);
    let gaps = figure("gaps")?;
    if gaps > 0.0 {
        report.fault(format!("the demonstration shows {gaps} gaps"));
    }
    Ok(())
}
