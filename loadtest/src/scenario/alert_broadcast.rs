//! `alert-broadcast`: an alert to many devices, most of them raw, some real clients, one in five away. How long
//! until each has it, is rung and has acknowledged, what that costs the hub, whether the wake-ups are those of the
//! plan, and whether the hub's tally is right to the last one. On request the hub is killed in the middle.
//!
//! - `stage`: a hub with a push service, devices and groups; the alert itself;
//! - `ears`: what each device does that is connected;
//! - `away`: those that are woken and come;
//! - `account`: the hub's report and the push service's, against what happened.

mod account;
mod away;
mod ears;
mod stage;

use std::path::Path;

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::report_usage;
use crate::{
    arguments::{AlertBroadcast, Target},
    clock::{Clock, ms},
    fleet::dismiss,
    latency::Latency,
    limits::{ARRIVAL_PATIENCE, COMMANDS_MAX},
    progress::Progress,
    report::Report,
    verdict::Tally,
};
use ears::{Signals, Told, What};
use stage::Stage;

/// When what happened on the devices that are connected, microseconds after the alert was written.
#[derive(Default)]
struct Heard {
    delivered: Latency,
    delivered_real: Latency,
    acknowledged: Latency,
    deliveries: u64,
    acknowledgements: u64,
    repeated: u64,
    killed_after: Option<u64>,
}

/// Sets the stage, alerts once, and counts.
///
/// # Errors
/// When the hub is not one of our own, or a client fails altogether.
pub(super) async fn run(
    options: &AlertBroadcast,
    target: &Target,
    place: &Path,
    progress: &Progress,
) -> anyhow::Result<Report> {
    let parameters =
        [("devices", options.devices.into()), ("real", options.real.into()), ("kill", options.kill.into())];
    let mut report = Report::new("alert-broadcast", &parameters);
    let clock = Clock::start();
    let mut stage = Box::pin(Stage::set(options, target, place, clock, progress)).await?;
    let signals = Signals::new();
    let (tell, mut told) = mpsc::channel(COMMANDS_MAX);
    let mut listening = JoinSet::new();
    Box::pin(stage.listen(&signals, &tell, clock, &mut listening)).await?;
    drop(tell);

    progress.stage("alerting");
    let before = stage.hub.usage()?;
    let began = stage::Began::now(clock);
    let alert = Box::pin(stage.alert(&signals)).await?;
    let opened_us = clock.now_us();
    let heard = Box::pin(hear(options, &mut stage, &signals, &mut told, &mut listening, began.us)).await?;
    let acknowledged_us = clock.now_us();
    let after = stage.hub.usage()?;

    progress.stage("waking and counting");
    let came = away::come(&stage, alert).await?;
    let account = account::settle(&stage, alert, began, options.kill).await?;
    let _ = signals.over.send(true);
    while let Some(ended) = listening.join_next().await {
        if let Ok(Err(error)) = ended {
            report.fault(format!("a device: {error:#}"));
        }
    }

    report.figure("alert opened on the hub", "ms", ms(opened_us - began.us));
    report.figure("everybody connected has acknowledged", "ms", ms(acknowledged_us - began.us));
    report.latency("written to delivered", &heard.delivered);
    report.latency("written to stored by a real client", &heard.delivered_real);
    report.latency("written to acknowledged", &heard.acknowledged);
    if heard.killed_after.is_none() {
        report_usage(&mut report, before, after, heard.deliveries);
    }
    count(&mut report, options, &stage, &heard, came);
    account.check(&mut report, &stage, options.kill);
    if options.kill && heard.killed_after.is_none() {
        report.fault("the hub was to be killed, and everything was over before".to_owned());
    }
    stage.check_stores(&mut report, alert).await?;
    dismiss(std::mem::take(&mut stage.real)).await;
    stage.hub.stop().await?;
    Ok(report)
}

/// Takes what devices tell until everybody connected has acknowledged, or it takes too long; kills the hub in the
/// middle if that is asked for.
async fn hear(
    options: &AlertBroadcast,
    stage: &mut Stage,
    signals: &Signals,
    told: &mut mpsc::Receiver<Told>,
    listening: &mut JoinSet<anyhow::Result<()>>,
    began_us: u64,
) -> anyhow::Result<Heard> {
    let mut heard = Heard::default();
    let everybody = stage.connected() as u64;
    let late = Instant::now() + ARRIVAL_PATIENCE;
    while heard.acknowledgements < everybody {
        let next = tokio::select! {
            biased;
            // A real client ends when it has acknowledged; a device that fails for good fails the run.
            Some(ended) = listening.join_next() => { ended??; continue }
            next = timeout_at(late, told.recv()) => next,
        };
        let Ok(Some(Told { us, what })) = next else { break };
        let us = us.saturating_sub(began_us);
        match what {
            What::Delivered { real } => {
                heard.deliveries += 1;
                heard.delivered.record(us);
                if real {
                    heard.delivered_real.record(us);
                }
            }
            What::Acknowledged => {
                heard.acknowledgements += 1;
                heard.acknowledged.record(us);
            }
            What::Repeated => heard.repeated += 1,
        }
        if options.kill && heard.killed_after.is_none() && heard.acknowledgements * 2 >= everybody {
            heard.killed_after = Some(heard.acknowledgements);
            stage.hub.kill_and_restart().await?;
            signals.life.send_modify(|life| *life += 1);
        }
    }
    Ok(heard)
}

/// Deliveries to devices that were connected, and to those that came.
fn count(report: &mut Report, options: &AlertBroadcast, stage: &Stage, heard: &Heard, came: u64) {
    // The author has his own message without a delivery.
    let (expected, delivered) = (u64::from(options.devices) - 1, heard.deliveries + came);
    let messages = stage.messages() as u64;
    report.count(&Tally {
        sent: messages,
        accepted: messages,
        expected,
        delivered,
        lost: expected.saturating_sub(delivered),
        duplicated: heard.repeated,
        ..Tally::default()
    });
    let (connected, acknowledged) = (stage.connected() as u64, heard.acknowledgements);
    if acknowledged != connected {
        report.fault(format!("{acknowledged} of {connected} connected devices could acknowledge"));
    }
}

/// A switch that every device watches.
fn switch<T>(value: T) -> watch::Sender<T> {
    watch::channel(value).0
}
