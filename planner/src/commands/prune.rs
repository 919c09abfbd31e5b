//! `planner prune --older-than 30d`: erases what old runs left in the status tables, except what bounds need.

use std::time::Duration;

use thaw_config::Config;
use thaw_status::StoreError;
use thaw_status::prune::{self, Pruned};

use crate::exit::Exit;
use crate::output;
use crate::session::Session;

/// Prunes every configured database and says what went.
pub async fn execute(older_than: Duration, dry_run: bool, config: &Config) -> Exit {
    let session = match Session::new(config) {
        Ok(session) => session,
        Err(error) => {
            output::complaint(format!("error: snowflake: {error}"));
            return Exit::Configuration;
        }
    };
    for name in session.pools.databases() {
        match prune_one(&session, &name, older_than, dry_run).await {
            Ok(pruned) => output::result(format!("{name}: {}", describe(&pruned, dry_run))),
            // A database that no run has touched yet.
            Err(error) if error.is_schema_missing() => {}
            Err(error) => {
                output::complaint(format!("error: database \"{name}\": {error}"));
                return Exit::Configuration;
            }
        }
    }
    Exit::Completed
}

async fn prune_one(
    session: &Session,
    name: &str,
    older_than: Duration,
    dry_run: bool,
) -> Result<Pruned, StoreError> {
    let mut client = session.pools.pool(name)?.get().await?;
    thaw_status::check_version(&client).await?;
    prune::prune(&mut client, older_than, dry_run).await
}

fn describe(pruned: &Pruned, dry_run: bool) -> String {
    let Pruned { runs, tables, chunks, kept_tables, erased_ranges, erased_rows } = pruned;
    let would = if dry_run { "would be " } else { "" };
    format!(
        "{runs} run(s), {tables} table(s) and {chunks} chunk(s) {would}deleted; {kept_tables} table(s) are kept for the \
         bounds of later runs, {erased_ranges} range(s) and the values of {erased_rows} quarantined row(s) of theirs \
         {would}erased"
    )
}
