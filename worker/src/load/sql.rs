//! Every statement of a load, rendered from the plan. Identifiers are quoted, nothing else of the plan becomes SQL,
//! and no value ever does.

use thaw_model::plan::{Arbiter, PlannedColumn};
use thaw_model::target_type::TextKind;
use thaw_model::{PgIdent, TablePlan, TargetType};

/// The staging table of a load transaction; a session has one at most.
const STAGE: &str = "pg_temp.thaw_stage";

/// Whether the target is partitioned: there, RETURNING cannot read system columns. Catalogue only.
pub(super) const IS_PARTITIONED: &str = "select exists (select 1 from pg_catalog.pg_class c \
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
     where n.nspname = $1 and c.relname = $2 and c.relkind = 'p')";

/// The root of a partition's index, by the names an error gives: the arbiter is known by its root's name.
pub(super) const ROOT_INDEX: &str = "select r.relname from pg_catalog.pg_class i \
     join pg_catalog.pg_namespace n on n.oid = i.relnamespace \
     join pg_catalog.pg_class r on r.oid = pg_catalog.pg_partition_root(i.oid) \
     where n.nspname = $1 and i.relname = $2 and i.relkind in ('i', 'I')";

/// Ends the session that asks.
pub(super) const END_SESSION: &str = "select pg_terminate_backend(pg_backend_pid())";

/// What of target and stage a merge depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// The target has partitions: there RETURNING cannot read system columns.
    pub(super) partitioned: bool,
    /// Some key stands in more than one row of the stage.
    pub(super) repeated: bool,
}

/// COPY straight into the target. It takes the given values for identity columns of either kind.
pub(super) fn copy_into_target(plan: &TablePlan) -> String {
    format!("copy {} ({}) from stdin (format binary)", target(plan), column_list(&plan.columns))
}

/// What COPY needs, asked in a way that may fail: the relation, its columns, the grant and the lock. The driver loses
/// step with the server when a COPY is refused before its first byte (it sends one Sync too many), so that everything
/// that can refuse it is tried first. EXPLAIN fires no trigger and writes nothing.
pub(super) fn try_target(plan: &TablePlan) -> String {
    let nulls = vec!["null"; plan.columns.len()].join(", ");
    format!(
        "explain (costs off) insert into {} ({}) overriding system value select {nulls} where false",
        target(plan),
        column_list(&plan.columns)
    )
}

/// A staging table with the target's types and a column for the row's position. Types come from the target itself,
/// so that the plan need not spell them. Compiling the merge would take longer than running it.
pub(super) fn create_stage(plan: &TablePlan) -> String {
    format!(
        "set local jit = off; create temporary table {STAGE} on commit drop as \
         select {}, null::bigint as {} from {} with no data",
        column_list(&plan.columns),
        ordinal(plan).quoted(),
        target(plan)
    )
}

/// What the planner must know of the stage: without it, it takes any number of rows for two hundred keys. How many rows
/// there are matters, not which: a small sample tells.
pub(super) fn analyze_stage(arbiter: &Arbiter) -> String {
    format!("set local default_statistics_target = 10; analyze {STAGE} ({})", name_list(&arbiter.columns))
}

/// Whether a key stands in more than one row of the stage. Reads the keys alone.
pub(super) fn has_repeated_keys(arbiter: &Arbiter) -> String {
    format!(
        "select exists (select from {STAGE} group by {} having count(*) > 1) as repeated",
        name_list(&arbiter.columns)
    )
}

pub(super) fn copy_into_stage(plan: &TablePlan) -> String {
    format!(
        "copy {STAGE} ({}, {}) from stdin (format binary)",
        column_list(&plan.columns),
        ordinal(plan).quoted()
    )
}

/// Merges the stage into the target and counts in the server: one row `(newest, inserted, updated, tied)`.
///
/// ON CONFLICT locks every row it meets, also those whose WHERE then refuses the write. So rows that do not differ, or
/// are older, are left out by a join first. What the join saw may be another row by the time it is written: the same
/// conditions stand again at the conflict, where PostgreSQL holds the row.
pub(super) fn upsert(plan: &TablePlan, arbiter: &Arbiter, shape: Shape) -> String {
    let changed: Vec<&PlannedColumn> =
        plan.columns.iter().filter(|column| !arbiter.columns.contains(&column.target)).collect();
    if changed.is_empty() {
        // Every column is a key: a row that is there is identical.
        return insert_only(plan, arbiter, shape);
    }
    let assignments: Vec<String> =
        changed.iter().map(|column| format!("{0} = excluded.{0}", column.target.quoted())).collect();
    let was_inserted =
        if shape.partitioned { format!("not {}", was_there(plan, arbiter)) } else { "t.xmax = 0".to_owned() };
    let (tie, tied) = ties(plan, arbiter);
    format!(
        "{newest}, changed as (select newest.*{tie} from newest left join {target} as t on {same_key} \
         where {is_absent} or ({seen})), \
         written as (insert into {target} as t ({columns}){overriding} \
         select {columns} from changed order by {keys} \
         on conflict ({keys}) do update set {assignments} \
         where {guard} \
         returning {was_inserted} as inserted) \
         select {count} as newest, \
         count(*) filter (where inserted) as inserted, count(*) filter (where not inserted) as updated, \
         {tied} as tied from written",
        newest = newest(plan, arbiter, shape),
        count = newest_count(shape),
        target = target(plan),
        same_key = same_key(arbiter),
        is_absent = is_absent(arbiter),
        seen = replaces(plan, &changed, "newest"),
        columns = column_list(&plan.columns),
        overriding = overriding(plan),
        keys = name_list(&arbiter.columns),
        assignments = assignments.join(", "),
        guard = replaces(plan, &changed, "excluded"),
    )
}

