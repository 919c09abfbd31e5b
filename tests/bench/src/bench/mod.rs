//! The benches, one file each, in the order in which they run.

mod copy_1slot;
mod copy_2slot;
mod data_sets;
mod empty_chunks;
mod emulator_limit;
mod fleet_e2e;
mod initial_date_load;
mod one_scan;
mod plan_100k_chunks;
mod plan_large_tables;
mod scale_1_to_8_workers;
mod status_queries;
mod upsert_identical;
mod upsert_insert;
mod upsert_update;
mod worker_rss;

use anyhow::{Result, bail};

use crate::figure::Figure;
use crate::rig::Rig;

/// Each is the beginning of the names of its figures.
pub(crate) const NAMES: [&str; 16] = [
    "copy_1slot",
    "copy_2slot",
    "data_sets",
    "upsert_insert",
    "upsert_update",
    "upsert_identical",
    "initial_date_load",
    "fleet_e2e",
    "scale_1_to_8_workers",
    "one_scan",
    "emulator_limit",
    "worker_rss",
    "plan_100k_chunks",
    "plan_large_tables",
    "empty_chunks",
    "status_queries",
];

/// Runs one of [`NAMES`].
///
/// # Errors
/// Something it needs fails, or rows are missing; a figure that misses its goal is no error.
pub(crate) async fn run(name: &str, rig: &mut Rig) -> Result<Vec<Figure>> {
    match name {
        "copy_1slot" => copy_1slot::measure(rig).await,
        "copy_2slot" => copy_2slot::measure(rig).await,
        "data_sets" => data_sets::measure(rig).await,
        "upsert_insert" => upsert_insert::measure(rig).await,
        "upsert_update" => upsert_update::measure(rig).await,
        "upsert_identical" => upsert_identical::measure(rig).await,
        "initial_date_load" => initial_date_load::measure(rig).await,
        "fleet_e2e" => fleet_e2e::measure(rig).await,
        "scale_1_to_8_workers" => scale_1_to_8_workers::measure(rig).await,
        "one_scan" => one_scan::measure(rig).await,
        "emulator_limit" => emulator_limit::measure(rig).await,
        "worker_rss" => worker_rss::measure(rig).await,
        "plan_100k_chunks" => plan_100k_chunks::measure(rig).await,
        "plan_large_tables" => plan_large_tables::measure(rig).await,
        "empty_chunks" => empty_chunks::measure(rig).await,
        "status_queries" => status_queries::measure(rig).await,
        other => bail!("there is no bench {other}"),
    }
}
