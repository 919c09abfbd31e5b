//! The user's `source_filter`: parsed to refuse what is no single expression, never cut or rewritten as text
//! (field note 15). Snowflake evaluates it as written.

use sqlparser::dialect::SnowflakeDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

/// Why a filter is refused. The filter itself may hold values and is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    #[error("is not a SQL expression that Snowflake's grammar knows")]
    NotAnExpression,
    #[error("goes on after the end of its expression; one expression without `;` is expected")]
    TrailingText,
}

/// Accepts exactly one expression; comments are allowed, also at the end.
///
/// # Errors
/// Says which of the two it is: no expression, or something behind it.
pub fn check(filter: &str) -> Result<(), FilterError> {
    let dialect = SnowflakeDialect {};
    let mut parser = Parser::new(&dialect).try_with_sql(filter).map_err(|_| FilterError::NotAnExpression)?;
    parser.parse_expr().map_err(|_| FilterError::NotAnExpression)?;
    if parser.peek_token().token == Token::EOF { Ok(()) } else { Err(FilterError::TrailingText) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn note_22_filters_on_quoted_mixed_case_columns_are_accepted() {
        let filter = r#""Is Active" = TRUE AND "Is Demo" = FALSE AND "Source System" = 'hha'"#;
        assert_eq!(check(filter), Ok(()));
        assert_eq!(check("a = 1 -- only the first"), Ok(()));
    }

    #[test]
    fn note_15_what_is_no_single_expression_is_refused() {
        assert_eq!(check("a = 1) OR (b = 2"), Err(FilterError::TrailingText));
        assert_eq!(check("a = 1; DROP TABLE t"), Err(FilterError::TrailingText));
        assert_eq!(check("a = "), Err(FilterError::NotAnExpression));
        assert_eq!(check(""), Err(FilterError::NotAnExpression));
    }
}
