//! From text to one statement's syntax tree. Knows nothing of meaning.

use std::ops::ControlFlow;

use sqlparser::ast::{ObjectName, Query, Statement, Value, ValueWithSpan, VisitMut, VisitorMut};
use sqlparser::dialect::SnowflakeDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};

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
    /// With the pattern of its LIKE; of the session, or of the account.
    Parameters {
        pattern: Option<String>,
        of_session: bool,
    },
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
            // IN SESSION, IN USER, IN ACCOUNT: the session's own values, or what every session begins with.
            let level = parser.parse_keyword(Keyword::IN).then(|| parser.next_token().token.to_string());
            let of_session = level.is_none_or(|level| level.eq_ignore_ascii_case("SESSION"));
            ShowWords::Parameters { pattern, of_session }
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
    // The tokenizer keeps escapes as they are: it does not know all of Snowflake's.
    let tokens = Tokenizer::new(&SnowflakeDialect, sql).with_unescape(false).tokenize_with_location();
    let mut tokens = tokens.map_err(|error| syntax_error(error.into()))?;
    for token in &mut tokens {
        match &mut token.token {
            Token::SingleQuotedString(text) => *text = unescape(text)?,
            Token::Word(word) if word.quote_style == Some('"') => {
                word.value = word.value.replace("\"\"", "\"");
            }
            _ => {}
        }
    }
    Ok(Parser::new(&SnowflakeDialect).with_tokens_with_locations(tokens))
}

/// Undoes what a constant in single quotes escapes.
///
/// Source: docs.snowflake.com/en/sql-reference/data-types-text, "Escape sequences in single-quoted string constants".
fn unescape(raw: &str) -> Result<String, SqlError> {
    let mut text = String::with_capacity(raw.len());
    let mut letters = raw.chars();
    while let Some(letter) = letters.next() {
        if letter == '\'' {
            // The second of a pair.
            letters.next();
            text.push('\'');
        } else if letter == '\\' {
            let rest = letters.as_str();
            let (meant, length) = escape(rest)?;
            text.push(meant);
            letters = rest.get(length..).unwrap_or_default().chars();
        } else {
            text.push(letter);
        }
    }
    Ok(text)
}

/// What the letters behind a backslash mean, and how many bytes of them.
fn escape(rest: &str) -> Result<(char, usize), SqlError> {
    let number = |from: usize, to: usize, radix: u32| {
        let digits = rest.get(from..to).filter(|digits| digits.chars().all(|digit| digit.is_digit(radix)));
        digits.and_then(|digits| u32::from_str_radix(digits, radix).ok()).and_then(char::from_u32)
    };
    let malformed = || SqlError::syntax("Invalid escape sequence in a string constant");
    if let Some(meant) = number(0, 3, 8) {
        return Ok((meant, 3));
    }
    let Some(first) = rest.chars().next() else {
        return Err(malformed());
    };
    Ok(match first {
        'n' => ('\n', 1),
        'r' => ('\r', 1),
        't' => ('\t', 1),
        'b' => ('\u{8}', 1),
        'f' => ('\u{c}', 1),
        '0' => ('\0', 1),
        'x' => (number(1, 3, 16).ok_or_else(malformed)?, 3),
        'u' => (number(1, 5, 16).ok_or_else(malformed)?, 5),
        other => (other, other.len_utf8()),
    })
}

fn syntax_error(error: sqlparser::parser::ParserError) -> SqlError {
    SqlError::syntax(&format!("syntax error: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_read_with_snowflakes_escapes() {
        let cases = [
            ("it''s", "it's"),
            (r"\'", "'"),
            (r"a\\b", r"a\b"),
            (r"\n\t\0\101\x41\u00e9\z", "\n\t\0AA\u{e9}z"),
        ];
        for (raw, meant) in cases {
            assert_eq!(unescape(raw).unwrap(), meant, "{raw}");
        }
        assert!(unescape(r"\xZZ").is_err());
    }

    #[test]
    fn names_in_quotes_keep_what_they_hold() {
        let query = query(r#"SELECT "a""b \n" FROM t"#).unwrap();
        assert_eq!(query.to_string(), r#"SELECT "a""b \n" FROM t"#);
    }

    #[test]
    fn one_statement_is_one_statement() {
        assert!(statement("SELECT 1;").is_ok());
        assert_eq!(statement("SELECT 1; SELECT 2").unwrap_err().code, "000008");
        assert_eq!(statement("").unwrap_err().code, "000900");
    }
}
