//! A worker's peak memory: one chunk of a million rows, and four slots of 250 columns.

use anyhow::Result;

use crate::data_set::{lineitem, mixed_250};
use crate::figure::{Figure, Goal, megabytes, scaled};
use crate::load::Load;
use crate::rig::Rig;

pub(super) async fn measure(rig: &mut Rig) -> Result<Vec<Figure>> {
    // A third of lineitem.
    let set = lineitem(rig.scale);
    let one = Load { batch: scaled(set.rows, 1.0 / 3.0), ..Load::plain(&set) };
    let four = Load { slots: 4, ..Load::plain(&mixed_250(rig.scale)) };
    let mut figures = Vec::new();
    for (load, name, most) in
        [(one, "worker_rss_mb_1slot", 64.0), (four, "worker_rss_mb_4slots_250cols", 150.0)]
    {
        rig.warm_up(&load).await?;
        let mut peak = 0;
        for _ in 0..rig.rounds {
            peak = rig.load(&load).await?.peak_bytes.max(peak);
        }
        figures.push(
            Figure::new(name, megabytes(peak), "MB")
                .goal(Goal::AtMost(most))
                .note(format!("the highest of {}; {} rows a chunk", rig.rounds, load.batch)),
        );
    }
    Ok(figures)
}
