//! `fan-out`: one raw sender to N raw members in each of G groups, at a fixed rate and at saturation,
//! alternating with the reference hub that does nothing else.

use std::{path::Path, time::Duration};

use anyhow::Context;
use tokio::time::timeout;

use super::field::{Field, Load, Outcome};
use crate::{
    arguments::FanOut,
    clock::Clock,
    hub::{Hub, ReferenceProcess, Usage},
    raw::crowd::Crowd,
    report::Report,
    verdict::Tally,
};

/// Time beyond the planned one that a round may take before it counts as stuck.
const ROUND_PATIENCE: Duration = Duration::from_secs(120);

/// Sets the groups up once, then alternates the rounds.
///
/// # Errors
/// When a hub or a client fails altogether.
pub(super) async fn run(options: FanOut, hub: &Hub, place: &Path) -> anyhow::Result<Report> {
    let mut report = Report::new(
        "fan-out",
        &[
            ("groups", options.groups.into()),
            ("members", options.members.into()),
            ("bytes", options.bytes.into()),
            ("rate", options.rate.into()),
            ("seconds", options.seconds.into()),
            ("rounds", options.rounds.into()),
            ("reference", options.reference.into()),
        ],
    );
    let clock = Clock::start();
    let per_group = options.members as usize + 1;
    let crowd = Crowd::enrol(hub, per_group * options.groups as usize, place).await?;
    let mut groups = Vec::new();
    for group in 0..options.groups as usize {
        let members: Vec<usize> = (group * per_group..(group + 1) * per_group).collect();
        groups.push(crowd.found(&members).await?);
    }
    let (address, devices) = crowd.founded().await;
    let reference = match (options.reference, hub.data()) {
        (true, Some(data)) => Some(ReferenceProcess::start(data).await?),
        (true, None) => anyhow::bail!("--reference needs --self-hosted: it borrows the hub's certificate"),
        (false, _) => None,
    };
    for _ in 0..options.rounds {
        for saturate in [false, true] {
            let load = Load::of(&options, saturate);
            let field = Field::of_hub(&address, &devices, &groups, per_group).await?;
            let ours = round(field, &load, clock, || hub.usage()).await?;
            report.count(&ours.tally);
            let ours = ours.add_to(&mut report, if saturate { SATURATED } else { FIXED });
            let Some(reference) = &reference else { continue };
            let field = Field::of_reference(&reference.address(hub)?, options.groups, per_group).await?;
            let theirs = round(field, &load, clock, || Usage::of(reference.pid()).map(Some)).await?;
            let theirs = theirs.add_to(&mut report, if saturate { BARE_SATURATED } else { BARE_FIXED });
            if let (Some(ours), Some(theirs)) = (ours, theirs) {
                let name = if saturate {
                    "CPU ratio to reference, saturated"
                } else {
                    "CPU ratio to reference, fixed rate"
                };
                report.figure(name, "×", ours / theirs);
            }
        }
    }
    Ok(report)
}

/// Names of the figures of one kind of round.
struct Names {
    cpu: &'static str,
    rate: &'static str,
    latency: &'static str,
}

const FIXED: Names = Names {
    cpu: "hub CPU per delivery, fixed rate",
    rate: "deliveries per second, fixed rate",
    latency: "due to delivered, fixed rate",
};
const SATURATED: Names = Names {
    cpu: "hub CPU per delivery, saturated",
    rate: "deliveries per second, saturated",
    latency: "due to delivered, saturated",
};
const BARE_FIXED: Names = Names {
    cpu: "reference CPU per delivery, fixed rate",
    rate: "reference deliveries per second, fixed",
    latency: "reference: due to delivered, fixed",
};
const BARE_SATURATED: Names = Names {
    cpu: "reference CPU per delivery, saturated",
    rate: "reference deliveries per second, satur.",
    latency: "reference: due to delivered, saturated",
};

/// One round and what it cost.
struct Round {
    outcome: Outcome,
    tally: Tally,
    cpu_s: Option<f64>,
}

async fn round(
    field: Field,
    load: &Load,
    clock: Clock,
    usage: impl Fn() -> anyhow::Result<Option<Usage>>,
) -> anyhow::Result<Round> {
    let before = usage()?;
    let patience = Duration::from_secs_f64(load.seconds) + ROUND_PATIENCE;
    let outcome = timeout(patience, field.play(load, clock)).await.context("a round is stuck")??;
    let after = usage()?;
    let cpu_s = before.zip(after).map(|(before, after)| after.cpu_s - before.cpu_s);
    Ok(Round { tally: outcome.tally.clone(), outcome, cpu_s })
}

impl Round {
    /// Reports the round; returns the processor time for each delivery, µs.
    #[expect(clippy::cast_precision_loss, reason = "a count of messages is far below 2^52")]
    fn add_to(self, report: &mut Report, names: Names) -> Option<f64> {
        let deliveries = self.outcome.tally.delivered as f64;
        report.figure(names.rate, "1/s", deliveries / self.outcome.seconds);
        report.latency(names.latency, &self.outcome.latency);
        let cpu_us = self.cpu_s.map(|cpu_s| cpu_s * 1e6 / deliveries.max(1.0));
        if let Some(cpu_us) = cpu_us {
            report.figure(names.cpu, "µs", cpu_us);
        }
        cpu_us
    }
}
