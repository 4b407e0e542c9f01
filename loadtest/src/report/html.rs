//! The report as one HTML file with plots as inline SVG: it loads nothing and runs no script.

use std::fmt::Write;

use super::{Figure, NamedLatency, Report};

/// Width of a plot.
const WIDTH: f64 = 640.0;
/// Height of the curves' plot.
const HEIGHT: f64 = 260.0;
/// Left of the plots is room for names, below for the axis.
const MARGIN: f64 = 120.0;
/// Height of one bar and the space below it.
const BAR: f64 = 22.0;
/// One colour for each system, tellable apart by the colour-blind.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;\
color:#222;background:#fff}table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .7rem;\
border-bottom:1px solid #ddd;text-align:right}td:first-child,th:first-child,td:nth-child(2),th:nth-child(2)\
{text-align:left}.bad{color:#b00020;font-weight:bold}.good{color:#006b3c;font-weight:bold}\
svg{display:block;max-width:100%;height:auto}text{font:12px system-ui,sans-serif;fill:#222}";

impl Report {
    /// One HTML page.
    pub(crate) fn to_html(&self) -> String {
        let mut out = String::new();
        let clean = self.is_clean();
        let (class, verdict) = if clean { ("good", "clean") } else { ("bad", "not clean") };
        // Writing into a `String` cannot fail.
        let _ = write!(
            out,
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width\"><title>{0}</title><style>{STYLE}</style><h1>{0}: \
             <span class=\"{class}\">{verdict}</span></h1>",
            escaped(self.scenario)
        );
        let _ = write!(out, "<p>{}</p>", escaped(&self.to_parameters()));
        self.write_counts(&mut out);
        self.write_ratios(&mut out);
        self.write_latencies(&mut out);
        out.push_str("<h2>Figures</h2>");
        let mut names: Vec<&str> = Vec::new();
        for figure in &self.figures {
            if !names.contains(&figure.name) {
                names.push(figure.name);
                let same = self.figures.iter().filter(|other| other.name == figure.name);
                out.push_str(&self.bars(&same.collect::<Vec<_>>()));
            }
        }
        out.push_str("</html>\n");
        out
    }

    fn write_counts(&self, out: &mut String) {
        let _ = write!(out, "<h2>Count</h2><p>{}</p>", escaped(&self.tally.to_string()));
        for other in &self.other_tallies {
            let _ = write!(out, "<p>{}: {}</p>", other.system, escaped(&other.tally.to_string()));
        }
        for fault in &self.faults {
            let _ = write!(out, "<p class=\"bad\">{}</p>", escaped(fault));
        }
        for skipped in &self.skipped {
            let _ = write!(out, "<p>skipped: {}</p>", escaped(skipped));
        }
        for judgement in &self.budgets {
            let class = if judgement.within { "good" } else { "bad" };
            let value =
                judgement.value.map_or_else(|| "not measured".to_owned(), |value| format!("{value:.2}"));
            let _ = write!(out, "<p class=\"{class}\">{}: {value}</p>", escaped(&judgement.budget));
        }
    }

    fn write_ratios(&self, out: &mut String) {
        if self.ratios.is_empty() {
            return;
        }
        out.push_str("<h2>Ratios</h2><table><tr><th>cercle, divided by<th>of<th>median<th>rounds</tr>");
        for ratio in &self.ratios {
            let rounds: Vec<_> = ratio.values.iter().map(|value| format!("{value:.2}")).collect();
            let _ = write!(
                out,
                "<tr><td>{}<td>{}<td>{:.2}<td>{}</tr>",
                ratio.to,
                escaped(ratio.name),
                ratio.median,
                rounds.join(", ")
            );
        }
        out.push_str("</table>");
    }

    fn write_latencies(&self, out: &mut String) {
        if self.latencies.is_empty() {
            return;
        }
        out.push_str(
            "<h2>Latencies</h2><table><tr><th>system<th>latency, ms<th>count<th>p50<th>p90<th>p99<th>p99.9\
             <th>max</tr>",
        );
        for NamedLatency { system, name, all, .. } in &self.latencies {
            let _ = write!(
                out,
                "<tr><td>{system}<td>{}<td>{}<td>{:.2}<td>{:.2}<td>{:.2}<td>{:.2}<td>{:.2}</tr>",
                escaped(name),
                all.count,
                all.p50_ms,
                all.p90_ms,
                all.p99_ms,
                all.p999_ms,
                all.max_ms
            );
        }
        out.push_str("</table>");
        let mut names: Vec<&str> = Vec::new();
        for latency in &self.latencies {
            if !names.contains(&latency.name) {
                names.push(latency.name);
                let same = self.latencies.iter().filter(|other| other.name == latency.name);
                out.push_str(&self.curves(&same.collect::<Vec<_>>()));
            }
        }
    }

    /// Latency over the share of messages that it covers; the vertical axis is logarithmic.
    fn curves(&self, latencies: &[&NamedLatency]) -> String {
        let Some(first) = latencies.first() else { return String::new() };
        let all = || latencies.iter().flat_map(|latency| &latency.percentiles_ms).map(|ms| ms.max(1e-3));
        let (low, high) = (all().fold(f64::MAX, f64::min).log10(), all().fold(1e-3, f64::max).log10());
        let span = (high - low).max(0.1);
        let y = |ms: f64| HEIGHT - (ms.max(1e-3).log10() - low) / span * HEIGHT;
        let mut svg = open(first.name, HEIGHT + 30.0);
        let mut decade = low.floor();
        while decade <= high.ceil() {
            let value = 10_f64.powf(decade);
            let height = y(value);
            if (0.0..=HEIGHT).contains(&height) {
                let _ = write!(
                    svg,
                    "<line x1=\"{MARGIN}\" x2=\"{WIDTH}\" y1=\"{height:.1}\" y2=\"{height:.1}\" stroke=\"#ddd\"/>\
                     <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{value} ms</text>",
                    MARGIN - 6.0,
                    height + 4.0
                );
            }
            decade += 1.0;
        }
        for (place, latency) in latencies.iter().enumerate() {
            let mut points = String::new();
            for (share, ms) in (1_u32..).zip(&latency.percentiles_ms) {
                let x = MARGIN + f64::from(share) / 100.0 * (WIDTH - MARGIN);
                let _ = write!(points, "{x:.1},{:.1} ", y(*ms));
            }
            let colour = self.colour(latency.system);
            let (left, top) = (MARGIN + 10.0, 16.0 * f64::from(u32::try_from(place).unwrap_or(0)) + 14.0);
            let _ = write!(
                svg,
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{points}\"/>\
                 <text x=\"{left}\" y=\"{top}\" style=\"fill:{colour}\">{}</text>",
                latency.system
            );
        }
        for share in [50_u32, 90, 99] {
            let x = MARGIN + f64::from(share) / 100.0 * (WIDTH - MARGIN);
            let _ = write!(
                svg,
                "<text x=\"{x:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{share} %</text>",
                HEIGHT + 18.0
            );
        }
        svg + "</svg>"
    }

    /// A bar for each system's median, a dot for each round.
    fn bars(&self, figures: &[&Figure]) -> String {
        let Some(first) = figures.first() else { return String::new() };
        let most =
            figures.iter().flat_map(|figure| &figure.values).copied().fold(f64::MIN_POSITIVE, f64::max);
        let rows = f64::from(u32::try_from(figures.len()).unwrap_or(u32::MAX));
        let room = WIDTH - MARGIN - 120.0;
        let length = |value: f64| (value.max(0.0) / most * room).max(0.5);
        let mut svg = open(&format!("{} {}", first.name, first.unit), rows * BAR + 6.0);
        let mut top = 0.0;
        for figure in figures {
            let colour = self.colour(figure.system);
            let (bar, middle) = (length(figure.median), top + BAR / 2.0);
            let _ = write!(
                svg,
                "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text><rect x=\"{MARGIN}\" y=\"{:.0}\" \
                 width=\"{bar:.1}\" height=\"{:.0}\" fill=\"{colour}\" opacity=\".7\"/><text x=\"{:.0}\" \
                 y=\"{:.0}\">{:.2}</text>",
                MARGIN - 6.0,
                middle + 4.0,
                figure.system,
                top + 3.0,
                BAR - 6.0,
                MARGIN + room + 10.0,
                middle + 4.0,
                figure.median
            );
            for value in &figure.values {
                let x = MARGIN + length(*value);
                let _ = write!(svg, "<circle cx=\"{x:.1}\" cy=\"{middle:.0}\" r=\"3\" fill=\"#222\"/>");
            }
            top += BAR;
        }
        svg + "</svg>"
    }

    fn colour(&self, system: &str) -> &'static str {
        let place = self.systems().iter().position(|known| *known == system).unwrap_or(0);
        COLOURS[place % COLOURS.len()]
    }
}

fn open(title: &str, height: f64) -> String {
    let title = escaped(title);
    format!(
        "<h3>{title}</h3><svg viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
         aria-label=\"{title}\">"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latency;

    #[test]
    fn the_page_holds_the_plots_and_loads_nothing() {
        let mut report = Report::new("test", &[("what", "<b>".into())]);
        report.figure("cost", "µs", 3.0);
        report.figure_of("reference", "cost", "µs", 2.0);
        let mut latency = Latency::default();
        latency.record(1_500);
        report.latency("wait", &latency);
        report.relate();
        let page = report.to_html();
        assert!(page.contains("<polyline") && page.contains("<rect") && page.contains("&lt;b&gt;"), "{page}");
        for outside in ["http:", "https:", "src=", "href=", "url(", "<script"] {
            assert!(!page.contains(outside), "{outside} in the page");
        }
    }
}
