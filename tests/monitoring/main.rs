//! What Prometheus and Grafana are given in `static/monitoring`: read by the real Prometheus, and compared with what
//! the server reports.

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::client::Client;
use support::http::get;
use support::server::{Wsloop, own_port, wait_until};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/static/monitoring");
const ALERTS: &str = include_str!("../../static/monitoring/alerts.yml");
const CONFIG: &str = include_str!("../../static/monitoring/prometheus.yml");
const OPERATING: &str = include_str!("../../src/OPERATING.md");
const PLAYED: &str = include_str!("alerts.test.yml");
const DASHBOARD: &str = include_str!("../../static/monitoring/grafana.json");

/// How long Prometheus may take to start and to have looked at a server a few times.
const SOON: Duration = Duration::from_secs(60);

/// The names under which Prometheus keeps what the server reports, whether there is a figure yet or not.
fn reported(server: &Wsloop) -> BTreeSet<String> {
    let metrics = get(server, "/metrics");
    let types = metrics.text().lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let ends = |(name, kind): (&str, &str)| {
        let ends: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            "info" => &["_info"],
            _ => &[""],
        };
        ends.iter().map(|end| format!("{name}{end}")).collect::<Vec<_>>()
    };
    types.flat_map(ends).collect()
}

/// The words of a text that are names of metrics.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_name = |word: &&str| ["wsloop_", "process_"].iter().any(|start| word.starts_with(start));
    words.filter(is_name).map(str::to_owned).collect()
}

#[test]
fn each_metric_that_alerts_and_panels_name_is_reported() {
    let server = Wsloop::start(&[]);
    let reported = reported(&server);
    for (file, text, least) in
        [("alerts.test.yml", PLAYED, 20), ("alerts.yml", ALERTS, 12), ("grafana.json", DASHBOARD, 20)]
    {
        let named = named(text);
        assert!(named.len() >= least, "{file} names {named:?}");
        let missing: Vec<_> = named.difference(&reported).collect();
        assert!(missing.is_empty(), "{file} names what /metrics lacks: {missing:?}");
    }
}

#[test]
fn the_dashboard_of_grafana_is_whole() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "each has a number of its own");
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        let targets = panel["targets"].as_array().expect("queries");
        assert!(!targets.is_empty(), "{title}");
        for target in targets {
            let query = target["expr"].as_str().expect("a query");
            assert!(query.contains(r#"{instance=~"$instance""#), "{title} is of the chosen server: {query}");
        }
    }
}

/// The rules of alerts.yml: name, severity, and the reason of the verdict that each is for.
fn rules() -> Vec<(&'static str, &'static str, Option<&'static str>)> {
    let rule = |text: &'static str| {
        let labels = text.split("labels: {").nth(1)?.split('}').next()?;
        let label = |name: &str| labels.split(", ").find_map(|label| label.strip_prefix(name));
        Some((text.lines().next()?, label("severity: ")?, label("reason: ")))
    };
    ALERTS.split("- alert: ").skip(1).map(|text| rule(text).expect("a rule has labels")).collect()
}

#[test]
fn each_reason_that_is_ill_pages_and_what_only_strains_waits_for_the_morning() {
    let table = OPERATING.lines().skip_while(|line| !line.starts_with("| reason | ")).skip(2);
    let rows: Vec<Vec<&str>> = table
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() > 10, "{rows:?}");
    let wanted =
        rows.iter().map(|row| (row[1].trim_matches('`'), if row[4] == "never" { "ticket" } else { "page" }));
    let rules = rules();
    let wakes: BTreeSet<_> = rules.iter().filter(|rule| rule.1 == "page").filter_map(|rule| rule.2).collect();
    for (reason, severity) in wanted {
        assert_eq!(wakes.contains(reason), severity == "page", "{reason} is for a {severity}");
        assert!(rules.iter().any(|rule| rule.2 == Some(reason)), "{reason} has a rule");
    }
    let known: BTreeSet<_> = rows.iter().map(|row| row[1].trim_matches('`')).collect();
    let of_rules: BTreeSet<_> = rules.iter().filter_map(|rule| rule.2).collect();
    assert_eq!(of_rules, known, "no rule is for another reason");
}

#[test]
fn each_rule_fires_for_a_server_that_needs_it_and_no_other_with_it() {
    for (name, ..) in rules() {
        assert!(PLAYED.contains(&format!("alertname=\"{name}\"")), "{name} is played");
    }
    let played = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/monitoring/alerts.test.yml");
    let output = program("promtool").args(["test", "rules", played]).output().expect("promtool can be run");
    assert!(output.status.success() && told(&output).contains("SUCCESS"), "{}", told(&output));
}

/// What Grafana puts in place of its variables.
fn filled_in(query: &str) -> String {
    query.replace("$__rate_interval", "1m").replace("$instance", ".+")
}

