//! Whether two filters can select the same row. A "no" is proved, a "maybe" is not: both filters must pin one column to
//! texts, and none of the texts may be common.

use std::collections::BTreeSet;

use sqlparser::ast::{BinaryOperator, Expr, Ident, Value};
use thaw_model::SfIdent;

/// Proves that no row fulfils both filters. Only columns that `is_text` accepts count: a date or a number may be written
/// in two ways. Texts are compared as written; two that a collation takes for equal must not be accepted either.
#[must_use]
pub fn are_disjoint(one: &str, other: &str, is_text: impl Fn(&SfIdent) -> bool) -> bool {
    let (Ok(one), Ok(other)) = (super::parse(one), super::parse(other)) else { return false };
    let (one, other) = (pins(&one), pins(&other));
    one.iter().any(|(column, texts)| {
        is_text(column) && other.iter().any(|(name, others)| name == column && texts.is_disjoint(others))
    })
}

/// Columns that a row of the filter holds one of these texts in: `column = 'x'` and `column IN ('x', 'y')` under AND.
fn pins(tree: &Expr) -> Vec<(SfIdent, BTreeSet<&str>)> {
    match tree {
        Expr::Nested(inner) => pins(inner),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            [pins(left), pins(right)].into_iter().flatten().collect()
        }
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
            let pin = |column, literal| Some((name(column)?, BTreeSet::from([text(literal)?])));
            pin(left, right).or_else(|| pin(right, left)).into_iter().collect()
        }
        Expr::InList { expr, list, negated: false } => {
            let texts: Option<BTreeSet<&str>> = list.iter().map(text).collect();
            name(expr).zip(texts).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn name(tree: &Expr) -> Option<SfIdent> {
    match tree {
        Expr::Identifier(Ident { value, quote_style: None, .. }) => {
            Some(SfIdent::exact(value.to_ascii_uppercase()))
        }
        Expr::Identifier(Ident { value, quote_style: Some('"'), .. }) => Some(SfIdent::exact(value)),
        _ => None,
    }
}

/// A text without escapes: with them two spellings may mean the same.
fn text(tree: &Expr) -> Option<&str> {
    match tree {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) if !text.contains(['\\', '\'']) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disjoint(one: &str, other: &str) -> bool {
        are_disjoint(one, other, |column| column.as_str() != "D")
    }

    #[test]
    fn filters_that_pin_one_column_to_other_texts_select_no_common_row() {
        assert!(disjoint("\"Source System\" = 'hha'", "x > 1 and \"Source System\" = 'abc'"));
        assert!(disjoint("s in ('a', 'b') and (t = 'x')", "'c' = S"));
    }

    #[test]
    fn what_is_not_proved_may_overlap() {
        for (one, other) in [
            ("s = 'a'", "s = 'a'"),
            ("s = 'a'", "t = 'b'"),
            ("s = 'a' or x = 1", "s = 'b'"),
            ("s <> 'a'", "s = 'b'"),
            ("s in ('a', 'b')", "s in ('b', 'c')"),
            ("s not in ('a')", "s = 'b'"),
            ("d = '2024-01-01'", "d = '2024-1-1'"),
            ("s = 'a''b'", "s = 'c'"),
            ("\"s\" = 'a'", "s = 'b'"),
            ("upper(s) = 'A'", "upper(s) = 'B'"),
            ("s = 1", "s = 2"),
            ("s = ", "s = 'b'"),
        ] {
            assert!(!disjoint(one, other), "{one} / {other}");
        }
    }
}
