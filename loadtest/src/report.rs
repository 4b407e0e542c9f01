//! What a scenario found: the verdict, figures, latencies, each by system; as a table or as one JSON object.

mod budget;
mod html;
mod table;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    clock::ms,
    latency::{Distribution, Latency},
    verdict::Tally,
};

pub(crate) use budget::Budgets;
use budget::Judgement;

/// Name of the hub under test in reports.
pub(crate) const CERCLE: &str = "cercle";

/// The outcome of one scenario.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    scenario: &'static str,
    parameters: Map<String, Value>,
    tally: Tally,
    /// Counts of the systems that were compared with.
    other_tallies: Vec<NamedTally>,
    /// Further things that went wrong, each in a sentence.
    faults: Vec<String>,
    /// Systems that were asked for and are not here, each with the reason.
    skipped: Vec<String>,
    figures: Vec<Figure>,
    latencies: Vec<NamedLatency>,
    /// The hub under test, divided by another system: medians of the rounds' ratios.
    ratios: Vec<Ratio>,
    budgets: Vec<Judgement>,
    interrupted: bool,
}

#[derive(Debug, Serialize)]
struct NamedTally {
    system: &'static str,
    #[serde(flatten)]
    tally: Tally,
}

/// One measured quantity, once for each round.
#[derive(Debug, Serialize)]
struct Figure {
    system: &'static str,
    name: &'static str,
    unit: &'static str,
    median: f64,
    values: Vec<f64>,
}

/// Latencies of one kind, over all rounds.
#[derive(Debug, Serialize)]
struct NamedLatency {
    system: &'static str,
    name: &'static str,
    /// Quantiles of all rounds together.
    #[serde(flatten)]
    all: Distribution,
    /// Medians of the rounds' own quantiles: a round with a stall does not decide them alone.
    median_p50_ms: f64,
    median_p99_ms: f64,
    rounds: Vec<Distribution>,
    /// Upper bounds of 100 equal shares of all latencies, ms: what the plot is drawn from.
    percentiles_ms: Vec<f64>,
    #[serde(skip)]
    merged: Latency,
}

/// How a figure of the hub under test relates to the same of another system.
#[derive(Debug, Serialize)]
struct Ratio {
    name: &'static str,
    to: &'static str,
    median: f64,
    values: Vec<f64>,
}

impl Report {
    /// An empty report of a scenario with these parameters.
    pub(crate) fn new(scenario: &'static str, parameters: &[(&str, Value)]) -> Self {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        Self {
            scenario,
            parameters: parameters.collect(),
            tally: Tally::default(),
            other_tallies: Vec::new(),
            faults: Vec::new(),
            skipped: Vec::new(),
            figures: Vec::new(),
            latencies: Vec::new(),
            ratios: Vec::new(),
            budgets: Vec::new(),
            interrupted: false,
        }
    }

    /// Adds what was counted.
    pub(crate) fn count(&mut self, tally: &Tally) {
        self.tally.add(tally);
    }

    /// Adds what was counted on a system.
    pub(crate) fn count_of(&mut self, system: &'static str, tally: &Tally) {
        if system == CERCLE {
            return self.count(tally);
        }
        match self.other_tallies.iter_mut().find(|other| other.system == system) {
            Some(other) => other.tally.add(tally),
            None => self.other_tallies.push(NamedTally { system, tally: tally.clone() }),
        }
    }

    /// Adds something that went wrong beside the count.
    pub(crate) fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    /// Names a system that was asked for and could not take part.
    pub(crate) fn skip(&mut self, what: String) {
        self.skipped.push(what);
    }

    /// Says that the run was stopped before its end.
    pub(crate) const fn interrupt(&mut self) {
        self.interrupted = true;
    }

    /// Adds a value of the hub under test; values of the same name are rounds.
    pub(crate) fn figure(&mut self, name: &'static str, unit: &'static str, value: f64) {
        self.figure_of(CERCLE, name, unit, value);
    }

    /// Adds a value of a system; values of the same name are rounds.
    pub(crate) fn figure_of(
        &mut self,
        system: &'static str,
        name: &'static str,
        unit: &'static str,
        value: f64,
    ) {
        let found = self.figures.iter().position(|figure| figure.name == name && figure.system == system);
        let place = found.unwrap_or_else(|| {
            self.figures.push(Figure { system, name, unit, median: value, values: Vec::new() });
            self.figures.len() - 1
        });
        let figure = &mut self.figures[place];
        figure.values.push(value);
        figure.median = median(&figure.values);
    }

    /// Adds latencies of the hub under test.
    pub(crate) fn latency(&mut self, name: &'static str, latency: &Latency) {
        self.latency_of(CERCLE, name, latency);
    }

    /// Adds latencies of a system; those of the same name are rounds.
    pub(crate) fn latency_of(&mut self, system: &'static str, name: &'static str, latency: &Latency) {
        if latency.is_empty() {
            return;
        }
        let found = self.latencies.iter().position(|known| known.name == name && known.system == system);
        let place = found.unwrap_or_else(|| {
            self.latencies.push(NamedLatency::new(system, name));
            self.latencies.len() - 1
        });
        self.latencies[place].add(latency);
    }

    /// Compares the hub under test with the others, round by round. Called once, at the end.
    pub(crate) fn relate(&mut self) {
        // What the generator itself takes says nothing about the systems.
        let told = |figure: &&Figure| figure.system == CERCLE && !figure.name.starts_with("generator");
        let ours = self.figures.iter().filter(told);
        let mut ratios = Vec::new();
        for ours in ours {
            let same = |other: &&Figure| other.name == ours.name && other.system != CERCLE;
            for other in self.figures.iter().filter(same) {
                let pairs = ours.values.iter().zip(&other.values);
                let values = pairs.map(|(ours, theirs)| ours / theirs);
                ratios.extend(Ratio::new(ours.name, other.system, values.collect()));
            }
        }
        for ours in self.latencies.iter().filter(|latency| latency.system == CERCLE) {
            let same = |other: &&NamedLatency| other.name == ours.name && other.system != CERCLE;
            for other in self.latencies.iter().filter(same) {
                let pairs = || ours.rounds.iter().zip(&other.rounds);
                let p50 = pairs().map(|(ours, theirs)| ours.p50_ms / theirs.p50_ms).collect();
                let p99 = pairs().map(|(ours, theirs)| ours.p99_ms / theirs.p99_ms).collect();
                let [name_p50, name_p99] = quantile_names(ours.name);
                ratios.extend(Ratio::new(name_p50, other.system, p50));
                ratios.extend(Ratio::new(name_p99, other.system, p99));
            }
        }
        self.ratios = ratios;
    }

    /// Everything that was sent arrived once, in order, readable, nothing else went wrong, and no budget is
    /// exceeded.
    pub(crate) fn is_clean(&self) -> bool {
        let others = self.other_tallies.iter().all(|other| other.tally.is_clean());
        let within = self.budgets.iter().all(|judgement| judgement.within);
        self.tally.is_clean() && others && self.faults.is_empty() && within
    }

    /// Systems with figures, the hub under test first.
    fn systems(&self) -> Vec<&'static str> {
        let mut systems = vec![CERCLE];
        let named = self.figures.iter().map(|figure| figure.system);
        for system in named.chain(self.latencies.iter().map(|latency| latency.system)) {
            if !systems.contains(&system) {
                systems.push(system);
            }
        }
        systems
    }

    fn to_parameters(&self) -> String {
        let parameters = self.parameters.iter().map(|(name, value)| format!("{name} {value}"));
        parameters.collect::<Vec<_>>().join(", ")
    }

    /// One line of JSON.
    pub(crate) fn to_json(&self) -> String {
        let mut value = serde_json::to_value(self).expect("a report has only text, numbers and lists");
        value["clean"] = self.is_clean().into();
        format!("{value}\n")
    }
}

