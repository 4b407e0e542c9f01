//! The scenarios: each sets a stage, measures, counts, and reports.
//!
//! Those of raw clients take a [`Stage`] and play alternately on every system of the run; those of real
//! clients take a hub.

mod alert_broadcast;
mod attachments;
mod catch_up;
mod cold_reader;
mod commit_churn;
mod connections;
mod fan_out;
mod group_chat;
mod ingest;
mod load;
mod mixed_day;
mod round;
mod slow_readers;
mod startup;

use std::{path::Path, sync::Arc};

use anyhow::Context;

use crate::{
    arguments::{Arguments, Command, Scenario, Target},
    hub::{Hub, Usage},
    plan::Plan,
    progress::Progress,
    report::Report,
    system::{Kind, Skill, System},
};

/// Rounds of a scenario if the arguments do not say.
const ROUNDS: u32 = 3;

/// Runs the scenario that the arguments name, in a folder that is thrown away afterwards.
///
/// # Errors
/// When it cannot be run; what it finds is in the report.
pub(crate) async fn run(arguments: Arguments, progress: &Progress) -> anyhow::Result<Report> {
    let mut folder = tempfile::Builder::new();
    folder.prefix("cercle-loadtest-");
    let folder = match &arguments.target.folder {
        Some(parent) => folder.tempdir_in(parent),
        None => folder.tempdir(),
    };
    let folder = folder.context("no folder for the stores")?;
    let place = folder.path();
    let target = arguments.target;
    let (scenario, compares) = match arguments.command {
        Command::Run { scenario } | Command::Short(scenario) => (scenario, false),
        Command::Compare { scenario } => (scenario, true),
        Command::ReferenceHub { .. } => anyhow::bail!("the reference hub is no scenario"),
    };
    let mut others = arguments.with;
    if compares && others.is_empty() {
        others = Kind::OTHERS.to_vec();
    }
    if matches!(&scenario, Scenario::FanOut(options) if options.reference) {
        others.push(Kind::Reference);
    }
    let rounds = arguments.rounds.unwrap_or(ROUNDS);
    let stage = Stage { target: &target, others, rounds, progress };
    let mut report = match scenario {
        Scenario::IdleFleet(options) => Box::pin(connections::idle(&options, stage, place)).await,
        Scenario::ReconnectStorm(options) => Box::pin(connections::storm(&options, stage, place)).await,
        Scenario::FanOut(options) => Box::pin(fan_out::fan_out(&options, stage, place)).await,
        Scenario::OneToOne(options) => Box::pin(fan_out::one_to_one(&options, stage, place)).await,
        Scenario::ManyGroups(options) => Box::pin(fan_out::many_groups(&options, stage, place)).await,
        Scenario::DurableIngest(options) => Box::pin(ingest::run(&options, stage, place)).await,
        Scenario::ColdReader(options) => Box::pin(cold_reader::run(&options, stage, place)).await,
        Scenario::SlowReaders(options) => Box::pin(slow_readers::run(&options, stage, place)).await,
        Scenario::MixedDay(options) => Box::pin(mixed_day::run(&options, stage, place)).await,
        Scenario::CatchUp(options) => {
            with_hub(&stage, place, async |hub| catch_up::run(options, rounds, hub, place, progress).await)
                .await
        }
        Scenario::GroupChat(options) => {
            with_hub(&stage, place, async |hub| group_chat::run(options, hub, place, progress).await).await
        }
        Scenario::CommitChurn(options) => {
            with_hub(&stage, place, async |hub| commit_churn::run(options, hub, place, progress).await).await
        }
        Scenario::Attachments(options) => {
            with_hub(&stage, place, async |hub| {
                attachments::run(&options, rounds, hub, place, progress).await
            })
            .await
        }
        Scenario::AlertBroadcast(options) => {
            Box::pin(alert_broadcast::run(&options, &target, place, progress)).await
        }
        Scenario::Startup(options) => startup::run(&options, rounds, place, progress).await,
    }?;
    if progress.is_stopped() {
        report.interrupt();
    }
    Ok(report)
}

/// What the raw clients of a scenario play on.
struct Stage<'a> {
    target: &'a Target,
    others: Vec<Kind>,
    rounds: u32,
    progress: &'a Progress,
}

impl Stage<'_> {
    /// Starts the systems and makes the plan's devices and groups on each; the hub under test is the first.
    async fn set(
        &self,
        plan: &Plan,
        skill: Skill,
        place: &Path,
        report: &mut Report,
    ) -> anyhow::Result<Vec<Arc<System>>> {
        let (others, cannot) = Kind::who_can(&self.others, skill);
        let started = System::start_all(self.target, &others, place).await?;
        for skipped in cannot.into_iter().chain(started.skipped) {
            self.progress.stage(&format!("skipped: {skipped}"));
            report.skip(skipped);
        }
        let mut systems = Vec::new();
        for mut system in started.systems {
            self.progress.stage(&format!("setting the stage on {}", system.kind().name()));
            system.set(plan, self.progress).await?;
            systems.push(Arc::new(system));
        }
        Ok(systems)
    }

    /// Ends the systems and compares what they did.
    async fn finish(self, systems: Vec<Arc<System>>, mut report: Report) -> anyhow::Result<Report> {
        for system in systems {
            Arc::into_inner(system).context("a task still holds a system")?.stop().await?;
        }
        report.relate();
        Ok(report)
    }
}

async fn with_hub(
    stage: &Stage<'_>,
    place: &Path,
    scenario: impl AsyncFnOnce(&Hub) -> anyhow::Result<Report>,
) -> anyhow::Result<Report> {
    let hub = Hub::of(stage.target, place).await?;
    let mut report = Box::pin(scenario(&hub)).await?;
    for other in &stage.others {
        report.skip(format!("{}: real clients only talk to a hub of ours", other.name()));
    }
    hub.stop().await?;
    Ok(report)
}

/// Reports what the hub used between two readings, and for each delivery.
#[expect(clippy::cast_precision_loss, reason = "a count of messages is far below 2^52")]
fn report_usage(report: &mut Report, before: Option<Usage>, after: Option<Usage>, deliveries: u64) {
    let (Some(before), Some(after)) = (before, after) else { return };
    let cpu_s = after.cpu_s - before.cpu_s;
    report.figure("hub processor time", "s", cpu_s);
    if deliveries > 0 {
        report.figure("hub processor time per delivery", "µs", cpu_s * 1e6 / deliveries as f64);
    }
    report.figure("hub resident memory", "MiB", after.resident_mib);
}
