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
           coalesce(pg_catalog.pg_stat_get_tuples_deleted(c.oid), 0) as deleted, \
           not pg_catalog.current_setting('track_counts')::boolean as is_uncounted \
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
    where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p')";

/// Why deletions since the start of table `$1` may not show: a reset of the statistics (a crash is one, too), or a session
/// that has been in a transaction for `$2` seconds, for one reports what it did before only behind it. Sessions of other
/// roles are seen where this one may see them.
pub(super) const UNREPORTED: &str = "\
    select coalesce(greatest((select d.stats_reset from pg_catalog.pg_stat_database d \
                              where d.datname = current_database()), \
                             (select w.stats_reset from pg_catalog.pg_stat_bgwriter w)) > t.started_at, false) as is_reset, \
           exists (select from pg_catalog.pg_stat_activity a \
                   where a.datname = current_database() and a.backend_type = 'client backend' \
                     and a.pid <> pg_backend_pid() and a.application_name not like 'thaw/%' \
                     and a.xact_start < clock_timestamp() - $2::float8 * interval '1 second') as is_late \
    from migration_status.migration_table_status t where t.table_id = $1";

/// Rows of the target, or those of a condition.
pub(super) fn count(target: &TargetPlan, condition: Option<&str>) -> String {
    let condition = condition.map(|condition| format!(" where {condition}")).unwrap_or_default();
    format!("select count(*) as rows from {}.{}{condition}", target.schema.quoted(), target.table.quoted())
}
