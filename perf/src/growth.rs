//! How costs grow with the number of clients: floor and wsloop, no peers.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use crate::contenders::{Contender, Service, Variant};
use crate::floor::Mode;
use crate::load::{self, Plan, Scenario};
use crate::measurement::Measurement;
use crate::results::{Curve, Growth};

const RECEIVERS: [usize; 4] = [100, 1000, 5000, 19_000];
const IDLE: [usize; 3] = [1000, 10_000, 19_000];
const VISITORS: [usize; 4] = [1, 8, 64, 512];
const MEMBERS: [usize; 4] = [0, 1000, 5000, 19_000];

/// One server: its name, and what was measured at each place, in each round.
type Row = (String, Vec<(usize, Vec<Measurement>)>);

struct Study<'a> {
    contenders: [(&'a str, Contender); 4],
    rounds: usize,
    seconds: f64,
    patience: Duration,
    is_quick: bool,
    problems: RefCell<Vec<String>>,
}

/// All curves, of so many rounds, and what wsloop did wrong meanwhile.
pub(crate) fn measure(
    wsloop: &Path,
    rounds: usize,
    seconds: f64,
    patience: Duration,
    is_quick: bool,
) -> (Vec<Growth>, Vec<String>) {
    let of = |variant| Contender::Wsloop { program: wsloop.to_owned(), variant };
    let contenders = [
        ("floor", Contender::Floor),
        ("wsloop", of(Variant::Raw)),
        ("wsloop, chat room", of(Variant::Room)),
        ("wsloop, compressed", of(Variant::Compressed)),
    ];
    let problems = RefCell::default();
    let study = Study { contenders, rounds, seconds, patience, is_quick, problems };
    let [delivery, turn] = study.deliveries();
    let growths = vec![delivery, turn, study.memory(), study.visits(), study.joins()];
    (growths, study.problems.into_inner())
}

impl Study<'_> {
    /// Fan-out to so many, one message at a time.
    fn deliveries(&self) -> [Growth; 2] {
        let measured = self.curves(&RECEIVERS, &[0, 1, 2, 3], |clients| {
            (Scenario::Fanout, Plan { clients, seconds: self.seconds, ..Plan::usual(Scenario::Fanout) })
        });
        let cpu = |one: &Measurement| one.server.unwrap_or_default().cpu_seconds;
        let growth = |name: &str, title: &str, unit: &str, value: &dyn Fn(&Measurement) -> f64| Growth {
            name: name.to_owned(),
            title: title.to_owned(),
            along: "receivers".to_owned(),
            unit: unit.to_owned(),
            curves: curves_of(&measured, value),
        };
        [
            growth("cost-of-a-delivery", "What a delivery costs", "µs of CPU a delivery", &|one| {
                1e6 * cpu(one) / one.deliveries as f64
            }),
            growth("turn", "What a turn takes that fans one message out", "ms of CPU a message", &|one| {
                1e3 * cpu(one) / one.messages as f64
            }),
        ]
    }

    fn memory(&self) -> Growth {
        let measured = self.curves(&IDLE, &[0, 1, 2, 3], |clients| {
            (Scenario::Idle, Plan { clients, seconds: 0.1, ..Plan::usual(Scenario::Idle) })
        });
        Growth {
            name: "memory".to_owned(),
            title: "Memory of clients that do nothing".to_owned(),
            along: "clients".to_owned(),
            unit: "bytes a client".to_owned(),
            curves: curves_of(&measured, &|one| one.server.unwrap_or_default().memory_per_client_bytes),
        }
    }

    fn visits(&self) -> Growth {
        let measured = self.curves(&VISITORS, &[0, 1], |clients| {
            let usual = Plan::usual(Scenario::Churn);
            (Scenario::Churn, Plan { clients, senders: clients, seconds: self.seconds, ..usual })
        });
        Growth {
            name: "visits".to_owned(),
            title: "Clients that come, hear one echo and go".to_owned(),
            along: "clients at a time".to_owned(),
            unit: "visits a second".to_owned(),
            curves: curves_of(&measured, &|one| one.handshakes.map_or(f64::NAN, |visits| visits.per_second)),
        }
    }

    /// Joining a room of so many, and leaving it again. Its members are told of counts, once a second.
    fn joins(&self) -> Growth {
        let measured = self.curves(&MEMBERS, &[1, 2], |idle| {
            let usual = Plan::usual(Scenario::Churn);
            (Scenario::Churn, Plan { idle, silent: true, senders: 0, seconds: self.seconds, ..usual })
        });
        Growth {
            name: "joins".to_owned(),
            title: "Joining and leaving a room".to_owned(),
            along: "members that stay".to_owned(),
            unit: "µs of CPU a visit".to_owned(),
            curves: curves_of(&measured, &|one| {
                let visits = one.handshakes.map_or(f64::NAN, |visits| visits.count as f64);
                1e6 * one.server.unwrap_or_default().cpu_seconds / visits
            }),
        }
    }

    /// Measurements by contender, at each place, of each round.
    fn curves(
        &self,
        places: &[usize],
        contenders: &[usize],
        plan: impl Fn(usize) -> (Scenario, Plan),
    ) -> Vec<Row> {
        // The first two, with a hundredth of the clients.
        let some = if self.is_quick { 2 } else { places.len() };
        let divisor = if self.is_quick { 100 } else { 1 };
        let places: Vec<usize> = places.iter().take(some).map(|place| place.div_ceil(divisor)).collect();
        let mut measured: Vec<Row> = contenders
            .iter()
            .map(|&index| {
                (
                    self.contenders[index].0.to_owned(),
                    places.iter().map(|&place| (place, Vec::new())).collect(),
                )
            })
            .collect();
        for round in 0..self.rounds {
            for (column, &place) in places.iter().enumerate() {
                for (row, &index) in contenders.iter().enumerate() {
                    let (label, contender) = &self.contenders[index];
                    let (scenario, mut plan) = plan(place);
                    plan.clients = plan.clients.max(1);
                    plan.senders = plan.senders.min(plan.clients);
                    plan.patience = self.patience;
                    eprintln!(
                        "growth, {} at {place}, round {} of {}: {label}",
                        scenario.name(),
                        round + 1,
                        self.rounds
                    );
                    match once(contender, scenario, &plan) {
                        Ok(measurement) => measured[row].1[column].1.push(measurement),
                        Err(problem) => {
                            eprintln!("  {problem}");
                            self.problems
                                .borrow_mut()
                                .push(format!("growth, {} at {place}, {label}: {problem}", scenario.name()));
                        }
                    }
                }
            }
        }
        measured
    }
}

fn once(contender: &Contender, scenario: Scenario, plan: &Plan) -> Result<Measurement, String> {
    let is_room = contender.variant() == Some(Variant::Room);
    let is_echo = scenario == Scenario::Churn && !plan.silent;
    let (service, mode) =
        if is_echo { (Service::Echo, Mode::Echo) } else { (Service::Broadcast, Mode::Direct) };
    let server = contender.start(service, mode)?;
    let plan = Plan {
        url: server.url.clone(),
        pid: Some(server.pid()),
        text: is_room,
        compression: contender.variant() == Some(Variant::Compressed),
        quiet: true,
        ..plan.clone()
    };
    let measurement = load::measure(scenario, &plan)?;
    // Nothing is drawn of a run that went wrong.
    match measurement.problems.first() {
        None => Ok(measurement),
        Some(problem) => Err(problem.clone()),
    }
}

fn curves_of(measured: &[Row], value: &dyn Fn(&Measurement) -> f64) -> Vec<Curve> {
    let curve = |(label, points): &Row| Curve {
        label: label.clone(),
        points: points
            .iter()
            .map(|(place, rounds)| (*place as f64, rounds.iter().map(value).collect()))
            .collect(),
    };
    measured.iter().map(curve).collect()
}
