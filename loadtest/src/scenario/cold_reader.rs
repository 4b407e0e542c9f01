//! `cold-reader`: one raw device was away while others wrote into its groups; how fast does the system hand
//! it everything? The raw sibling of `catch-up`, for the system's own speed.

use std::{path::Path, sync::Arc};

use anyhow::{Context, bail};
use tokio::time::timeout;

use super::{Stage, round::play};
use crate::{
    arguments::ColdReader,
    clock::Clock,
    field::{Load, Pace, Stream},
    limits::ARRIVAL_PATIENCE,
    plan::Plan,
    report::Report,
    system::{From, Heard, Skill, System},
    verdict::Tally,
};

/// The device that is away.
const READER: usize = 0;

/// Writes while the reader is away, then lets it read.
///
/// # Errors
/// When a system or a client fails altogether.
pub(super) async fn run(options: &ColdReader, stage: Stage<'_>, place: &Path) -> anyhow::Result<Report> {
    let parameters = [
        ("messages", options.messages.into()),
        ("groups", options.groups.into()),
        ("bytes", options.bytes.into()),
        ("window", options.window.into()),
        ("rounds", stage.rounds.into()),
    ];
    let mut report = Report::new("cold-reader", &parameters);
    let groups = options.groups as usize;
    // Device 1 founds and writes every group; the reader is in all of them.
    let plan = Plan { devices: 2, groups: vec![vec![1, READER]; groups], durable: true, alerts: false };
    let systems = stage.set(&plan, Skill::Store, place, &mut report).await?;
    let streams: Vec<_> = (0..groups).map(|group| Stream { group, sender: 1, listeners: 0 }).collect();
    let each = options.messages.div_ceil(options.groups);
    // The window is of one sender: it is spread over the groups.
    let window = (options.window / options.groups).max(1);
    let load = Load {
        pace: Pace::Accepted { window },
        seconds: f64::from(u32::MAX),
        messages_max: each,
        bytes: options.bytes,
    };
    for round in 0..stage.rounds {
        for system in &systems {
            let name = system.kind().name();
            stage.progress.stage(&format!("round {} of {}: {name}", round + 1, stage.rounds));
            let written = play(system, [1], &streams, &load, stage.progress).await?;
            read(system, &written.outcome.tally, groups, &mut report).await?;
            if stage.progress.is_stopped() {
                return stage.finish(systems, report).await;
            }
        }
    }
    stage.finish(systems, report).await
}

/// Joins the reader and counts what it gets.
#[expect(clippy::cast_precision_loss, reason = "a count of messages is far below 2^52")]
async fn read(
    system: &Arc<System>,
    written: &Tally,
    groups: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let name = system.kind().name();
    let (clock, before) = (Clock::start(), system.usage()?);
    let mut link = system.join(READER, From::Acknowledged).await?;
    let (mut heard, mut newest, mut tally) = (Heard::default(), vec![0; groups], written.clone());
    tally.expected = written.sent;
    let first_us = clock.now_us();
    let reading = async {
        while tally.delivered < tally.expected {
            if !link.hear(&mut heard).await? {
                bail!("{name} closed the reader's connection");
            }
            tally.out_of_order += std::mem::take(&mut heard.misnumbered);
            for payload in heard.payloads.drain(..) {
                let newest = newest.get_mut(payload.stream as usize).context("a message of another run")?;
                tally.duplicated += u64::from(payload.number <= *newest);
                tally.out_of_order += u64::from(payload.number > *newest + 1);
                *newest = payload.number;
                tally.delivered += 1;
            }
        }
        anyhow::Ok(())
    };
    if let Ok(read) = timeout(ARRIVAL_PATIENCE, reading).await {
        read?;
    }
    let seconds = clock.ms_since(first_us) / 1e3;
    tally.lost = tally.expected.saturating_sub(tally.delivered) + (tally.sent - tally.accepted);
    report.count_of(name, &tally);
    let delivered = tally.delivered as f64;
    report.figure_of(name, "entries read per second", "1/s", delivered / seconds.max(1e-6));
    report.figure_of(name, "caught up after joining", "ms", seconds * 1e3);
    if let Some((before, after)) = before.zip(system.usage()?) {
        let cpu_us = (after.cpu_s - before.cpu_s) * 1e6;
        report.figure_of(name, "hub CPU per entry read", "µs", cpu_us / delivered.max(1.0));
        report.figure_of(name, "hub resident memory", "MiB", after.resident_mib);
    }
    // The acknowledgements leave while the link waits, so that the next round begins behind them.
    system.has_read(tally.delivered);
    link.settle().await
}
