//! Rows a second of 1, 2, 4 and 8 workers of one slot, beside what PostgreSQL takes from as many psql at once in its own
//! binary format, and the CPU that the emulator has cost.

use std::path::PathBuf;

use anyhow::Result;

use crate::data_set::{DataSet, lineitem};
use crate::figure::{Figure, float};
use crate::load::Load;
use crate::psql;
use crate::rig::{Rig, Start};

pub(super) async fn measure(rig: &mut Rig) -> Result<Vec<Figure>> {
    let set = lineitem(rig.scale);
    // Chunks enough for eight.
    let plain = Load::plain(&set);
    let load = Load { batch: plain.batch.min(set.rows.div_ceil(24)), ..plain };
    rig.warm_up(&load).await?;
    let binary = binary_file(rig, &set).await?;
    let mut figures = Vec::new();
    for workers in [1, 2, 4, 8] {
        let cost = rig.load(&Load { workers, ..load.clone() }).await?;
        let limit = copies_at_once(rig, &load, (&binary, workers)).await?;
        figures.push(
            Figure::new(format!("scale_{workers}_workers"), cost.rate(), "rows/s")
                .note(format!(
                    "PostgreSQL takes {limit:.0} rows/s from {workers} psql with binary files: {:.2} of that",
                    cost.rate() / limit
                ))
                .note(format!(
                    "{:.2} s; CPU of the workers {:.2} s, of the emulator {:.2} s",
                    cost.seconds, cost.worker_cpu, cost.emulator_cpu
                )),
        );
    }
    std::fs::remove_file(binary)?;
    Ok(figures)
}

async fn binary_file(rig: &mut Rig, set: &DataSet) -> Result<PathBuf> {
    let target = rig.target(set, Start::Plain).await?;
    psql::run(&target, &psql::copy_csv(set.name, &rig.csv(set)), rig.folder()).await?;
    let file = rig.folder().join(format!("{}.binary", set.name));
    let quarter = format!("(select * from {} limit {})", set.name, quarter(set));
    psql::export(&target, &quarter, (&file, "binary"), rig.folder()).await?;
    Ok(file)
}

/// Rows that each psql loads.
fn quarter(set: &DataSet) -> u64 {
    set.rows.div_ceil(4)
}

/// Rows a second of so many psql, all into one table.
async fn copies_at_once(rig: &mut Rig, load: &Load, (file, count): (&PathBuf, usize)) -> Result<f64> {
    let target = rig.target(&load.set, Start::Plain).await?;
    let script = format!("\\copy {} from '{}' (format binary)\n", load.set.name, file.display());
    let start = std::time::Instant::now();
    let folder = rig.folder();
    let copies = async || psql::run(&target, &script, folder).await;
    match count {
        1 => drop(copies().await?),
        2 => drop(tokio::try_join!(copies(), copies())?),
        4 => drop(tokio::try_join!(copies(), copies(), copies(), copies())?),
        _ => {
            let half = async || tokio::try_join!(copies(), copies(), copies(), copies());
            tokio::try_join!(half(), half())?;
        }
    }
    let rows = quarter(&load.set) * u64::try_from(count)?;
    Ok(float(rows) / start.elapsed().as_secs_f64())
}
