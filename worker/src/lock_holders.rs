//! The names of those who hold locks on a target, for the text of a lock timeout.

use thaw_model::plan::TargetPlan;
use tokio_postgres::Client;

/// `pid 4711 (psql), pid 4712 (report)`; `None`: nobody any more, or it cannot be asked.
pub(crate) async fn lock_holders(client: &Client, target: &TargetPlan) -> Option<String> {
    let holders = thaw_postgres::blocking::blocking_pids(client, &target.schema, &target.table).await.ok()?;
    let names: Vec<String> =
        holders.iter().map(|holder| format!("pid {} ({})", holder.pid, holder.application_name)).collect();
    if names.is_empty() { None } else { Some(names.join(", ")) }
}
