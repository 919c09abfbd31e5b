//! Statistics for the planner of the target database.

use thaw_model::TablePlan;
use thaw_model::plan::Decision;
use thaw_postgres::Client;
use thaw_status::{FinalizeClaim, Step, StoreError, begin_step};

/// PostgreSQL only warns when somebody who may not analyzes a table, and skips it.
const MAY_ANALYZE: &str = "
    select pg_has_role(current_user, c.relowner, 'usage') as may_analyze
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = $1 and c.relname = $2";

/// ANALYZE, or a decision that says why not. Idempotent.
pub(super) async fn analyze(
    client: &mut Client,
    (claim, plan): (&FinalizeClaim, &TablePlan),
    decisions: &mut Vec<Decision>,
) -> Result<(), StoreError> {
    let mut leave_out = |reason: &str| {
        decisions.push(Decision {
            subject: "analyze".to_owned(),
            choice: "left out".to_owned(),
            reason: reason.to_owned(),
        });
    };
    let target = &plan.target;
    let row = client.query_opt(MAY_ANALYZE, &[&target.schema.as_str(), &target.table.as_str()]).await?;
    let may_analyze = match row {
        Some(row) => row.try_get("may_analyze")?,
        None => false,
    };
    if !may_analyze {
        leave_out("only the table's owner may analyze it");
        return Ok(());
    }
    let name = format!("{}.{}", target.schema.quoted(), target.table.quoted());
    let transaction = begin_step(client, claim, Step::Analyze).await?;
    match transaction.batch_execute(&format!("analyze {name}")).await.map_err(StoreError::from) {
        Ok(()) => Ok(transaction.commit().await?),
        Err(error) if error.is_cancelled() => {
            leave_out("it was cancelled, or took longer than postgres.statement_timeout_seconds");
            Ok(())
        }
        Err(error) => Err(error),
    }
}
