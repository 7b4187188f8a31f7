//! What a comparison found: measurements by scenario and server, round by round, as JSON beside the report.

use serde::{Deserialize, Serialize};

use crate::measurement::Measurement;

/// Everything a report shows.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Comparison {
    /// `2026-11-21`.
    pub(crate) date: String,
    /// Short commit of the measured wsloop, with `+` if files were changed.
    pub(crate) commit: String,
    /// Processor, cores, kernel.
    pub(crate) machine: String,
    pub(crate) scenarios: Vec<ScenarioResult>,
    pub(crate) growths: Vec<Growth>,
    /// Servers that could not take part, and why.
    pub(crate) absent: Vec<Absent>,
}

/// One scenario against several servers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ScenarioResult {
    /// `fanout`, `wide`, …: the name for `--scenarios`.
    pub(crate) name: String,
    /// What is done, in a line: `1 sender, 1,000 receivers, 1 message in flight, 64 bytes`.
    pub(crate) title: String,
    /// What is compared: `deliveries a CPU second`, `p99 in ms`, `bytes a client`.
    pub(crate) unit: String,
    pub(crate) is_more_better: bool,
    /// What wsloop aims at, as a ratio to the floor; for memory in the unit itself.
    pub(crate) target: Option<Target>,
    pub(crate) servers: Vec<ServerResult>,
    /// Date, commit, rounds and length of the measurement.
    pub(crate) measured: String,
}

/// What wsloop aims at.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) enum Target {
    /// Of the floor's median.
    Ratio(f64),
    /// In the scenario's unit.
    Absolute(f64),
}

/// One server in one scenario.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ServerResult {
    /// `floor`, `wsloop`, `wsloop, chat room`, `bun`, …
    pub(crate) server: String,
    /// The compared figure of each round, in the scenario's unit; index = round.
    pub(crate) values: Vec<f64>,
    /// The same as a ratio to the floor's figure in the same round; empty where there is no floor.
    pub(crate) ratios: Vec<f64>,
    /// The raw measurements of each round.
    pub(crate) measurements: Vec<Measurement>,
    /// What the run with verified bytes found wrong; empty is good.
    pub(crate) problems: Vec<String>,
    /// Whether such a run was made, and everything in it was checked and right.
    pub(crate) verified: bool,
    /// Extra words for the table: `100 of 100 cut with 1013`.
    pub(crate) remark: String,
}

/// How a cost grows with the number of clients.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Growth {
    pub(crate) name: String,
    pub(crate) title: String,
    /// What the horizontal axis counts: `receivers`.
    pub(crate) along: String,
    /// What the vertical axis counts: `µs of CPU a delivery`.
    pub(crate) unit: String,
    pub(crate) curves: Vec<Curve>,
}

/// One line of a plot.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Curve {
    pub(crate) label: String,
    /// In order of x. More than one y at an x: several rounds; the line goes through their medians.
    pub(crate) points: Vec<(f64, Vec<f64>)>,
}

/// A server that could not take part.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Absent {
    pub(crate) server: String,
    pub(crate) reason: String,
}

/// The middle value; the mean of the two middle ones of an even count; NaN of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert!(median(&[]).is_nan());
        for (values, wanted) in
            [(&[3.0][..], 3.0), (&[9.0, 1.0, 2.0], 2.0), (&[4.0, 1.0], 2.5), (&[f64::NAN, 7.0], 7.0)]
        {
            assert!((median(values) - wanted).abs() < 1e-9, "{values:?}");
        }
    }
}