/// Inserts what is not there; counts like [`upsert`], with no row updated.
pub(super) fn insert_only(plan: &TablePlan, arbiter: &Arbiter, shape: Shape) -> String {
    format!(
        "{newest}, missing as (select newest.* from newest left join {target} as t on {same_key} where {is_absent}), \
         written as (insert into {target} ({columns}){overriding} \
         select {columns} from missing order by {keys} on conflict ({keys}) do nothing returning 1) \
         select {count} as newest, count(*) as inserted, 0::bigint as updated, \
         0::bigint as tied from written",
        newest = newest(plan, arbiter, shape),
        count = newest_count(shape),
        target = target(plan),
        same_key = same_key(arbiter),
        is_absent = is_absent(arbiter),
        columns = column_list(&plan.columns),
        overriding = overriding(plan),
        keys = name_list(&arbiter.columns),
    )
}

/// NULL where it is the number of staged rows, which COPY has told: no scan of the stage for it.
const fn newest_count(shape: Shape) -> &'static str {
    if shape.repeated { "(select count(*) from newest)" } else { "null::bigint" }
}

/// A column of the changed rows that says which of them the target has with the same watermark, and their count. Where
/// rows have no watermark, or it is a part of the key, a tie says nothing.
fn ties(plan: &TablePlan, arbiter: &Arbiter) -> (String, String) {
    match watermark(plan).filter(|watermark| !arbiter.columns.contains(watermark)) {
        None => (String::new(), "0::bigint".to_owned()),
        Some(watermark) => {
            let (name, tie) = (watermark.quoted(), unused(plan, "thaw_tie").quoted());
            (
                format!(", t.{name} = newest.{name} as {tie}"),
                format!("(select count(*) from changed where {tie})"),
            )
        }
    }
}

/// Before the merge: the rows without a watermark that will be kept out by a row with one. `None`: rows have none.
pub(super) fn watermark_lost(plan: &TablePlan, arbiter: &Arbiter, shape: Shape) -> Option<String> {
    let name = watermark(plan)?.quoted();
    Some(format!(
        "{newest} select count(*) as kept from newest join {target} as t on {same_key} \
         where newest.{name} is null and t.{name} is not null",
        newest = newest(plan, arbiter, shape),
        target = target(plan),
        same_key = same_key(arbiter),
    ))
}

/// The row of `side` is not older than the target's `t`, and differs from it.
fn replaces(plan: &TablePlan, changed: &[&PlannedColumn], side: &str) -> String {
    let differs: Vec<String> = changed
        .iter()
        .map(|column| format!("{} is distinct from {}", comparable("t", column), comparable(side, column)))
        .collect();
    let not_older = watermark(plan)
        .map(|watermark| {
            let name = watermark.quoted();
            format!("(t.{name} is null or t.{name} <= {side}.{name}) and ")
        })
        .unwrap_or_default();
    format!("{not_older}({})", differs.join(" or "))
}

/// Joins `newest` with the target's `t` by equality, which an index or a hash answers. A row with NULL in its key
/// finds nothing here; where the index holds NULLs equal, the conflict itself finds it.
fn same_key(arbiter: &Arbiter) -> String {
    let equal: Vec<String> =
        arbiter.columns.iter().map(|key| format!("t.{0} = newest.{0}", key.quoted())).collect();
    equal.join(" and ")
}

/// The join found no row: a key that was found is not NULL.
fn is_absent(arbiter: &Arbiter) -> String {
    arbiter.columns.first().map_or_else(|| "true".to_owned(), |key| format!("t.{} is null", key.quoted()))
}

