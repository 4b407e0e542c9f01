//! What a scenario found: the verdict, figures, latencies; as a table or as one JSON object.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    latency::{Distribution, Latency},
    verdict::Tally,
};

/// The outcome of one scenario.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    scenario: &'static str,
    parameters: Map<String, Value>,
    tally: Tally,
    /// Further things that went wrong, each in a sentence.
    faults: Vec<String>,
    figures: Vec<Figure>,
    latencies: Vec<NamedLatency>,
}

/// One measured quantity, once for each round.
#[derive(Debug, Serialize)]
struct Figure {
    name: &'static str,
    unit: &'static str,
    median: f64,
    values: Vec<f64>,
}

#[derive(Debug, Serialize)]
struct NamedLatency {
    name: &'static str,
    #[serde(flatten)]
    distribution: Distribution,
}

impl Report {
    /// An empty report of a scenario with these parameters.
    pub(crate) fn new(scenario: &'static str, parameters: &[(&str, Value)]) -> Self {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        Self {
            scenario,
            parameters: parameters.collect(),
            tally: Tally::default(),
            faults: Vec::new(),
            figures: Vec::new(),
            latencies: Vec::new(),
        }
    }

    /// Adds what was counted.
    pub(crate) fn count(&mut self, tally: &Tally) {
        self.tally.add(tally);
    }

    /// Adds something that went wrong beside the count.
    pub(crate) fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    /// Adds a value; values of the same name are rounds.
    pub(crate) fn figure(&mut self, name: &'static str, unit: &'static str, value: f64) {
        let found = self.figures.iter().position(|figure| figure.name == name);
        let place = found.unwrap_or_else(|| {
            self.figures.push(Figure { name, unit, median: value, values: Vec::new() });
            self.figures.len() - 1
        });
        let figure = &mut self.figures[place];
        figure.values.push(value);
        figure.median = median(&figure.values);
    }

    /// Adds latencies.
    pub(crate) fn latency(&mut self, name: &'static str, latency: &Latency) {
        self.latencies.push(NamedLatency { name, distribution: latency.distribution() });
    }

    /// Everything that was sent arrived once, in order, readable, and nothing else went wrong.
    pub(crate) fn is_clean(&self) -> bool {
        self.tally.is_clean() && self.faults.is_empty()
    }

    /// One line of JSON.
    pub(crate) fn to_json(&self) -> String {
        let mut value = serde_json::to_value(self).expect("a report has only text, numbers and lists");
        value["clean"] = self.is_clean().into();
        format!("{value}\n")
    }

    /// A table for a person.
    pub(crate) fn to_table(&self) -> String {
        let mut out = String::new();
        let parameters: Vec<_> =
            self.parameters.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let verdict = if self.is_clean() { "clean" } else { "NOT CLEAN" };
        // Writing into a `String` cannot fail.
        let _ = writeln!(out, "{}: {verdict} ({})", self.scenario, parameters.join(", "));
        let _ = writeln!(out, "  {}", self.tally);
        for fault in &self.faults {
            let _ = writeln!(out, "  fault: {fault}");
        }
        for figure in &self.figures {
            let _ = writeln!(out, "{figure}");
        }
        if !self.latencies.is_empty() {
            let heads = ["latency, ms", "count", "p50", "p90", "p99", "max"];
            let [name, count, p50, p90, p99, max] = heads;
            let _ = writeln!(out, "  {name:<32}{count:>9}{p50:>10}{p90:>10}{p99:>10}{max:>10}");
        }
        for NamedLatency { name, distribution: d } in &self.latencies {
            let _ = writeln!(
                out,
                "  {name:<32}{:>9}{:>10.1}{:>10.1}{:>10.1}{:>10.1}",
                d.count, d.p50_ms, d.p90_ms, d.p99_ms, d.max_ms
            );
        }
        out
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = if self.unit == "s" { 2 } else { 1 };
        write!(f, "  {:<42}{:>10.digits$} {}", self.name, self.median, self.unit)?;
        if self.values.len() > 1 {
            let rounds: Vec<_> = self.values.iter().map(|value| format!("{value:.digits$}")).collect();
            write!(f, "  (median of {})", rounds.join(", "))?;
        }
        Ok(())
    }
}

/// The value in the middle, or the mean of the two there.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_of_one_figure_are_shown_by_their_median() {
        let mut report = Report::new("test", &[("rounds", 3.into())]);
        for value in [9.0, 1.0, 2.0] {
            report.figure("time", "ms", value);
        }
        assert!(report.to_table().contains("2.0 ms  (median of 9.0, 1.0, 2.0)"), "{}", report.to_table());
        let json: Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(json["figures"][0]["median"], 2.0);
        assert_eq!(json["clean"], true);
        assert!((median(&[1.0, 2.0]) - 1.5).abs() < f64::EPSILON);
    }

    #[test]
    fn one_lost_message_or_one_fault_makes_the_report_unclean() {
        let mut lost = Report::new("test", &[]);
        lost.count(&Tally { lost: 1, ..Tally::default() });
        assert!(!lost.is_clean() && lost.to_table().contains("NOT CLEAN"));
        let mut faulty = Report::new("test", &[]);
        faulty.fault("two members disagree".to_owned());
        assert!(!faulty.is_clean());
    }
}
