//! `slow-readers`: some members of a group do not read for as long as the load lasts, then read everything.
//! The others must not feel them, and they must lose nothing.

use std::path::Path;

use super::{Stage, round::play_on};
use crate::{
    arguments::SlowReaders,
    field::{Field, Load, Pace, Reading, Stream},
    plan::Plan,
    report::Report,
    system::Skill,
};

/// Plays the load twice a round: with everybody reading, and with some who do not.
///
/// # Errors
/// When a system or a client fails altogether.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times of a run")]
pub(super) async fn run(options: &SlowReaders, stage: Stage<'_>, place: &Path) -> anyhow::Result<Report> {
    let parameters = [
        ("members", options.members.into()),
        ("slow", options.slow.into()),
        ("bytes", options.bytes.into()),
        ("rate", options.rate.into()),
        ("seconds", options.seconds.into()),
        ("rounds", stage.rounds.into()),
    ];
    let mut report = Report::new("slow-readers", &parameters);
    let plan = Plan::apart(1, options.members as usize + 1);
    let streams = [Stream { group: 0, sender: 0, listeners: options.members as usize }];
    let load = Load {
        pace: Pace::Fixed { rate: options.rate / f64::from(options.members) },
        seconds: options.seconds,
        messages_max: u32::MAX,
        bytes: options.bytes,
    };
    let systems = stage.set(&plan, Skill::Patience, place, &mut report).await?;
    for round in 0..stage.rounds {
        for system in &systems {
            let name = system.kind().name();
            stage.progress.stage(&format!("round {} of {}: {name}", round + 1, stage.rounds));
            let field = Field::join(system, 0..plan.devices, stage.progress).await?;
            let live = play_on(field, system, &streams, &load, stage.progress).await?;
            report.count_of(name, &live.outcome.tally);
            report.latency_of(name, "due to delivered, nobody slow", &live.outcome.delivering);
            let mut field = Field::join(system, 0..plan.devices, stage.progress).await?;
            let until_us = (options.seconds * 1e6) as u64;
            for slow in 1..=options.slow.min(options.members) as usize {
                field.read(slow, Reading::Paused { until_us });
            }
            let slowed = play_on(field, system, &streams, &load, stage.progress).await?;
            report.count_of(name, &slowed.outcome.tally);
            report.latency_of(name, "due to delivered, beside slow readers", &slowed.outcome.delivering);
            report.latency_of(name, "due to delivered, the slow readers", &slowed.outcome.slow);
            report.figure_of(name, "slow readers that had to come back", "", slowed.returned());
            slowed.add_memory(&mut report, name);
            if stage.progress.is_stopped() {
                return stage.finish(systems, report).await;
            }
        }
    }
    stage.finish(systems, report).await
}
