//! What is taken for one expression. The translation has tests of its own.

use super::{FilterError, check};

#[test]
fn note_22_filters_on_quoted_mixed_case_columns_are_accepted() {
    let filter = r#""Is Active" = TRUE AND "Is Demo" = FALSE AND "Source System" = 'hha'"#;
    assert_eq!(check(filter), Ok(()));
    assert_eq!(check("a = 1 -- only the first"), Ok(()));
    assert_eq!(check("a = 1 // only the first"), Ok(()));
    assert_eq!(check("a = 1 /* and ) */ and b = ')'"), Ok(()));
}

#[test]
fn note_15_what_is_no_single_expression_is_refused() {
    assert_eq!(check("a = 1) OR (b = 2"), Err(FilterError::TrailingText));
    assert_eq!(check("a = 1; DROP TABLE t"), Err(FilterError::TrailingText));
    assert_eq!(check("a = 1 ORDER BY a"), Err(FilterError::TrailingText));
    assert_eq!(check("a = 1 QUALIFY row_number() over (order by a) = 1"), Err(FilterError::TrailingText));
    assert_eq!(check("a = "), Err(FilterError::NotAnExpression));
    assert_eq!(check(""), Err(FilterError::NotAnExpression));
    assert_eq!(check("-- nothing"), Err(FilterError::NotAnExpression));
}

#[test]
fn a_filter_that_would_swallow_the_rest_of_the_statement_is_refused() {
    assert_eq!(check("a = 1 /* and"), Err(FilterError::Unclosed));
    assert_eq!(check("a = 'x"), Err(FilterError::Unclosed));
    assert_eq!(check(r"a = 'x\'"), Err(FilterError::Unclosed));
    assert_eq!(check("\"a = 1"), Err(FilterError::Unclosed));
    assert_eq!(check("a = $$x"), Err(FilterError::Unclosed));
    assert_eq!(check("a = 1 /* /* */"), Err(FilterError::AmbiguousComment));
    assert_eq!(check("a = 1 # b"), Err(FilterError::AmbiguousComment));
}

mod freezing;
mod translation;
