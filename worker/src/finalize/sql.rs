//! The statements that look at a loaded target.

use thaw_model::plan::TargetPlan;

/// What stands in the way of a count, or explains one that differs. Catalogue and statistics only.
pub(super) const CIRCUMSTANCES: &str = "\
    select has_table_privilege(c.oid, 'select') and not row_security_active(c.oid) as may_read, \
           c.relkind = 'p' or exists (select from pg_catalog.pg_inherits i where i.inhparent = c.oid) as has_parts, \
           exists (select from pg_catalog.pg_trigger g \
                   where g.tgrelid = c.oid and not g.tgisinternal and g.tgenabled <> 'D') as has_triggers, \
           exists (select from pg_catalog.pg_rewrite r where r.ev_class = c.oid) as has_rules, \
           exists (select from pg_catalog.pg_constraint k \
                   where k.conrelid = c.oid and k.contype = 'f' and k.confdeltype = 'c') as cascades, \
           coalesce(pg_catalog.pg_stat_get_tuples_deleted(c.oid), 0) as deleted \
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
    where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p')";

/// Rows of the target, or those of a condition.
pub(super) fn count(target: &TargetPlan, condition: Option<&str>) -> String {
    let condition = condition.map(|condition| format!(" where {condition}")).unwrap_or_default();
    format!("select count(*) as rows from {}.{}{condition}", target.schema.quoted(), target.table.quoted())
}
