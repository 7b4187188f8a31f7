use std::path::PathBuf;

use super::*;
use crate::results::{Absent, Curve, Growth, ServerResult, Target};

/// As a run with eight servers would give it; nothing of it was measured.
fn invented() -> Comparison {
    let names =
        ["floor", "wsloop", "wsloop, chat room", "bun", "tokio-tungstenite", "<b>&ws", "gorilla", "nchan"];
    let server = |(index, name): (usize, &&str), base: f64, has_ratios: bool| {
        let share = [1.0, 0.99, 0.93, 0.9, 0.62, 0.55, 0.4, f64::NAN][index];
        let values: Vec<f64> = [0.97, 1.0, 1.04].iter().map(|noise| base * share * noise).collect();
        ServerResult {
            server: (*name).to_owned(),
            ratios: if has_ratios { values.iter().map(|value| value / base).collect() } else { Vec::new() },
            values,
            measurements: Vec::new(),
            problems: if index == 7 { vec!["it ended | at its start".to_owned()] } else { Vec::new() },
            verified: index != 6,
            remark: String::new(),
        }
    };
    let scenario = |name: &str, base: f64, is_more_better, target: Target| ScenarioResult {
        name: name.to_owned(),
        title: format!("the scenario {name} with 1,000 receivers"),
        unit: "deliveries a CPU second".to_owned(),
        is_more_better,
        target: Some(target),
        measured: "2026-01-01, abcdef0".to_owned(),
        servers: names
            .iter()
            .enumerate()
            .map(|one| server(one, base, matches!(target, Target::Ratio(_))))
            .collect(),
    };
    Comparison {
        date: "2026-01-01".to_owned(),
        commit: "abcdef0".to_owned(),
        machine: "2 cores of a <processor>".to_owned(),
        scenarios: vec![
            scenario("fanout", 280_000.0, true, Target::Ratio(0.98)),
            scenario("latency", 23.0, false, Target::Ratio(1.05)),
            scenario("memory", 100_000.0, false, Target::Absolute(256.0)),
        ],
        growths: invented_growths(),
        absent: vec![Absent { server: "python".to_owned(), reason: "<no network>".to_owned() }],
    }
}

fn invented_growths() -> Vec<Growth> {
    let curve = |label: &str, factor: f64| Curve {
        label: label.to_owned(),
        points: [100.0, 1000.0, 19_000.0]
            .map(|x: f64| (x, vec![factor * x.ln(), factor * x.ln() * 1.1]))
            .to_vec(),
    };
    vec![
        Growth {
            name: "cost".to_owned(),
            title: "What a delivery costs".to_owned(),
            along: "receivers".to_owned(),
            unit: "µs".to_owned(),
            curves: vec![curve("floor", 0.4), curve("wsloop", 0.5)],
        },
        Growth {
            name: "one-point".to_owned(),
            title: "One point, and one without".to_owned(),
            along: "clients".to_owned(),
            unit: "B".to_owned(),
            curves: vec![Curve {
                label: "x".to_owned(),
                points: vec![(5.0, vec![1.0]), (6.0, vec![f64::NAN])],
            }],
        },
    ]
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("wsloop-perf-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder of our own");
    folder
}

#[test]
fn a_report_holds_all_and_needs_nothing_else() {
    let folder = folder("report");
    write(&invented(), &folder).expect("it can be written");
    let html = fs::read_to_string(folder.join("report.html")).expect("written");
    for wanted in [
        "0.99 (277 k)",
        "≥ 0.98: yes",
        "≤ 1.05: yes",
        "not verified",
        "WRONG: it ended",
        "&lt;b&gt;&amp;ws",
        "&lt;no network&gt;",
    ] {
        assert!(html.contains(wanted), "{wanted} is missing");
    }
    assert!(!html.contains("<b>") && !html.contains("<processor>"), "what comes from outside is text");
    assert!(!html.contains("src=") && !html.contains("<link") && !html.contains("<script"), "one file");
    assert!(!html.contains("{table}") && !html.contains("NaN"));
    let json = fs::read_to_string(folder.join("report.json")).expect("written");
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(value["scenarios"][0]["servers"][1]["values"].as_array().map(Vec::len), Some(3));
    let error = read(&folder).expect_err("a server that could not be measured has no figures to keep");
    assert!(error.contains("--keep"), "{error}");
    let mut whole = invented();
    whole.scenarios.iter_mut().for_each(|scenario| drop(scenario.servers.pop()));
    whole.growths.pop();
    write(&whole, &folder).expect("it can be written");
    let kept = read(&folder).expect("it can be read again");
    assert_eq!(serde_json::to_string(&kept).ok(), serde_json::to_string(&whole).ok());
    write(&invented(), &folder).expect("it can be written");
    for name in ["fanout", "latency", "memory", "growth-cost", "growth-one-point"] {
        let svg = fs::read_to_string(folder.join(format!("{name}.svg"))).expect("written");
        roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!svg.contains("NaN"), "{name}");
    }
    fs::remove_dir_all(folder).expect("our own");
}

#[test]
fn the_readme_gets_the_figures_between_its_marks_again_and_again() {
    let folder = folder("readme");
    let (readme, plots) = (folder.join("README.md"), folder.join("plots"));
    fs::write(&readme, format!("before\n{BEGIN}\nold figures\n{END}\nafter\n")).expect("our own");
    for _ in 0..2 {
        update_readme(&invented(), &readme, &plots).expect("it can be written");
        let text = fs::read_to_string(&readme).expect("written");
        assert!(text.starts_with("before\n") && text.ends_with("\nafter\n"), "{text}");
        assert!(!text.contains("old figures"));
        assert_eq!(text.matches("| **fanout**").count(), 1);
        assert!(text.contains("0.99 (277 k)") && text.contains("WRONG: it ended / at its start"), "{text}");
        assert!(text.contains("![growth-cost](plots/growth-cost.svg)"));
        let rows: Vec<_> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert!(rows.iter().all(|row| row.matches('|').count() == rows[0].matches('|').count()), "{rows:#?}");
    }
    assert!(plots.join("fanout.svg").is_file());
    for text in ["no marks", BEGIN, END] {
        fs::write(&readme, text).expect("our own");
        assert!(update_readme(&invented(), &readme, &plots).expect_err(text).contains("figures: begin"));
    }
    fs::remove_dir_all(folder).expect("our own");
}
