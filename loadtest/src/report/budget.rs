//! Budgets: what the figures of a run may be at most, or must be at least, from a TOML file.

use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::{CERCLE, Report};

/// A file of budgets.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budgets {
    #[serde(default)]
    budget: Vec<Budget>,
}

/// One budget: of a figure, a latency or a ratio of one scenario.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    scenario: String,
    /// Only for runs with these parameters: fan-out to 50 and to 500 have different ones.
    #[serde(default)]
    parameters: toml::Table,
    figure: Option<String>,
    latency: Option<String>,
    /// Of a latency: p50, p90, p99, p999, max.
    quantile: Option<Quantile>,
    ratio: Option<String>,
    /// Of a ratio: the other system.
    to: Option<String>,
    max: Option<f64>,
    min: Option<f64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Quantile {
    P50,
    P90,
    P99,
    P999,
    Max,
}

/// What became of a budget.
#[derive(Debug, Serialize)]
pub(crate) struct Judgement {
    /// What it is about and what it allows.
    pub(crate) budget: String,
    /// What was measured; nothing if a system was not there.
    pub(crate) value: Option<f64>,
    /// False if it is exceeded.
    pub(crate) within: bool,
}

impl Budgets {
    /// Reads a file.
    ///
    /// # Errors
    /// Says which budget is not one.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let budgets: Self = toml::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
        for budget in &budgets.budget {
            let kinds = [&budget.figure, &budget.latency, &budget.ratio].into_iter().flatten().count();
            let name = budget.name();
            ensure!(kinds == 1, "a budget has one of figure, latency, ratio: {name}");
            ensure!(budget.max.is_some() || budget.min.is_some(), "a budget has max or min: {name}");
            ensure!(
                budget.latency.is_none() || budget.quantile.is_some(),
                "a latency has a quantile: {name}"
            );
            ensure!(budget.ratio.is_none() || budget.to.is_some(), "a ratio is to a system: {name}");
        }
        Ok(budgets)
    }
}

impl Budget {
    fn name(&self) -> String {
        let what = [&self.figure, &self.latency, &self.ratio].into_iter().flatten();
        let what = what.map(String::as_str).collect::<Vec<_>>().join(" and ");
        let quantile =
            self.quantile.map(|quantile| format!(", {quantile:?}").to_lowercase()).unwrap_or_default();
        let to = self.to.as_ref().map(|to| format!(" to {to}")).unwrap_or_default();
        let max = self.max.map(|max| format!(" <= {max}")).unwrap_or_default();
        let min = self.min.map(|min| format!(" >= {min}")).unwrap_or_default();
        format!("{}: {what}{quantile}{to}{max}{min}", self.scenario)
    }
}

impl Report {
    /// Compares the medians with the budgets of this scenario and these parameters.
    pub(crate) fn judge(&mut self, budgets: &Budgets) {
        let concerned = budgets.budget.iter().filter(|budget| self.concerns(budget));
        self.budgets = concerned.map(|budget| self.judgement(budget)).collect();
    }

    fn concerns(&self, budget: &Budget) -> bool {
        let same = |(name, value): (&String, &toml::Value)| {
            let ours = self.parameters.get(name).map(ToString::to_string);
            ours.as_deref() == Some(value.to_string().as_str())
                || ours.and_then(|ours| ours.parse::<f64>().ok()) == value.to_string().parse::<f64>().ok()
        };
        budget.scenario == self.scenario && budget.parameters.iter().all(same)
    }

    /// A budget that cannot be compared because a system was skipped is kept; one that names what the
    /// scenario does not measure is exceeded, so that a misspelt name is seen.
    fn judgement(&self, budget: &Budget) -> Judgement {
        let value = self.measured(budget);
        let absent = |to: &String| !self.systems().contains(&to.as_str());
        let excused = value.is_none() && budget.to.as_ref().is_some_and(absent);
        let within = value.is_some_and(|value| {
            budget.max.is_none_or(|max| value <= max) && budget.min.is_none_or(|min| value >= min)
        });
        Judgement { budget: budget.name(), value, within: within || excused }
    }

    fn measured(&self, budget: &Budget) -> Option<f64> {
        if let Some(name) = &budget.figure {
            let same = |figure: &&super::Figure| figure.system == CERCLE && figure.name == name;
            return self.figures.iter().find(same).map(|figure| figure.median);
        }
        if let Some(name) = &budget.latency {
            let same = |known: &&super::NamedLatency| known.system == CERCLE && known.name == name;
            let all = &self.latencies.iter().find(same)?.all;
            return Some(match budget.quantile? {
                Quantile::P50 => all.p50_ms,
                Quantile::P90 => all.p90_ms,
                Quantile::P99 => all.p99_ms,
                Quantile::P999 => all.p999_ms,
                Quantile::Max => all.max_ms,
            });
        }
        let (name, to) = (budget.ratio.as_ref()?, budget.to.as_ref()?);
        self.ratios.iter().find(|ratio| ratio.name == name && ratio.to == to).map(|ratio| ratio.median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(budget: &str) -> Report {
        let mut report = Report::new("test", &[("members", 50.into())]);
        report.figure("cost", "µs", 3.0);
        report.figure_of("reference", "cost", "µs", 2.0);
        report.relate();
        let text = format!("[[budget]]\nscenario = \"test\"\n{budget}");
        report.judge(&toml::from_str(&text).unwrap());
        report
    }

    #[test]
    fn a_figure_beyond_its_budget_makes_the_report_fail() {
        assert!(judged("figure = \"cost\"\nmax = 3.0").is_clean());
        assert!(!judged("figure = \"cost\"\nmax = 2.9").is_clean());
        assert!(!judged("figure = \"cost\"\nmin = 4").is_clean());
        assert!(!judged("ratio = \"cost\"\nto = \"reference\"\nmax = 1.4").is_clean());
        assert!(judged("ratio = \"cost\"\nto = \"reference\"\nmax = 1.5").is_clean());
    }

    #[test]
    fn a_budget_for_what_is_not_measured_fails_unless_the_system_was_absent() {
        assert!(!judged("figure = \"csot\"\nmax = 9").is_clean());
        assert!(judged("ratio = \"cost\"\nto = \"ejabberd\"\nmax = 1").is_clean());
    }

    #[test]
    fn a_budget_for_other_parameters_does_not_count() {
        assert!(judged("parameters = { members = 500 }\nfigure = \"cost\"\nmax = 1").is_clean());
        assert!(!judged("parameters = { members = 50 }\nfigure = \"cost\"\nmax = 1").is_clean());
    }
}
