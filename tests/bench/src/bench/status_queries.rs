//! The status tables under fleets of 100 to 3,000 workers: the time of their statements, and what gives way first.

use std::time::Duration;

use anyhow::Result;

use crate::figure::{Figure, Goal, float, scaled};
use crate::rig::Rig;
use crate::simulated_fleet::{Outcome, Simulation, WAIT};

/// What a pooler in front of the server would be given: a few for each core.
const CONNECTIONS: usize = 16;
/// Long enough for heartbeats and redispatch to have happened several times.
const LIMIT: Duration = Duration::from_secs(30);
/// The fleet that the goal is about works all chunks off.
const LIMIT_OF_GOAL: Duration = Duration::from_secs(180);

pub(super) async fn measure(rig: &mut Rig) -> Result<Vec<Figure>> {
    let chunks = scaled(100_000, rig.scale.min(1.0));
    let mut figures = Vec::new();
    for workers in [100, 300, 1000, 3000] {
        let limit = if workers == 1000 { LIMIT_OF_GOAL } else { LIMIT };
        let outcome =
            Simulation::prepare(&rig.target, chunks).await?.run(workers, CONNECTIONS, limit).await?;
        let figure = figure(format!("status_queries_p99_ms_{workers}_workers"), &outcome, CONNECTIONS);
        figures.push(if workers == 1000 { figure.goal(Goal::AtMost(50.0)) } else { figure });
    }
    // Without a pooler every worker has its own: what the server makes of that.
    for connections in [64, 250] {
        let simulation = Simulation::prepare(&rig.target, chunks).await?;
        let outcome = simulation.run(connections, connections, LIMIT).await?;
        let name = format!("status_queries_p99_ms_{connections}_connections");
        figures.push(figure(name, &outcome, connections));
    }
    Ok(figures)
}

fn figure(name: String, outcome: &Outcome, connections: usize) -> Figure {
    let times = &outcome.times;
    let kinds: Vec<String> = times
        .kinds()
        .into_iter()
        .map(|kind| format!("{kind} {:.1}/{:.1}", times.quantile(kind, 0.5), times.quantile(kind, 0.99)))
        .collect();
    Figure::new(name, times.quantile_of_all(0.99), "ms")
        .note(format!(
            "{} chunks in {:.1} s: {:.0} chunks/s over {connections} connections; {} statements",
            outcome.completed,
            outcome.seconds,
            float(outcome.completed) / outcome.seconds.max(0.001),
            times.count()
        ))
        .note(format!("median/p99 ms: {}", kinds.join(", ")))
        .note(format!(
            "wait for a connection: {:.0}/{:.0} ms",
            times.quantile(WAIT, 0.5),
            times.quantile(WAIT, 0.99)
        ))
}
