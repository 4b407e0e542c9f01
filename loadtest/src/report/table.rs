//! The report as a table for a person.

use std::fmt::Write;

use super::{CERCLE, Figure, NamedLatency, Ratio, Report};

impl Report {
    /// A table for a person.
    pub(crate) fn to_table(&self) -> String {
        let mut out = String::new();
        let verdict = if self.is_clean() { "clean" } else { "NOT CLEAN" };
        let interrupted = if self.interrupted { ", interrupted" } else { "" };
        // Writing into a `String` cannot fail.
        let _ = writeln!(out, "{}: {verdict}{interrupted} ({})", self.scenario, self.to_parameters());
        let _ = writeln!(out, "  {}", self.tally);
        for other in &self.other_tallies {
            let _ = writeln!(out, "  {}: {}", other.system, other.tally);
        }
        for fault in &self.faults {
            let _ = writeln!(out, "  fault: {fault}");
        }
        for skipped in &self.skipped {
            let _ = writeln!(out, "  skipped: {skipped}");
        }
        for figure in &self.figures {
            let _ = writeln!(out, "{figure}");
        }
        if !self.latencies.is_empty() {
            let heads = ["latency, ms", "count", "p50", "p90", "p99", "p99.9", "max"];
            let [name, count, p50, p90, p99, p999, max] = heads;
            let _ = writeln!(out, "  {name:<46}{count:>9}{p50:>9}{p90:>9}{p99:>9}{p999:>9}{max:>9}");
        }
        for latency in &self.latencies {
            let _ = writeln!(out, "{latency}");
        }
        for ratio in &self.ratios {
            let _ = writeln!(out, "{ratio}");
        }
        for judgement in &self.budgets {
            let verdict = if judgement.within { "within" } else { "EXCEEDED" };
            let value =
                judgement.value.map_or_else(|| "not measured".to_owned(), |value| format!("{value:.2}"));
            let _ = writeln!(out, "  budget {verdict}: {} (is {value})", judgement.budget);
        }
        out
    }
}

/// The name of a row: the system stands in front if it is not the hub under test.
fn label(system: &str, name: &str) -> String {
    if system == CERCLE { name.to_owned() } else { format!("{system}: {name}") }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = if self.unit == "s" { 2 } else { 1 };
        let label = label(self.system, self.name);
        write!(f, "  {label:<46}{:>10.digits$} {}", self.median, self.unit)?;
        if self.values.len() > 1 {
            let rounds: Vec<_> = self.values.iter().map(|value| format!("{value:.digits$}")).collect();
            write!(f, "  (median of {})", rounds.join(", "))?;
        }
        Ok(())
    }
}

impl std::fmt::Display for NamedLatency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (label, d) = (label(self.system, self.name), &self.all);
        write!(
            f,
            "  {label:<46}{:>9}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>9.2}",
            d.count, d.p50_ms, d.p90_ms, d.p99_ms, d.p999_ms, d.max_ms
        )?;
        if self.rounds.len() > 1 {
            write!(f, "  (rounds: p50 {:.2}, p99 {:.2})", self.median_p50_ms, self.median_p99_ms)?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Ratio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let label = format!("{} / {}: {}", CERCLE, self.to, self.name);
        write!(f, "  {label:<56}{:>8.2} x", self.median)?;
        if self.values.len() > 1 {
            let rounds: Vec<_> = self.values.iter().map(|value| format!("{value:.2}")).collect();
            write!(f, "  (median of {})", rounds.join(", "))?;
        }
        Ok(())
    }
}
