//! Lineitem without a key: a worker with one slot against `psql \copy` from a CSV file.

use anyhow::Result;

use crate::data_set::lineitem;
use crate::figure::{Figure, Goal, float};
use crate::load::Load;
use crate::psql;
use crate::rig::Rig;
use crate::rounds::Side;

pub(super) async fn measure(rig: &mut Rig) -> Result<Vec<Figure>> {
    let load = Load::plain(&lineitem(rig.scale));
    let figure = against_copy(rig, &load, "copy_1slot_vs_psql_copy").await?;
    Ok(vec![figure.goal(Goal::AtLeast(1.1))])
}

/// Rows a second of a load over those of one psql with the same rows into the same table.
///
/// # Errors
/// Either side fails.
pub(super) async fn against_copy(rig: &mut Rig, load: &Load, name: &str) -> Result<Figure> {
    rig.warm_up(load).await?;
    let script = psql::copy_csv(load.set.name, &rig.csv(&load.set));
    let (mut thaw, mut copy, mut cpu) = (Side::default(), Side::default(), Side::default());
    for _ in 0..rig.rounds {
        copy.add(rig.psql(load, &script).await?);
        let cost = rig.load(load).await?;
        thaw.add(cost.seconds);
        cpu.add(cost.worker_cpu);
    }
    let rows = float(load.set.rows);
    let figure = Figure::new(name, copy.median()? / thaw.median()?, "ratio");
    Ok(figure
        .note(format!("{rows} rows of {} columns, {} a chunk", load.set.columns.len(), load.batch))
        .note(format!(
            "{:.0} rows/s ({} s, {:.2} s of them the worker's CPU) against {:.0} rows/s ({} s)",
            rows / thaw.median()?,
            thaw.spread(),
            cpu.median()?,
            rows / copy.median()?,
            copy.spread()
        )))
}
