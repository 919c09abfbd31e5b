//! The text of the aggregate query: one statement that counts a table's rows, its NULL keys and NULL watermarks,
//! and, where the table is to be cut by a column, the distribution of that column.

use thaw_model::{SfIdent, SourceType};

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// `FROM ... AT(...) WHERE ...` of the plan, as every chunk of it will read.
    pub source_clause: &'a str,
    pub key_columns: &'a [SfIdent],
    pub watermark: Option<(&'a SfIdent, SourceType)>,
    /// What no bound may exceed, as an SQL expression of the watermark's type; watermarks above it are counted and
    /// are not the greatest. `None`: no ceiling.
    pub ceiling: Option<&'a str>,
}

/// One row: rows, greatest watermark, NULL watermarks, watermarks above the ceiling, NULLs of each key column in order.
#[must_use]
pub fn totals(question: Question<'_>) -> String {
    let Question { source_clause, .. } = question;
    format!("select count(*), {}, {}\n{source_clause}", greatest(question), counts(question).join(", "))
}

/// Along which values rows are counted.
#[derive(Debug, Clone, Copy)]
pub struct Along<'a> {
    /// The expression whose values are ordered; its NULLs are counted apart.
    pub value: &'a str,
    /// The chunking column in it.
    pub column: &'a SfIdent,
    /// Rows of a chunk.
    pub limit: u64,
}

/// Up to so many values come one by one.
const SINGLE_VALUES: u32 = 100_000;
/// Buckets a chunk where there are more values: the finer, the better chunks are filled.
const BUCKETS_PER_CHUNK: u64 = 8;
/// Buckets that are aimed at, at most: each is a row of the answer, which the planner holds in memory.
const BUCKETS: u32 = 200_000;

/// One row a bucket, in ascending order of the values: bucket number (-1: the rows without a value), least and
/// greatest value, rows, rows before the greatest value, then what [`totals`] tells after the rows (the greatest
/// watermark of all, not of the bucket), and last the rows without a value whose column is not NULL.
///
/// Rows are counted per value first, so neighbouring equal values cannot fall apart. Few values are a bucket each. Many
/// are numbered by the rows before them, and a bucket is a stretch of about a fraction of a chunk; never of more than a
/// chunk, so that each bucket without its last value fits one.
#[must_use]
pub fn distribution(question: Question<'_>, along: Along<'_>) -> String {
    let Along { value, column, limit } = along;
    let grain = (limit / BUCKETS_PER_CHUNK).max(1);
    let mut counts = counts(question);
    counts.push(format!("count_if({} is not null)", column.quoted()));
    let names: Vec<String> = (0..counts.len()).map(|position| format!("n{position}")).collect();
    let inner: Vec<String> =
        counts.iter().zip(&names).map(|(count, name)| format!("{count} as {name}")).collect();
    let sums: Vec<String> = names.iter().map(|name| format!("sum({name})")).collect();
    format!(
        "select case when c is null then -1 when k <= {SINGLE_VALUES} then i \
         else floor(before / greatest({grain}, least({limit}, ceil(total / {BUCKETS})))) end as bucket, \
         min(c), max(c), sum(n), max(before) - min(before), max(w), {sums}\n\
         from (select c, n, {names}, max(w) over () as w, count(*) over () as k, sum(n) over () as total, \
         row_number() over (order by c nulls first) as i, \
         sum(n) over (order by c nulls first rows between unbounded preceding and current row) - n as before\n\
         from (select {value} as c, count(*) as n, {greatest} as w, {inner}\n{source}\ngroup by {value}))\n\
         group by 1 order by 1",
        sums = sums.join(", "),
        names = names.join(", "),
        inner = inner.join(", "),
        greatest = greatest(question),
        source = question.source_clause,
    )
}

/// The greatest watermark at or below the ceiling, bare, so that the wire carries its every digit.
fn greatest(question: Question<'_>) -> String {
    let Some((column, source_type)) = question.watermark else { return "null".to_owned() };
    let column = column.quoted();
    match question.ceiling {
        _ if !source_type.is_ordered() => "null".to_owned(),
        None => format!("max({column})"),
        Some(ceiling) => format!("max(case when {column} <= {ceiling} then {column} end)"),
    }
}

/// NULL watermarks, watermarks above the ceiling, NULLs of each key.
fn counts(question: Question<'_>) -> Vec<String> {
    let none = || "0".to_owned();
    let watermark = question.watermark.map(|(column, _)| column.quoted());
    let nulls = watermark.as_ref().map_or_else(none, |column| format!("count_if({column} is null)"));
    let above = watermark.zip(question.ceiling);
    let above = above.map_or_else(none, |(column, ceiling)| format!("count_if({column} > {ceiling})"));
    let keys = question.key_columns.iter().map(|key| format!("count_if({} is null)", key.quoted()));
    [nulls, above].into_iter().chain(keys).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_count_rows_null_watermarks_and_null_keys() {
        let keys = [SfIdent::exact("Patient Id")];
        let watermark = SfIdent::exact("UPDATED_AT");
        let question = Question {
            source_clause: "from t",
            key_columns: &keys,
            watermark: Some((&watermark, SourceType::Date)),
            ceiling: Some("'2024-01-01'::date"),
        };
        assert_eq!(
            totals(question),
            "select count(*), max(case when \"UPDATED_AT\" <= '2024-01-01'::date then \"UPDATED_AT\" end), \
             count_if(\"UPDATED_AT\" is null), count_if(\"UPDATED_AT\" > '2024-01-01'::date), \
             count_if(\"Patient Id\" is null)\nfrom t"
        );
        let question = Question { ceiling: None, ..question };
        assert!(totals(question).starts_with("select count(*), max(\"UPDATED_AT\"), count_if("));
    }

    #[test]
    fn a_distribution_is_one_statement_and_counts_per_value_first() {
        let question = Question { source_clause: "from t", key_columns: &[], watermark: None, ceiling: None };
        let id = SfIdent::exact("ID");
        let sql = distribution(question, Along { value: "\"ID\"", column: &id, limit: 50_000 });
        assert!(sql.contains("greatest(6250, least(50000, ceil(total / 200000)))"), "{sql}");
        assert!(sql.contains("group by \"ID\""), "{sql}");
        assert!(sql.contains("0 as n0"), "{sql}");
        assert_eq!(sql.matches("from t").count(), 1, "{sql}");
    }
}
