//! The user's `source_filter`: parsed, never cut or rewritten as text (field note 15). Snowflake evaluates it as
//! written; what PostgreSQL is to count, verify or delete by is its translation.

mod column;
mod disjoint;
mod freeze;
mod literal;
mod translate;

use sqlparser::ast::Expr;
use sqlparser::dialect::SnowflakeDialect;
use sqlparser::parser::{Parser, ParserOptions};
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

pub use disjoint::are_disjoint;
pub use freeze::{SentFilter, freeze};
pub use translate::{NotTranslated, PgFilter, translate};

/// Why a filter is refused. The filter itself may hold values and is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    #[error("is not a SQL expression that Snowflake's grammar knows")]
    NotAnExpression,
    #[error("goes on after the end of its expression; one expression without `;` is expected")]
    TrailingText,
    #[error(
        "has a comment whose end is read differently by different parsers (`#`, or `/*` inside a comment); remove it"
    )]
    AmbiguousComment,
    #[error("has an unclosed quote or comment")]
    Unclosed,
    #[error("asks for the current time in a form that cannot be rewritten; write the date or time itself")]
    NotFrozen,
}

/// Accepts exactly one expression; comments are allowed, also at the end.
///
/// # Errors
/// Says what it is instead.
pub fn check(filter: &str) -> Result<(), FilterError> {
    parse(filter).map(drop)
}

/// The filter's tree. Text literals keep their escapes as they are written.
///
/// # Errors
/// As [`check`].
pub fn parse(filter: &str) -> Result<Expr, FilterError> {
    let dialect = SnowflakeDialect {};
    let tokens = Tokenizer::new(&dialect, filter)
        .with_unescape(false)
        .tokenize_with_location()
        .map_err(|_| FilterError::Unclosed)?;
    if tokens.iter().any(|token| is_ambiguous_comment(&token.token)) {
        return Err(FilterError::AmbiguousComment);
    }
    let mut parser = Parser::new(&dialect)
        .with_options(ParserOptions::new().with_unescape(false))
        .with_tokens_with_locations(tokens);
    let tree = parser.parse_expr().map_err(|_| FilterError::NotAnExpression)?;
    if parser.peek_token().token == Token::EOF { Ok(tree) } else { Err(FilterError::TrailingText) }
}

/// `#` is a comment for the parser alone, and nobody documents whether comments nest: either could hide the rest of
/// the statement from one of the two readers.
fn is_ambiguous_comment(token: &Token) -> bool {
    match token {
        Token::Whitespace(Whitespace::SingleLineComment { prefix, .. }) => prefix == "#",
        Token::Whitespace(Whitespace::MultiLineComment(text)) => text.contains("/*"),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
