//! Sequences owned by loaded columns: behind the greatest loaded value (the least, where one counts down), so that the
//! application's next insert does not collide.

use thaw_model::TablePlan;
use thaw_model::plan::{Decision, PlannedColumn};
use thaw_postgres::Client;
use thaw_status::{FinalizeClaim, Step, StoreError, begin_step};

/// The sequences that columns of the table own (of serial and of identity columns): column, sequence as SQL text, its
/// bounds, whether it counts down, and what this role may do with it.
const OWNED: &str = "
    select a.attname as column_name,
           format('%I.%I', sn.nspname, s.relname) as sequence_name,
           q.seqincrement < 0 as counts_down, q.seqmin as least, q.seqmax as greatest,
           has_sequence_privilege(s.oid, 'update') and has_sequence_privilege(s.oid, 'select')
             and has_schema_privilege(sn.oid, 'usage') as settable,
           a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype) as is_number,
           has_column_privilege(t.oid, a.attnum, 'select') as may_read
    from pg_class t
    join pg_namespace tn on tn.oid = t.relnamespace
    join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = t.oid and d.deptype in ('a', 'i')
      and d.classid = 'pg_class'::regclass
    join pg_class s on s.oid = d.objid and s.relkind = 'S'
    join pg_namespace sn on sn.oid = s.relnamespace
    join pg_sequence q on q.seqrelid = s.oid
    join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
    where tn.nspname = $1 and t.relname = $2
    order by a.attnum";

/// Moves each sequence behind its column's last value; never back. Idempotent.
pub(super) async fn advance(
    client: &mut Client,
    (claim, plan): (&FinalizeClaim, &TablePlan),
    decisions: &mut Vec<Decision>,
) -> Result<(), StoreError> {
    let target = &plan.target;
    let mut leave = |sequence: &str, reason: &str| {
        decisions.push(Decision {
            subject: "sequence".to_owned(),
            choice: format!("{sequence} left as it is"),
            reason: reason.to_owned(),
        });
    };
    for row in client.query(OWNED, &[&target.schema.as_str(), &target.table.as_str()]).await? {
        let column: String = row.try_get("column_name")?;
        let sequence: String = row.try_get("sequence_name")?;
        let Some(planned) = plan.columns.iter().find(|planned| planned.target.as_str() == column) else {
            continue;
        };
        if !row.try_get::<_, bool>("settable")? {
            leave(&sequence, "this role may not set it");
            continue;
        }
        if !row.try_get::<_, bool>("may_read")? {
            leave(&sequence, "this role may not read its column");
            continue;
        }
        if !row.try_get::<_, bool>("is_number")? {
            leave(&sequence, "its column holds no numbers");
            continue;
        }
        let statement = set_behind(plan, planned, &sequence, row.try_get("counts_down")?);
        let bounds: [i64; 2] = [row.try_get("least")?, row.try_get("greatest")?];
        let transaction = begin_step(client, claim, Step::Sequences).await?;
        match transaction.query_one(&statement, &[&bounds[0], &bounds[1]]).await.map_err(StoreError::from) {
            Ok(row) => {
                let is_beyond: bool = row.try_get("is_beyond")?;
                transaction.commit().await?;
                if is_beyond {
                    leave(&sequence, "its column holds values that it cannot reach");
                }
            }
            Err(error) if error.is_cancelled() => {
                leave(&sequence, "reading its column was cancelled, or took more than 10 minutes");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// One row: whether the column's last value lies beyond the sequence's bounds ($1, $2). A value before its beginning
/// moves nothing.
fn set_behind(plan: &TablePlan, column: &PlannedColumn, sequence: &str, counts_down: bool) -> String {
    let target = &plan.target;
    let (last, before, beyond) = if counts_down {
        ("min", "<", "loaded.last < $1::bigint")
    } else {
        ("max", ">", "loaded.last > $2::bigint")
    };
    // What was never called gives its last_value next: that one is taken, too.
    format!(
        "select coalesce({beyond}, false) as is_beyond,
                case when loaded.last between $1::bigint and $2::bigint
                     and (loaded.last {before} now.last_value or loaded.last = now.last_value and not now.is_called)
                     then setval('{name}'::regclass, loaded.last::bigint) end as set_to
         from (select {last}({column})::numeric as last from {schema}.{table}) loaded,
              (select last_value, is_called from {sequence}) now",
        name = sequence.replace('\'', "''"),
        column = column.target.quoted(),
        schema = target.schema.quoted(),
        table = target.table.quoted(),
    )
}