#[test]
fn prometheus_understands_what_grafana_asks() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let queries = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let rules: Vec<Value> = queries
        .map(|target| filled_in(target["expr"].as_str().expect("a query")))
        .enumerate()
        .map(|(number, expr)| serde_json::json!({ "record": format!("panel:query:{number}"), "expr": expr }))
        .collect();
    assert!(
        rules.len() >= 20 && rules.iter().all(|rule| !rule["expr"].to_string().contains('$')),
        "{rules:?}"
    );
    let file = std::env::temp_dir().join(format!("wsloop-grafana-{}.yml", std::process::id()));
    // JSON is YAML too.
    let text = serde_json::json!({ "groups": [{ "name": "grafana", "rules": rules }] }).to_string();
    fs::write(&file, text).expect("the folder for temporary files can be written");
    let output =
        program("promtool").args(["check", "rules"]).arg(&file).output().expect("promtool can be run");
    fs::remove_file(&file).expect("it has just been written");
    let found = format!("{} rules found", rules.len());
    assert!(output.status.success() && told(&output).contains(&found), "{}", told(&output));
}

#[test]
fn promtool_finds_nothing_wrong() {
    for (check, file, wanted) in
        [("rules", "alerts.yml", "rules found"), ("config", "prometheus.yml", "is valid prometheus config")]
    {
        let path = Path::new(FOLDER).join(file);
        let output =
            program("promtool").args(["check", check]).arg(&path).output().expect("promtool can be run");
        assert!(output.status.success() && told(&output).contains(wanted), "{file}: {}", told(&output));
    }
}

#[test]
fn prometheus_finds_the_server_and_the_rules_find_their_metrics() {
    let server = Wsloop::start(&["--ping-interval", "1s"]);
    let mut members: Vec<Client> = (0..3).map(|_| Client::connect(&server, "/broadcast/news")).collect();
    let prometheus = Prometheus::start(server.address());
    wait_until("Prometheus has seen the server", SOON, || {
        members[0].send_text("hello");
        for member in &mut members {
            assert_eq!(member.read_text(), "hello");
        }
        prometheus.value("up{job=\"wsloop\"}") == Some(1.0)
    });
    for name in [
        "wsloop_connections",
        "wsloop_connections_max",
        "wsloop_health",
        "wsloop_ledger_balanced",
        "wsloop_buffered_bytes_max",
        "wsloop_unfinished_bytes_max",
        "wsloop_loop_cpu_seconds_total",
        "wsloop_turn_duration_seconds_bucket",
        "wsloop_messages_dropped_total",
        "wsloop_connections_rejected_total{reason=\"full\"}",
        "wsloop_connections_rejected_total{reason=\"descriptors\"}",
        "wsloop_accept_errors_total",
        "wsloop_loop_pause_seconds",
        "process_start_time_seconds",
    ] {
        wait_until(name, SOON, || prometheus.value(name).is_some());
    }
    assert!(prometheus.value("wsloop_connections") >= Some(3.0));
    // Rates need two looks; nobody is woken.
    let reported = || prometheus.ask("/api/v1/rules")["data"]["groups"][0]["rules"].clone();
    let all = rules().len();
    wait_until("all rules have been looked at", SOON, || {
        let rules = reported();
        let seen = rules.as_array().into_iter().flatten().filter(|rule| rule["health"] == "ok");
        seen.count() == all
    });
    let busy = "rate(wsloop_loop_cpu_seconds_total[1m])";
    wait_until("the rate of CPU is known", SOON, || prometheus.value(busy).is_some());
    for rule in reported().as_array().expect("rules") {
        let name = rule["name"].as_str().unwrap_or_default();
        // Neither does it wait to fire: most have to last for longer than this test does.
        assert_eq!(rule["state"], "inactive", "{name} of a quiet server");
    }
}

/// A Prometheus of its own, which looks at one server; ended when dropped.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Prometheus {
    /// With the files that are given to people, for another address and with less patience.
    fn start(server: SocketAddr) -> Prometheus {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, own_port()));
        let folder = std::env::temp_dir().join(format!("wsloop-prometheus-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
        let config = CONFIG.replace("127.0.0.1:8080", &server.to_string()).replace("5s", "1s");
        assert!(
            config.contains(&server.to_string()),
            "the example names the address that a server has by itself"
        );
        fs::write(folder.join("prometheus.yml"), config).expect("the new folder can be written");
        fs::write(folder.join("alerts.yml"), ALERTS).expect("the new folder can be written");
        let log = fs::File::create(folder.join("log.txt")).expect("the new folder can be written");
        let child = program("prometheus")
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus can be started");
        Prometheus { child, address, folder }
    }

    /// What it answers, if it does already.
    fn ask(&self, path: &str) -> Value {
        let exchange = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(self.address)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address)?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        let text = exchange().unwrap_or_default();
        let body = text.split_once("\r\n\r\n").map_or("null", |(_, body)| body);
        serde_json::from_str(body).unwrap_or(Value::Null)
    }

    /// The first value of an expression.
    fn value(&self, expression: &str) -> Option<f64> {
        let escaped: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.ask(&format!("/api/v1/query?query={escaped}"));
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill, only to collect.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.join("log.txt")).unwrap_or_default();
            let _ = writeln!(std::io::stderr(), "Prometheus said:\n{log}");
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A program of Debian's package. Without it the test fails: a test that is skipped proves nothing.
fn program(name: &str) -> Command {
    let there = Command::new(name).arg("--version").output();
    assert!(there.is_ok(), "these tests need {name}: apt-get install --no-install-recommends prometheus");
    Command::new(name)
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
