//! The scenarios: each sets a stage, measures, counts, and reports.

mod catch_up;
mod commit_churn;
mod fan_out;
mod field;
mod group_chat;
mod load;
mod startup;

use anyhow::Context;

use crate::{
    arguments::{Arguments, Scenario, Target},
    hub::{Hub, Usage},
    report::Report,
};

/// Runs the scenario that the arguments name, in a folder that is thrown away afterwards.
///
/// # Errors
/// When it cannot be run; what it finds is in the report.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let mut folder = tempfile::Builder::new();
    folder.prefix("cercle-loadtest-");
    let folder = match &arguments.target.folder {
        Some(parent) => folder.tempdir_in(parent),
        None => folder.tempdir(),
    };
    let folder = folder.context("no folder for the stores")?;
    let place = folder.path();
    let target = arguments.target;
    match arguments.scenario {
        Scenario::CatchUp(options) => {
            with_hub(&target, place, async |hub| catch_up::run(options, hub, place).await).await
        }
        Scenario::GroupChat(options) => {
            with_hub(&target, place, async |hub| group_chat::run(options, hub, place).await).await
        }
        Scenario::CommitChurn(options) => {
            with_hub(&target, place, async |hub| commit_churn::run(options, hub, place).await).await
        }
        Scenario::FanOut(options) => {
            with_hub(&target, place, async |hub| fan_out::run(options, hub, place).await).await
        }
        Scenario::ReferenceHub { .. } => anyhow::bail!("the reference hub is no scenario"),
        Scenario::Startup(options) => startup::run(options, place).await,
    }
}

async fn with_hub(
    target: &Target,
    place: &std::path::Path,
    scenario: impl AsyncFnOnce(&Hub) -> anyhow::Result<Report>,
) -> anyhow::Result<Report> {
    let hub = Hub::of(target, place).await?;
    let report = Box::pin(scenario(&hub)).await?;
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
