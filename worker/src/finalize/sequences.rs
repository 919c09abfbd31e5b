//! Sequences owned by loaded columns: behind the greatest loaded value, so that the application's next insert does
//! not collide.

use thaw_model::TablePlan;
use thaw_model::plan::Decision;
use thaw_postgres::{Client, PgError};
use thaw_status::StoreError;

/// The ascending sequences that columns of the table own: column, sequence as SQL text, and whether it may be set.
const OWNED: &str = "
    select a.attname as column_name,
           format('%I.%I', sn.nspname, s.relname) as sequence_name,
           has_sequence_privilege(s.oid, 'update') and has_sequence_privilege(s.oid, 'select') as settable
    from pg_class t
    join pg_namespace tn on tn.oid = t.relnamespace
    join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = t.oid and d.deptype in ('a', 'i')
      and d.classid = 'pg_class'::regclass
    join pg_class s on s.oid = d.objid and s.relkind = 'S'
    join pg_namespace sn on sn.oid = s.relnamespace
    join pg_sequence q on q.seqrelid = s.oid and q.seqincrement > 0
    join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
    where tn.nspname = $1 and t.relname = $2
    order by a.attnum";

/// Moves each sequence up to its column's greatest value; never down. Idempotent.
pub(super) async fn advance(
    client: &Client,
    plan: &TablePlan,
    decisions: &mut Vec<Decision>,
) -> Result<(), StoreError> {
    let target = &plan.target;
    let owned = client.query(OWNED, &[&target.schema.as_str(), &target.table.as_str()]).await?;
    for row in owned {
        let column: String = row.try_get("column_name")?;
        let sequence: String = row.try_get("sequence_name")?;
        let Some(planned) = plan.columns.iter().find(|planned| planned.target.as_str() == column) else {
            continue;
        };
        if !row.try_get::<_, bool>("settable")? {
            decisions.push(Decision {
                subject: "sequence".to_owned(),
                choice: format!("{sequence} left as it is"),
                reason: "this role may not set it".to_owned(),
            });
            continue;
        }
        let statement = format!(
            "select setval('{}'::regclass, loaded.greatest)
             from (select max({})::bigint as greatest from {}.{}) loaded
             where loaded.greatest >= (select last_value from {sequence})",
            sequence.replace('\'', "''"),
            planned.target.quoted(),
            target.schema.quoted(),
            target.table.quoted(),
        );
        client.query_opt(&statement, &[]).await.map_err(PgError::from)?;
    }
    Ok(())
}
