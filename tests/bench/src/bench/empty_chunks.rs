//! One worker with the usual six slots, and chunks that turn out to have no rows: what a chunk costs by itself.

use anyhow::Result;

use crate::data_set::hollow;
use crate::figure::{Figure, Goal, float};
use crate::load::Load;
use crate::rig::{Rig, Start};
use crate::rounds::Side;

/// As if the source had had no row in any of the ranges.
const EMPTIED: &str = "
    update migration_status.migration_chunk_status set expected_rows = 0;
    update migration_status.migration_table_status set expected_rows = 0";

pub(super) async fn measure(rig: &mut Rig) -> Result<Vec<Figure>> {
    let set = hollow(rig.scale);
    rig.fill_source(&set).await?;
    let load = Load { slots: 6, ..Load::plain(&set) };
    let names: Vec<&str> = set.columns.iter().map(|(name, ..)| name.as_str()).collect();
    let nothing = format!("select {} from {} where 1 = 0", names.join(", "), set.source());
    let mut seconds = Side::default();
    for _ in 0..rig.rounds {
        let target = rig.target(&set, Start::Plain).await?;
        let planned = rig.plan(&load, &target).await?;
        planned.client.batch_execute(EMPTIED).await?;
        rig.emulator.answer("hollow", &nothing).await?;
        let cost = rig.work(&load, &planned).await?;
        rig.emulator.clear_answers().await?;
        seconds.add(cost.seconds);
    }
    let figure = Figure::new("empty_chunks_per_s", float(set.rows) / seconds.median()?, "chunks/s")
        .goal(Goal::AtLeast(500.0))
        .note(format!("{} chunks, one worker, 6 slots: {} s", set.rows, seconds.spread()));
    Ok(vec![figure])
}
