//! All of lineitem from the planner's start to the run's end: two workers, RabbitMQ, against one `psql \copy`.

use anyhow::Result;

use crate::data_set::lineitem;
use crate::figure::{Figure, Goal, float};
use crate::load::Load;
use crate::psql;
use crate::rig::Rig;
use crate::rounds::Side;

pub(super) async fn measure(rig: &mut Rig) -> Result<Vec<Figure>> {
    let load = Load { workers: 2, ..Load::plain(&lineitem(rig.scale)) };
    rig.warm_up(&load).await?;
    let script = psql::copy_csv(load.set.name, &rig.csv(&load.set));
    let (mut fleet, mut copy) = (Side::default(), Side::default());
    for _ in 0..rig.rounds {
        copy.add(rig.psql(&load, &script).await?);
        fleet.add(rig.run_fleet(&load).await?.whole_seconds);
    }
    let rows = float(load.set.rows);
    let figure = Figure::new("fleet_e2e_vs_psql_copy", copy.median()? / fleet.median()?, "ratio")
        .goal(Goal::AtLeast(0.9))
        .note(format!(
            "{rows} rows; planning, loading, ANALYZE and all: {} s against {} s",
            fleet.spread(),
            copy.spread()
        ));
    Ok(vec![figure])
}
