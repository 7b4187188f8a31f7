//! The load: what is done to a server, and what is measured meanwhile.

mod churn;
mod closed_loop;
mod firehose;
mod hearing;
mod idle;
mod latency;
mod plan;
mod run;
mod stalled;

use crate::measurement::Measurement;
pub(crate) use plan::{Arguments, Plan, Scenario};
use run::Run;

/// Does a scenario.
///
/// # Errors
/// If the plan cannot be done, or the clients cannot connect. What the server does wrong after that is among
/// the measurement's problems.
pub(crate) fn measure(scenario: Scenario, plan: &Plan) -> Result<Measurement, String> {
    plan.check(scenario)?;
    let mut run = Run::new(scenario, plan)?;
    let outcome = match scenario {
        Scenario::Fanout | Scenario::Wide => closed_loop::fanout(&mut run),
        Scenario::Echo => closed_loop::echo(&mut run),
        Scenario::Latency => latency::measure(&mut run),
        Scenario::Idle => idle::measure(&mut run),
        Scenario::Stalled => stalled::measure(&mut run),
        Scenario::Churn => churn::measure(&mut run),
    };
    run.conclude(scenario, outcome)
}