/// Names of the ratios of a latency. Names of a run are few and live as long as the program.
fn quantile_names(name: &'static str) -> [&'static str; 2] {
    ["p50", "p99"].map(|quantile| &*format!("{name}, {quantile}").leak())
}

impl Ratio {
    fn new(name: &'static str, to: &'static str, values: Vec<f64>) -> Option<Self> {
        let usable = !values.is_empty() && values.iter().all(|value| value.is_finite());
        usable.then(|| Self { name, to, median: median(&values), values })
    }
}

impl NamedLatency {
    fn new(system: &'static str, name: &'static str) -> Self {
        let merged = Latency::default();
        Self {
            system,
            name,
            all: merged.distribution(),
            median_p50_ms: 0.0,
            median_p99_ms: 0.0,
            rounds: Vec::new(),
            percentiles_ms: Vec::new(),
            merged,
        }
    }

    fn add(&mut self, latency: &Latency) {
        self.merged.add(latency);
        self.all = self.merged.distribution();
        self.rounds.push(latency.distribution());
        let of_rounds = |quantile: fn(&Distribution) -> f64| {
            median(&self.rounds.iter().map(quantile).collect::<Vec<_>>())
        };
        self.median_p50_ms = of_rounds(|round| round.p50_ms);
        self.median_p99_ms = of_rounds(|round| round.p99_ms);
        self.percentiles_ms =
            (1..=100_u32).map(|share| ms(self.merged.at(f64::from(share) / 100.0))).collect();
    }
}

/// The value in the middle, or the mean of the two there.
pub(crate) fn median(values: &[f64]) -> f64 {
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
    fn the_ratio_to_another_system_is_the_median_of_the_rounds() {
        let mut report = Report::new("test", &[]);
        for (ours, theirs) in [(2.0, 1.0), (30.0, 10.0), (4.0, 4.0)] {
            report.figure("cost", "µs", ours);
            report.figure_of("reference", "cost", "µs", theirs);
        }
        report.relate();
        let json: Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(json["ratios"][0]["median"], 2.0, "{json}");
        assert_eq!(json["ratios"][0]["to"], "reference");
    }

    #[test]
    fn one_lost_message_or_one_fault_makes_the_report_unclean() {
        let mut lost = Report::new("test", &[]);
        lost.count(&Tally { lost: 1, ..Tally::default() });
        assert!(!lost.is_clean() && lost.to_table().contains("NOT CLEAN"));
        let mut elsewhere = Report::new("test", &[]);
        elsewhere.count_of("reference", &Tally { lost: 1, ..Tally::default() });
        assert!(!elsewhere.is_clean());
        let mut faulty = Report::new("test", &[]);
        faulty.fault("two members disagree".to_owned());
        assert!(!faulty.is_clean());
    }
}