/// One row a key: the newest by the watermark, of equal ones the last. Rows with a NULL key conflict with nothing where
/// the index holds NULLs distinct: all of them stay. Where no key is repeated, that is the stage, and nothing is sorted.
fn newest(plan: &TablePlan, arbiter: &Arbiter, shape: Shape) -> String {
    if !shape.repeated {
        return format!("with newest as not materialized (select * from {STAGE})");
    }
    let keys = name_list(&arbiter.columns);
    let newest_first = watermark(plan)
        .map(|watermark| format!("{} desc nulls last, ", watermark.quoted()))
        .unwrap_or_default();
    let nullable_keys: Vec<String> = plan
        .columns
        .iter()
        .filter(|column| column.nullable && arbiter.columns.contains(&column.target))
        .map(|column| format!("{} is null", column.target.quoted()))
        .collect();
    let ordinal = ordinal(plan).quoted();
    let distinct = |condition: &str| {
        format!(
            "select distinct on ({keys}) * from {STAGE}{condition} order by {keys}, {newest_first}{ordinal} desc"
        )
    };
    if arbiter.nulls_not_distinct || nullable_keys.is_empty() {
        return format!("with newest as materialized ({})", distinct(""));
    }
    let null_key = nullable_keys.join(" or ");
    format!(
        "with newest as materialized (({}) union all (select * from {STAGE} where {null_key} order by {ordinal}))",
        distinct(&format!(" where not ({null_key})"))
    )
}

/// Counts the staged rows that have the key and the watermark of another one and other values: which of them is right
/// is not the target's to know. Rows with a NULL key that holds NULLs distinct are nobody's equal.
pub(super) fn ambiguous(plan: &TablePlan, arbiter: &Arbiter) -> String {
    let mut group: Vec<String> = arbiter.columns.iter().map(PgIdent::quoted).collect();
    let condition = if arbiter.nulls_not_distinct {
        "true".to_owned()
    } else {
        group.iter().map(|key| format!("{key} is not null")).collect::<Vec<_>>().join(" and ")
    };
    group.extend(watermark(plan).map(PgIdent::quoted));
    format!(
        "select coalesce(sum(variants - 1), 0)::bigint as ambiguous from (\
         select count(distinct row({columns})::text) as variants from {STAGE} where {condition} \
         group by {group}) same where variants > 1",
        columns = column_list(&plan.columns),
        group = group.join(", "),
    )
}

/// Whether the statement's snapshot, taken before it wrote anything, held a row of this key.
fn was_there(plan: &TablePlan, arbiter: &Arbiter) -> String {
    let equal: Vec<String> = arbiter
        .columns
        .iter()
        .map(|key| {
            let key = key.quoted();
            if arbiter.nulls_not_distinct {
                format!("(o.{key} = t.{key} or (o.{key} is null and t.{key} is null))")
            } else {
                format!("o.{key} = t.{key}")
            }
        })
        .collect();
    format!("exists (select 1 from {} as o where {})", target(plan), equal.join(" and "))
}

/// A side of the comparison. json and xml have no equality; citext and collations may call equal what is not.
fn comparable(side: &str, column: &PlannedColumn) -> String {
    let name = column.target.quoted();
    match &column.target_type {
        TargetType::Text { kind: TextKind::Text | TextKind::Varchar | TextKind::Char, .. } => {
            format!("{side}.{name} collate \"C\"")
        }
        TargetType::Text { kind: TextKind::Citext, .. } => format!("{side}.{name}::text collate \"C\""),
        other if other.is_compared_as_text() => format!("{side}.{name}::text"),
        _ => format!("{side}.{name}"),
    }
}

/// The watermark, where it is among the loaded columns.
fn watermark(plan: &TablePlan) -> Option<&PgIdent> {
    plan.load
        .watermark
        .as_ref()
        .filter(|watermark| plan.columns.iter().any(|column| column.target == **watermark))
}

fn overriding(plan: &TablePlan) -> &'static str {
    if plan.load.overriding_system_value { " overriding system value" } else { "" }
}

fn target(plan: &TablePlan) -> String {
    format!("{}.{}", plan.target.schema.quoted(), plan.target.table.quoted())
}

/// The position column.
fn ordinal(plan: &TablePlan) -> PgIdent {
    unused(plan, "thaw_ordinal")
}

/// A name that no loaded column has.
fn unused(plan: &TablePlan, name: &str) -> PgIdent {
    let mut name = name.to_owned();
    while plan.columns.iter().any(|column| column.target.as_str() == name) {
        name.push('_');
    }
    PgIdent::exact(name)
}

fn column_list(columns: &[PlannedColumn]) -> String {
    let names: Vec<String> = columns.iter().map(|column| column.target.quoted()).collect();
    names.join(", ")
}

fn name_list(names: &[PgIdent]) -> String {
    let names: Vec<String> = names.iter().map(PgIdent::quoted).collect();
    names.join(", ")
}
