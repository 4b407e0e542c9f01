//! `durable-ingest`: one sender with a full window of messages on their way, nobody there to read them; how
//! fast does the system take responsibility for them? Beside it, what the disk alone would do.

use std::{fs::File, io::Write, path::Path};

use anyhow::Context;
use tokio::task::spawn_blocking;

use super::{Stage, round::play};
use crate::{
    arguments::DurableIngest,
    clock::Clock,
    field::{Load, Pace, Stream},
    plan::Plan,
    report::Report,
    system::Skill,
};

/// Name of the disk in reports.
const DISK: &str = "disk";

/// Lets the sender of each group write as fast as it is told that its messages are safe.
///
/// # Errors
/// When a system or the sender fails altogether.
pub(super) async fn run(options: &DurableIngest, stage: Stage<'_>, place: &Path) -> anyhow::Result<Report> {
    let parameters = [
        ("senders", options.senders.into()),
        ("window", options.window.into()),
        ("bytes", options.bytes.into()),
        ("seconds", options.seconds.into()),
        ("rounds", stage.rounds.into()),
    ];
    let mut report = Report::new("durable-ingest", &parameters);
    let plan = Plan::apart(options.senders as usize, 2).safe();
    let stream = |(group, members): (usize, &Vec<usize>)| Stream { group, sender: members[0], listeners: 0 };
    let streams: Vec<_> = plan.groups.iter().enumerate().map(stream).collect();
    let systems = stage.set(&plan, Skill::Safe, place, &mut report).await?;
    let load = Load {
        pace: Pace::Accepted { window: options.window },
        seconds: options.seconds,
        messages_max: u32::MAX,
        bytes: options.bytes,
    };
    for round in 0..stage.rounds {
        for system in &systems {
            let name = system.kind().name();
            stage.progress.stage(&format!("round {} of {}: {name}", round + 1, stage.rounds));
            let senders = streams.iter().map(|stream| stream.sender);
            let played = play(system, senders, &streams, &load, stage.progress).await?;
            played.add_ingest(&mut report, name);
        }
        let (file, window, bytes) = (place.join("disk"), options.window, options.bytes);
        let seconds = options.seconds.min(2.0);
        let disk = spawn_blocking(move || Disk::measure(&file, window, bytes, seconds)).await??;
        report.figure_of(DISK, "messages accepted per second", "1/s", disk.messages_per_second);
        report.figure_of(DISK, "time of one fdatasync, median", "ms", disk.sync_ms);
        if stage.progress.is_stopped() {
            break;
        }
    }
    stage.finish(systems, report).await
}

/// What a file does that is appended to in batches of a full window, with one `fdatasync` each.
struct Disk {
    messages_per_second: f64,
    sync_ms: f64,
}

impl Disk {
    fn measure(path: &Path, window: u32, bytes: usize, seconds: f64) -> anyhow::Result<Self> {
        let mut file = File::create(path).context("the file of the disk's limit")?;
        let batch = vec![0xab; bytes * window as usize];
        let (clock, mut syncs) = (Clock::start(), Vec::new());
        while clock.ms_since(0) < seconds * 1e3 || syncs.is_empty() {
            file.write_all(&batch)?;
            let before = clock.now_us();
            file.sync_data()?;
            syncs.push(clock.ms_since(before));
        }
        let took_s = clock.ms_since(0) / 1e3;
        let messages = f64::from(window) * f64::from(u32::try_from(syncs.len())?);
        Ok(Self { messages_per_second: messages / took_s, sync_ms: crate::report::median(&syncs) })
    }
}
