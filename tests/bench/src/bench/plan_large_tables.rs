//! Two tables of the field, planned without being written: 272 million rows, and one without anything new.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::Value;
use thaw_e2e::{Stage, scale};
use thaw_harness::TestVhost;

use super::plan_100k_chunks::setting;
use crate::figure::{Figure, Goal};
use crate::rig::Rig;
use crate::rounds::Side;

pub(super) async fn measure(rig: &mut Rig) -> Result<Vec<Figure>> {
    let vhost = TestVhost::create_on(&rig.rabbit.url(), rig.rabbit.control().clone())?;
    let stage = scale::field_note_5("date_range_offset", setting(rig, &vhost).await?).await?;
    let (planned, large) = dry_runs(rig, &stage, "plan_272m_rows_s").await?;
    ensure!(planned["chunks"]["count"] == scale::CHUNKS, "{planned}");
    let stage = scale::nothing_new(setting(rig, &vhost).await?).await?;
    let (planned, nothing) = dry_runs(rig, &stage, "plan_nothing_new_s").await?;
    ensure!(planned["chunks"]["count"].as_u64().is_some_and(|chunks| chunks <= 1), "{planned}");
    Ok(vec![large.goal(Goal::AtMost(3.0)), nothing.goal(Goal::AtMost(1.0))])
}

/// Plans without writing; how long that takes, its statements included.
async fn dry_runs(rig: &Rig, stage: &Stage, name: &str) -> Result<(Value, Figure)> {
    let (mut seconds, mut planned) = (Side::default(), Value::Null);
    for _ in 0..rig.rounds {
        stage.emulator.clear_statements().await?;
        let start = Instant::now();
        planned = scale::dry_run(stage).await?;
        seconds.add(start.elapsed().as_secs_f64());
    }
    let (statements, scans) = scale::statements(stage).await?;
    let figure = Figure::new(name, seconds.median()?, "s")
        .note(format!("{scans} statements scan a table; all statements of one together: {statements:.2} s"));
    Ok((planned, figure))
}
