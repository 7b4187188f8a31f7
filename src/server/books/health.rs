//! The verdict on the server: well, strained or ill, and why. A figure has two thresholds, which stand in one table;
//! OPERATING.md tells them, and is compared with it. It gets worse at once, and better when that has lasted: a figure at
//! its threshold would change it every second.

use std::time::Duration;

use crate::clock::Time;

/// For so long a figure must be better until that is believed.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many deliveries and clients must have suffered, or it is nobody but one.
const MISSED_MIN: f64 = 100.0;
const CUT_MIN: f64 = 2.0;

/// How the server is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Health {
    #[default]
    Well,
    /// Nobody suffers yet.
    Strained,
    /// Somebody does.
    Ill,
}

/// What the verdict is made of: shares of a limit, and what happened in the last minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Vitals {
    /// Of the last ten seconds: how much of a processor the thread had, and how much it would have wanted more.
    pub(crate) cpu: f64,
    pub(crate) starved: f64,
    /// Of the last ten to twenty seconds, in milliseconds.
    pub(crate) turn_p99_ms: f64,
    /// Of `--max-clients`, `--max-buffered`, and of what may be unfinished.
    pub(crate) places: f64,
    pub(crate) buffered: f64,
    pub(crate) unfinished: f64,
    /// In the last minute: the longest time that the loop stood still, in seconds.
    pub(crate) pause_s: f64,
    /// The same: connections for which there was no place, attempts to accept that failed, deliveries thrown away to
    /// keep within `--max-buffered`, lines that the log could not take.
    pub(crate) turned_away: f64,
    pub(crate) accept_errors: f64,
    pub(crate) shed: f64,
    pub(crate) log_lines_lost: f64,
    /// The same, in rooms and topics, where nobody had chosen to skip: deliveries that were dropped, their share of
    /// all, and clients that were closed for them.
    pub(crate) missed: f64,
    pub(crate) dropped: f64,
    pub(crate) cut: f64,
    /// Deliveries of which the ledger does not know what became.
    pub(crate) unbalanced: f64,
}

/// How a figure is written.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Share,
    Milliseconds,
    Seconds,
    Count,
}

/// A figure of the vitals, and from where on it is a reason.
#[derive(Debug)]
struct Threshold {
    what: &'static str,
    /// The figure in words, and of what it is a share.
    subject: &'static str,
    whole: &'static str,
    unit: Unit,
    strained: f64,
    ill: f64,
    of: fn(&Vitals) -> f64,
    /// What must hold too, so that it can be ill.
    is_grave: fn(&Vitals) -> bool,
}

/// Never a reason.
const NEVER: f64 = f64::INFINITY;

#[rustfmt::skip] // One line a figure.
const THRESHOLDS: &[Threshold] = &[
    row("cpu", "CPU of the one thread", Unit::Share, 0.7, 0.9, |vitals| vitals.cpu),
    row("starved", "waiting for a processor", Unit::Share, 0.2, 0.5, |vitals| vitals.starved).of("of the thread's time"),
    row("turn", "p99 of turns (of fewer than 100, the median)", Unit::Milliseconds, 20.0, 100.0, |vitals| vitals.turn_p99_ms),
    row("pause", "the loop stood still", Unit::Seconds, 2.0, 5.0, |vitals| vitals.pause_s),
    row("places", "places in use", Unit::Share, 0.9, 1.0, |vitals| vitals.places).of("of --max-clients"),
    row("turned_away", "connections without a place in the last minute", Unit::Count, 1.0, 10.0, |vitals| vitals.turned_away),
    row("accept", "connections that could not be accepted in the last minute", Unit::Count, 1.0, 10.0, |vitals| vitals.accept_errors),
    row("buffered", "memory of what waits", Unit::Share, 0.5, 0.9, |vitals| vitals.buffered).of("of --max-buffered"),
    row("shed", "deliveries shed over --max-buffered in the last minute", Unit::Count, 1.0, 1.0, |vitals| vitals.shed),
    row("dropped", "dropped in the last minute", Unit::Share, 0.01, 0.1, |vitals| vitals.dropped)
        .of("of deliveries in rooms and topics")
        .ill_only_if(|vitals| vitals.missed >= MISSED_MIN && vitals.cut >= CUT_MIN),
    row("unfinished", "memory of what is not whole", Unit::Share, 0.5, 0.9, |vitals| vitals.unfinished).of("of what it may take"),
    row("log", "lines that the log did not take in the last minute", Unit::Count, 1.0, NEVER, |vitals| vitals.log_lines_lost),
    row("ledger", "deliveries that the ledger cannot account for", Unit::Count, 1.0, 1.0, |vitals| vitals.unbalanced),
];

