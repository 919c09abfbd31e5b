//! One statement for each side, of the same shape: rows, then NULLs, least and greatest value of each column.

use thaw_model::{PgIdent, SfIdent, TargetType};

/// On the source; values come as its wire spells them.
pub(super) fn source(columns: &[(&SfIdent, bool)], source_clause: &str) -> String {
    let aggregates = columns.iter().map(|(column, is_ordered)| {
        let column = column.quoted();
        let (least, greatest) = if *is_ordered {
            (format!("min({column})"), format!("max({column})"))
        } else {
            ("null".to_owned(), "null".to_owned())
        };
        format!(", count_if({column} is null), {least}, {greatest}")
    });
    format!("select count(*){}\n{source_clause}", aggregates.collect::<String>())
}

/// On the target; values in the forms of the source's wire (days, decimal seconds since the epoch, the number, the
/// text), everything as text.
pub(super) fn target(
    columns: &[(&PgIdent, &TargetType, bool)],
    (schema, table): (&PgIdent, &PgIdent),
    filter: Option<&str>,
) -> String {
    let aggregates = columns.iter().map(|(column, target_type, is_ordered)| {
        let column = column.quoted();
        let (least, greatest) = if *is_ordered {
            (on_wire("min", &column, target_type), on_wire("max", &column, target_type))
        } else {
            ("null::text".to_owned(), "null::text".to_owned())
        };
        format!(", (count(*) filter (where {column} is null))::text, {least}, {greatest}")
    });
    let filter = filter.map(|filter| format!(" where ({filter})")).unwrap_or_default();
    format!(
        "select count(*)::text{} from {}.{}{filter}",
        aggregates.collect::<String>(),
        schema.quoted(),
        table.quoted()
    )
}

fn on_wire(aggregate: &str, column: &str, target_type: &TargetType) -> String {
    match target_type {
        TargetType::Date => {
            let value = format!("{aggregate}({column})");
            format!("case when isfinite({value}) then ({value} - date '1970-01-01')::text end")
        }
        TargetType::Timestamp { .. } | TargetType::Timestamptz { .. } => {
            let value = format!("{aggregate}({column})");
            format!("case when isfinite({value}) then extract(epoch from {value})::text end")
        }
        TargetType::Text { .. } => format!("{aggregate}({column} collate \"C\")::text"),
        _ => format!("{aggregate}({column})::text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_statements_have_a_place_for_each_aggregate() {
        let (id, name) = (SfIdent::exact("ID"), SfIdent::exact("Full Name"));
        assert_eq!(
            source(&[(&id, true), (&name, false)], "from t"),
            "select count(*), count_if(\"ID\" is null), min(\"ID\"), max(\"ID\"), \
             count_if(\"Full Name\" is null), null, null\nfrom t"
        );
        let (id, at) = (PgIdent::exact("id"), PgIdent::exact("at"));
        let names = (&PgIdent::exact("s"), &PgIdent::exact("t"));
        let sql =
            target(&[(&id, &TargetType::Int8, true), (&at, &TargetType::Date, false)], names, Some("a or b"));
        assert_eq!(
            sql,
            "select count(*)::text, (count(*) filter (where \"id\" is null))::text, min(\"id\")::text, max(\"id\")::text, \
             (count(*) filter (where \"at\" is null))::text, null::text, null::text from \"s\".\"t\" where (a or b)"
        );
    }
}
