//! One load on one system, and what it cost.

use std::sync::Arc;

use crate::{
    clock::Clock,
    field::{Field, Load, Outcome, Stream},
    hub::Usage,
    progress::Progress,
    report::Report,
    system::System,
    traffic,
};

/// A load that was played.
pub(super) struct Round {
    pub(super) outcome: Outcome,
    usage: Option<(Usage, Usage)>,
    own_cpu_s: f64,
    bytes_read: u64,
}

/// Joins devices, plays a load, reads what the system used meanwhile.
///
/// # Errors
/// When the system or a client fails altogether.
pub(super) async fn play(
    system: &Arc<System>,
    devices: impl IntoIterator<Item = usize>,
    streams: &[Stream],
    load: &Load,
    progress: &Progress,
) -> anyhow::Result<Round> {
    let field = Field::join(system, devices, progress).await?;
    play_on(field, system, streams, load, progress).await
}

/// Plays a load on a field, reads what the system used meanwhile.
///
/// # Errors
/// When the system or a client fails altogether.
pub(super) async fn play_on(
    field: Field,
    system: &Arc<System>,
    streams: &[Stream],
    load: &Load,
    progress: &Progress,
) -> anyhow::Result<Round> {
    let (before, own_before) = (system.usage()?, Usage::of(std::process::id())?);
    let bytes_before = traffic::bytes_read();
    let outcome = field.play(streams, load, Clock::start(), progress).await?;
    let (after, own_after) = (system.usage()?, Usage::of(std::process::id())?);
    let own_cpu_s = own_after.cpu_s - own_before.cpu_s;
    let bytes_read = traffic::bytes_read() - bytes_before;
    Ok(Round { outcome, usage: before.zip(after), own_cpu_s, bytes_read })
}

/// Names of figures, by the kind of round: fixed rate, saturated.
const NAMES: [[&str; 2]; 7] = [
    ["deliveries per second, fixed rate", "deliveries per second, saturated"],
    ["hub CPU per delivery, fixed rate", "hub CPU per delivery, saturated"],
    ["hub resident memory, fixed rate", "hub resident memory, saturated"],
    ["bytes read per delivery, fixed rate", "bytes read per delivery, saturated"],
    ["generator CPU per delivery, fixed rate", "generator CPU per delivery, saturated"],
    ["due to accepted, fixed rate", "due to accepted, saturated"],
    ["due to delivered, fixed rate", "due to delivered, saturated"],
];

impl Round {
    /// Reports it as the system's round of this kind.
    #[expect(clippy::cast_precision_loss, reason = "a count of messages is far below 2^52")]
    pub(super) fn add_to(&self, report: &mut Report, system: &'static str, kind: &str) {
        let column = usize::from(kind == "saturated");
        let [rate, cpu, memory, bytes, own, accepting, delivering] = NAMES.map(|names| names[column]);
        let outcome = &self.outcome;
        report.count_of(system, &outcome.tally);
        let deliveries = (outcome.tally.delivered as f64).max(1.0);
        report.figure_of(system, rate, "1/s", deliveries / outcome.seconds.max(1e-6));
        if let Some((before, after)) = self.usage {
            report.figure_of(system, cpu, "µs", (after.cpu_s - before.cpu_s) * 1e6 / deliveries);
            report.figure_of(system, memory, "MiB", after.resident_mib);
        }
        report.figure_of(system, bytes, "B", self.bytes_read as f64 / deliveries);
        report.figure_of(system, own, "µs", self.own_cpu_s * 1e6 / deliveries);
        report.latency_of(system, accepting, &outcome.accepting);
        report.latency_of(system, delivering, &outcome.delivering);
    }

    /// Reports it as a round in which nobody listens.
    #[expect(clippy::cast_precision_loss, reason = "a count of messages is far below 2^52")]
    pub(super) fn add_ingest(&self, report: &mut Report, system: &'static str) {
        let outcome = &self.outcome;
        report.count_of(system, &outcome.tally);
        let accepted = (outcome.tally.accepted as f64).max(1.0);
        let rate = accepted / outcome.seconds.max(1e-6);
        report.figure_of(system, "messages accepted per second", "1/s", rate);
        if let Some((before, after)) = self.usage {
            let cpu_us = (after.cpu_s - before.cpu_s) * 1e6;
            report.figure_of(system, "hub CPU per accepted message", "µs", cpu_us / accepted);
        }
        report.latency_of(system, "sent to accepted", &outcome.accepting);
        self.add_memory(report, system);
    }

    /// Reports the system's memory at the end of the round.
    pub(super) fn add_memory(&self, report: &mut Report, system: &'static str) {
        if let Some((_, after)) = self.usage {
            report.figure_of(system, "hub resident memory", "MiB", after.resident_mib);
        }
    }

    /// Connections that were opened again.
    #[expect(clippy::cast_precision_loss, reason = "a count of connections is far below 2^52")]
    pub(super) const fn returned(&self) -> f64 {
        self.outcome.returned as f64
    }
}