const fn row(
    what: &'static str,
    subject: &'static str,
    unit: Unit,
    strained: f64,
    ill: f64,
    of: fn(&Vitals) -> f64,
) -> Threshold {
    Threshold { what, subject, whole: "", unit, strained, ill, of, is_grave: |_| true }
}

/// Why the server is not well.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) what: &'static str,
    pub(crate) health: Health,
    pub(crate) value: f64,
    /// The threshold that it has reached.
    pub(crate) threshold: f64,
    /// All of that for people.
    pub(crate) text: String,
    /// When the figure was last there. Since then it is better, and that may last.
    last: Time,
}

impl Health {
    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Health::Well => "well",
            Health::Strained => "strained",
            Health::Ill => "ill",
        }
    }
}

impl Unit {
    /// A little less is not the same as the threshold, so nothing is rounded up to it.
    fn write(self, value: f64) -> String {
        match self {
            Unit::Share => format!("{} %", (value * 100.0 + 1e-9).floor()),
            Unit::Milliseconds => format!("{} ms", value.floor()),
            Unit::Seconds => format!("{} s", value.floor()),
            Unit::Count => format!("{value:.0}"),
        }
    }
}

/// All that is a reason, the worst first, after what was found before. None: the server is well.
pub(crate) fn judge(now: Time, vitals: &Vitals, before: &[Finding]) -> Vec<Finding> {
    let found_before = |row: &Threshold| before.iter().find(|finding| finding.what == row.what);
    let mut findings: Vec<Finding> =
        THRESHOLDS.iter().filter_map(|row| row.judge(now, vitals, found_before(row))).collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.health));
    findings
}

/// The worst of them.
pub(crate) fn worst(findings: &[Finding]) -> Health {
    findings.iter().map(|finding| finding.health).max().unwrap_or_default()
}

impl Threshold {
    const fn of(self, whole: &'static str) -> Threshold {
        Threshold { whole, ..self }
    }

    const fn ill_only_if(self, is_grave: fn(&Vitals) -> bool) -> Threshold {
        Threshold { is_grave, ..self }
    }

    fn judge(&self, now: Time, vitals: &Vitals, before: Option<&Finding>) -> Option<Finding> {
        let value = (self.of)(vitals);
        let reached = self.reached(vitals, value);
        let held = before.filter(|before| before.health > reached && now.since(before.last) < PATIENCE);
        let (health, last) = held.map_or((reached, now), |before| (before.health, before.last));
        let threshold = match health {
            Health::Well => return None,
            Health::Strained => self.strained,
            Health::Ill => self.ill,
        };
        let was = if held.is_some() { "was " } else { "" };
        let text = format!(
            "{}: {} ({was}{} from {})",
            self.subject,
            format!("{} {}", self.unit.write(value), self.whole).trim_end(),
            health.name(),
            self.unit.write(threshold)
        );
        Some(Finding { what: self.what, health, value, threshold, text, last })
    }

