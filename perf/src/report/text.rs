//! Numbers and tables.

use crate::results::{ScenarioResult, ServerResult, Target, median};

/// What stands in a cell of the table.
pub(super) struct Cell {
    /// `0.99 (280 k)`, or the figure alone; `–` where there is none.
    pub(super) figure: String,
    /// What was wrong, or is to be said besides.
    pub(super) note: String,
    pub(super) is_wrong: bool,
}

/// A number of three digits or so: 17.6 M, 280 k, 4.2.
pub(super) fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        size if size >= 999.5e6 => (value / 1e9, " G"),
        size if size >= 999.5e3 => (value / 1e6, " M"),
        size if size >= 9999.5 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = match scaled.abs() {
        size if size >= 99.5 => 0,
        size if size >= 9.95 && !unit.is_empty() => 1,
        size if size >= 9.95 => usize::from((scaled - scaled.round()).abs() > 0.05),
        0.0 => 0,
        _ if unit.is_empty() && (scaled - scaled.round()).abs() < 1e-9 => 0,
        _ => 2,
    };
    let text = format!("{scaled:.digits$}");
    // 5000, but 5,000 is easier to read.
    let grouped = match text.strip_prefix('-').unwrap_or(&text) {
        whole if whole.len() == 4 && whole.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.replace(whole, &format!("{},{}", &whole[..1], &whole[1..]))
        }
        _ => text,
    };
    format!("{grouped}{unit}")
}

/// The cell of one server in one scenario.
pub(super) fn cell(server: &ServerResult) -> Cell {
    let (ratio, value) = (median(&server.ratios), median(&server.values));
    let figure = match (ratio.is_nan(), value.is_nan()) {
        (_, true) => "–".to_owned(),
        (true, false) => short(value),
        (false, false) => format!("{ratio:.2} ({})", short(value)),
    };
    let (note, is_wrong) = if let Some(problem) = server.problems.first() {
        (format!("WRONG: {problem}"), true)
    } else if !server.verified {
        ("not verified".to_owned(), true)
    } else {
        (server.remark.clone(), false)
    };
    Cell { figure, note, is_wrong }
}

/// What is aimed at, and whether wsloop is there: `≥ 0.98: yes`.
pub(super) fn aim(scenario: &ScenarioResult) -> String {
    let Some(target) = scenario.target else { return String::new() };
    let sign = if scenario.is_more_better { "≥" } else { "≤" };
    // Figures of what went wrong, or was never looked at, reach nothing.
    let ours = scenario.servers.iter().find(|server| server.server == "wsloop" && !cell(server).is_wrong);
    let (reached, wanted, text) = match target {
        Target::Ratio(wanted) => {
            (ours.map_or(f64::NAN, |server| median(&server.ratios)), wanted, format!("{wanted:.2}"))
        }
        Target::Absolute(wanted) => {
            (ours.map_or(f64::NAN, |server| median(&server.values)), wanted, short(wanted))
        }
    };
    // As exact as it is shown.
    let reached = (reached * 100.0).round() / 100.0;
    let is_met = if scenario.is_more_better { reached >= wanted } else { reached <= wanted };
    let verdict = if reached.is_nan() {
        "no figure"
    } else if is_met {
        "yes"
    } else {
        "no"
    };
    format!("{sign} {text}: {verdict}")
}

/// Servers in the order of their first appearance: the columns.
pub(super) fn servers(scenarios: &[ScenarioResult]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for server in scenarios.iter().flat_map(|scenario| &scenario.servers) {
        if !names.contains(&server.server) {
            names.push(server.server.clone());
        }
    }
    names
}

/// Text between tags.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (value, wanted) in [
            (0.0, "0"),
            (0.123, "0.12"),
            (4.2, "4.20"),
            (7.0, "7"),
            (23.45, "23.4"),
            (100.0, "100"),
            (232.4, "232"),
            (5000.0, "5,000"),
            (15_000.0, "15.0 k"),
            (280_123.0, "280 k"),
            (999_900.0, "1.00 M"),
            (17_623_000.0, "17.6 M"),
        ] {
            assert_eq!(short(value), wanted, "{value}");
        }
    }

    fn server(name: &str, values: &[f64], ratios: &[f64]) -> ServerResult {
        ServerResult {
            server: name.to_owned(),
            values: values.to_vec(),
            ratios: ratios.to_vec(),
            measurements: Vec::new(),
            problems: Vec::new(),
            verified: true,
            remark: "a remark".to_owned(),
        }
    }

    #[test]
    fn cells_are_medians_and_say_what_was_wrong() {
        let mut one = server("x", &[3e5, 1e5, 2e5], &[0.9, 1.1, 0.5]);
        assert_eq!(cell(&one).figure, "0.90 (200 k)");
        assert_eq!((cell(&one).note.as_str(), cell(&one).is_wrong), ("a remark", false));
        one.verified = false;
        assert_eq!(cell(&one).note, "not verified");
        one.problems.push("3 lost".to_owned());
        assert!(cell(&one).is_wrong && cell(&one).note == "WRONG: 3 lost");
        assert_eq!(cell(&server("x", &[232.0], &[])).figure, "232");
        assert_eq!(cell(&server("x", &[f64::NAN], &[f64::NAN])).figure, "–");
        assert_eq!(cell(&server("x", &[], &[])).figure, "–");
    }

    #[test]
    fn aims() {
        let scenario = |is_more_better, target, values: &[f64], ratios: &[f64]| ScenarioResult {
            name: "x".to_owned(),
            title: String::new(),
            unit: String::new(),
            is_more_better,
            target,
            measured: String::new(),
            servers: vec![server("floor", &[1.0], &[1.0]), server("wsloop", values, ratios)],
        };
        for (more, target, values, ratios, wanted) in [
            (true, Some(Target::Ratio(0.98)), &[1.0][..], &[0.979][..], "≥ 0.98: yes"),
            (true, Some(Target::Ratio(0.98)), &[1.0], &[0.97, 0.96, 0.99], "≥ 0.98: no"),
            (false, Some(Target::Ratio(1.05)), &[1.0], &[1.2], "≤ 1.05: no"),
            (false, Some(Target::Absolute(256.0)), &[232.0], &[], "≤ 256: yes"),
            (false, Some(Target::Absolute(256.0)), &[], &[], "≤ 256: no figure"),
            (true, None, &[1.0], &[1.0], ""),
        ] {
            assert_eq!(aim(&scenario(more, target, values, ratios)), wanted);
        }
        let mut wrong = scenario(true, Some(Target::Ratio(0.98)), &[1.0], &[1.0]);
        wrong.servers[1].verified = false;
        assert_eq!(aim(&wrong), "≥ 0.98: no figure", "nothing is reached by what was not verified");
    }
}
