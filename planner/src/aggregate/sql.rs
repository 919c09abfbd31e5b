//! The text of the aggregate query: one statement that counts a table's rows, its NULL keys and NULL watermarks,
//! and, where the table is to be cut by a column, the distribution of that column.

use thaw_model::SfIdent;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// `FROM ... AT(...) WHERE ...` of the plan, as every chunk of it will read.
    pub source_clause: &'a str,
    pub key_columns: &'a [SfIdent],
    pub watermark: Option<&'a SfIdent>,
}

/// One row: rows, NULL watermarks, NULLs of each key column in order.
#[must_use]
pub fn totals(question: Question<'_>) -> String {
    format!("select count(*), {}\n{}", counts(question).join(", "), question.source_clause)
}

/// One row a bucket, in ascending order of the values: bucket number (-1: the rows whose column is NULL), least and
/// greatest value, rows, rows before the greatest value, then NULL watermarks and NULL keys as in [`totals`].
///
/// Values are ordered and numbered by the rows before them; a bucket is a stretch of about `grain` rows. Neighbouring
/// equal values cannot fall apart, because rows are counted per value first.
#[must_use]
pub fn distribution(question: Question<'_>, column: &SfIdent, grain: u64) -> String {
    let column = column.quoted();
    let counts = counts(question);
    let names: Vec<String> = (0..counts.len()).map(|position| format!("n{position}")).collect();
    let inner: Vec<String> =
        counts.iter().zip(&names).map(|(count, name)| format!("{count} as {name}")).collect();
    let sums: Vec<String> = names.iter().map(|name| format!("sum({name})")).collect();
    format!(
        "select case when c is null then -1 else floor(before / {grain}) end as bucket, min(c), max(c), sum(n), \
         max(before) - min(before), {sums}\n\
         from (select c, n, {names}, sum(n) over (order by c nulls first rows between unbounded preceding and \
         current row) - n as before\n\
         from (select {column} as c, count(*) as n, {inner}\n{source}\ngroup by {column}))\n\
         group by 1 order by 1",
        sums = sums.join(", "),
        names = names.join(", "),
        inner = inner.join(", "),
        source = question.source_clause,
    )
}

fn counts(question: Question<'_>) -> Vec<String> {
    let watermark = question
        .watermark
        .map_or_else(|| "0".to_owned(), |column| format!("count_if({} is null)", column.quoted()));
    let keys = question.key_columns.iter().map(|key| format!("count_if({} is null)", key.quoted()));
    std::iter::once(watermark).chain(keys).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_count_rows_null_watermarks_and_null_keys() {
        let keys = [SfIdent::exact("Patient Id")];
        let watermark = SfIdent::exact("UPDATED_AT");
        let question = Question { source_clause: "from t", key_columns: &keys, watermark: Some(&watermark) };
        assert_eq!(
            totals(question),
            "select count(*), count_if(\"UPDATED_AT\" is null), count_if(\"Patient Id\" is null)\nfrom t"
        );
    }

    #[test]
    fn a_distribution_is_one_statement_and_counts_per_value_first() {
        let question = Question { source_clause: "from t", key_columns: &[], watermark: None };
        let sql = distribution(question, &SfIdent::exact("ID"), 6250);
        assert!(sql.contains("floor(before / 6250)"), "{sql}");
        assert!(sql.contains("group by \"ID\""), "{sql}");
        assert!(sql.contains("0 as n0"), "{sql}");
    }
}