    fn reached(&self, vitals: &Vitals, value: f64) -> Health {
        match value {
            _ if value >= self.ill && (self.is_grave)(vitals) => Health::Ill,
            _ if value >= self.strained => Health::Strained,
            _ => Health::Well,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(vitals: Vitals, wanted: &[(&str, Health)]) {
        let findings = judge(Time::default(), &vitals, &[]);
        let found: Vec<_> = findings.iter().map(|finding| (finding.what, finding.health)).collect();
        assert_eq!(found, wanted, "{vitals:?}");
        let wanted = wanted.iter().map(|(_, health)| *health).max().unwrap_or(Health::Well);
        assert_eq!(worst(&findings), wanted);
    }

    #[test]
    fn each_figure_strains_and_sickens_from_its_threshold_on() {
        use Health::{Ill, Strained};
        let well = Vitals::default();
        check(well, &[]);
        check(Vitals { cpu: 0.699, ..well }, &[]);
        check(Vitals { cpu: 0.7, ..well }, &[("cpu", Strained)]);
        check(Vitals { cpu: 0.9, ..well }, &[("cpu", Ill)]);
        check(Vitals { starved: 0.2, ..well }, &[("starved", Strained)]);
        check(Vitals { starved: 0.5, ..well }, &[("starved", Ill)]);
        check(Vitals { turn_p99_ms: 19.9, ..well }, &[]);
        check(Vitals { turn_p99_ms: 20.0, ..well }, &[("turn", Strained)]);
        check(Vitals { turn_p99_ms: 100.0, ..well }, &[("turn", Ill)]);
        check(Vitals { pause_s: 1.9, ..well }, &[]);
        check(Vitals { pause_s: 2.0, ..well }, &[("pause", Strained)]);
        check(Vitals { pause_s: 90.0, ..well }, &[("pause", Ill)]);
        check(Vitals { places: 0.9, ..well }, &[("places", Strained)]);
        check(Vitals { places: 1.0, ..well }, &[("places", Ill)]);
        check(Vitals { turned_away: 1.0, ..well }, &[("turned_away", Strained)]);
        check(Vitals { turned_away: 10.0, ..well }, &[("turned_away", Ill)]);
        check(Vitals { accept_errors: 1.0, ..well }, &[("accept", Strained)]);
        check(Vitals { accept_errors: 10.0, ..well }, &[("accept", Ill)]);
        check(Vitals { buffered: 0.5, ..well }, &[("buffered", Strained)]);
        check(Vitals { buffered: 0.9, ..well }, &[("buffered", Ill)]);
        check(Vitals { shed: 1.0, ..well }, &[("shed", Ill)]);
        check(Vitals { dropped: 0.01, ..well }, &[("dropped", Strained)]);
        let much = Vitals { dropped: 0.1, missed: 100.0, cut: 2.0, ..well };
        check(much, &[("dropped", Ill)]);
        check(Vitals { missed: 99.0, ..much }, &[("dropped", Strained)]);
        check(Vitals { cut: 1.0, ..much }, &[("dropped", Strained)]);
        check(Vitals { unfinished: 0.5, ..well }, &[("unfinished", Strained)]);
        check(Vitals { unfinished: 0.9, ..well }, &[("unfinished", Ill)]);
        check(Vitals { log_lines_lost: 1e9, ..well }, &[("log", Strained)]);
        check(Vitals { unbalanced: 1.0, ..well }, &[("ledger", Ill)]);
        check(Vitals { cpu: 0.75, places: 1.0, ..well }, &[("places", Ill), ("cpu", Strained)]);
    }

    #[test]
    fn a_reason_says_its_figure_and_its_threshold() {
        let vitals =
            Vitals { cpu: 0.8999, places: 1.0, turn_p99_ms: 99.6, pause_s: 4.9, ..Vitals::default() };
        let findings = judge(Time::default(), &vitals, &[]);
        let texts: Vec<&str> = findings.iter().map(|finding| finding.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "places in use: 100 % of --max-clients (ill from 100 %)",
                "CPU of the one thread: 89 % (strained from 70 %)",
                "p99 of turns (of fewer than 100, the median): 99 ms (strained from 20 ms)",
                "the loop stood still: 4 s (strained from 2 s)",
            ]
        );
    }

    #[test]
    fn it_gets_worse_at_once_and_better_when_that_has_lasted() {
        let mut findings = Vec::new();
        let mut texts = |second: u64, places| {
            let vitals = Vitals { places, ..Vitals::default() };
            findings = judge(Time::from_millis(second * 1_000), &vitals, &findings);
            findings.iter().map(|finding| finding.text.clone()).collect::<Vec<_>>()
        };
        assert_eq!(texts(0, 0.9), ["places in use: 90 % of --max-clients (strained from 90 %)"]);
        let ill = ["places in use: 100 % of --max-clients (ill from 100 %)"];
        assert_eq!(texts(1, 1.0), ill);
        for second in 2..11 {
            let wanted = ["places in use: 95 % of --max-clients (was ill from 100 %)"];
            assert_eq!(texts(second, 0.95), wanted, "{second}");
        }
        assert_eq!(texts(11, 0.95), ["places in use: 95 % of --max-clients (strained from 90 %)"]);
        assert_eq!(texts(20, 0.1), ["places in use: 10 % of --max-clients (was strained from 90 %)"]);
        assert_eq!(texts(21, 0.1), [""; 0]);
        assert_eq!(texts(22, 1.0), ill);
    }

    #[test]
    fn operators_are_told_the_thresholds() {
        const DOCUMENT: &str = include_str!("../../OPERATING.md");
        let write = |row: &Threshold, value: f64| {
            if value == NEVER { "never".to_owned() } else { row.unit.write(value) }
        };
        for row in THRESHOLDS {
            let start = format!("| `{}` | ", row.what);
            let end = format!(" | {} | {} |", write(row, row.strained), write(row, row.ill));
            let line = DOCUMENT.lines().find(|line| line.starts_with(&start));
            assert!(line.is_some_and(|line| line.ends_with(&end)), "{start}…{end}: {line:?}");
        }
        let rows = DOCUMENT.lines().skip_while(|line| !line.starts_with("| reason | ")).skip(2);
        assert_eq!(rows.take_while(|line| line.starts_with('|')).count(), THRESHOLDS.len());
    }
}
