//! From text to one statement's syntax tree. Knows nothing of meaning.

use std::ops::ControlFlow;

use sqlparser::ast::{ObjectName, Query, Statement, Value, ValueWithSpan, VisitMut, VisitorMut};
use sqlparser::dialect::SnowflakeDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserOptions};
use sqlparser::tokenizer::Token;

use crate::error::SqlError;

/// One statement.
#[derive(Debug)]
pub(crate) enum Parsed {
    Statement(Box<Statement>),
    Show(ShowWords),
}

/// The SHOW statements that the parser has no node for.
#[derive(Debug)]
pub(crate) enum ShowWords {
    PrimaryKeys(ObjectName),
    /// With the pattern of its LIKE.
    Parameters(Option<String>),
}

/// Parses exactly one statement.
pub(crate) fn statement(sql: &str) -> Result<Parsed, SqlError> {
    if let Some(words) = show_words(sql)? {
        return Ok(Parsed::Show(words));
    }
    let mut statements = parser(sql)?.parse_statements().map_err(syntax_error)?;
    match (statements.pop(), statements.len()) {
        (Some(mut statement), 0) => {
            number_placeholders(&mut statement);
            Ok(Parsed::Statement(Box::new(statement)))
        }
        (None, _) => Err(SqlError::new("000900", "42601", "SQL compilation error:\nEmpty SQL Statement.")),
        (Some(_), more) => {
            let message =
                format!("Actual statement count {} did not match the desired statement count 1.", more + 1);
            Err(SqlError::new("000008", "0A000", message))
        }
    }
}

fn show_words(sql: &str) -> Result<Option<ShowWords>, SqlError> {
    let mut parser = parser(sql)?;
    if !parser.parse_keyword(Keyword::SHOW) {
        return Ok(None);
    }
    let words = match parser.next_token().token.to_string().to_ascii_uppercase().as_str() {
        "PRIMARY" => {
            let is_keys = parser.next_token().token.to_string().eq_ignore_ascii_case("KEYS");
            if !is_keys || !parser.parse_keyword(Keyword::IN) {
                return Err(SqlError::unsupported("SHOW PRIMARY KEYS without IN TABLE"));
            }
            // The word TABLE may be left out.
            let _named = parser.parse_keyword(Keyword::TABLE);
            ShowWords::PrimaryKeys(parser.parse_object_name(false).map_err(syntax_error)?)
        }
        "PARAMETERS" => {
            let is_like = parser.parse_keyword(Keyword::LIKE);
            let pattern =
                if is_like { Some(parser.parse_literal_string().map_err(syntax_error)?) } else { None };
            // IN SESSION, IN ACCOUNT: the emulator has one value for all.
            if parser.parse_keyword(Keyword::IN) {
                parser.next_token();
            }
            ShowWords::Parameters(pattern)
        }
        _ => return Ok(None),
    };
    while parser.consume_token(&Token::SemiColon) {}
    if parser.peek_token().token == Token::EOF {
        Ok(Some(words))
    } else {
        Err(SqlError::syntax(&format!("syntax error: unexpected '{}'", parser.peek_token().token)))
    }
}

/// `?` has no number of its own; each gets its place in the text.
fn number_placeholders(statement: &mut Statement) {
    struct Number(u32);
    impl VisitorMut for Number {
        type Break = ();
        fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<()> {
            if let Value::Placeholder(name) = &mut value.value
                && name == "?"
            {
                self.0 += 1;
                *name = format!("?{}", self.0);
            }
            ControlFlow::Continue(())
        }
    }
    let ControlFlow::Continue(()) = statement.visit(&mut Number(0)) else { return };
}

/// Parses the SELECT of a view.
pub(crate) fn query(sql: &str) -> Result<Box<Query>, SqlError> {
    parser(sql)?.parse_query().map_err(syntax_error)
}

fn parser(sql: &str) -> Result<Parser<'static>, SqlError> {
    // Escapes are undone here, as Snowflake does: the tree holds the text that is meant.
    let options = ParserOptions::new().with_unescape(true);
    Parser::new(&SnowflakeDialect).with_options(options).try_with_sql(sql).map_err(syntax_error)
}

fn syntax_error(error: sqlparser::parser::ParserError) -> SqlError {
    SqlError::syntax(&format!("syntax error: {error}"))
}
