//! Identifiers and literals of both databases: the only place that quotes SQL.
//!
//! Snowflake folds unquoted names to upper case, PostgreSQL to lower case; the names here are always exact (as
//! the catalogues spell them) and always emitted quoted, so that no folding can happen behind us.
//! Sources: Snowflake "Identifier requirements" (docs.snowflake.com/en/sql-reference/identifiers-syntax) and
//! "String & binary data types" (backslash escapes in literals); PostgreSQL manual, chapter 4.1.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The exact name of a Snowflake object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SfIdent(String);

/// The exact name of a PostgreSQL object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PgIdent(String);

impl SfIdent {
    /// Takes `name` as the catalogue spells it.
    pub fn exact(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Takes a table name as the configuration spells it: `DIMPAYER` and `dimpayer` fold to upper case as
    /// Snowflake would fold them, `"\"mixed\""` is exact.
    #[must_use]
    pub fn folded(name: &str) -> Self {
        Self(unquoted(name).unwrap_or_else(|| name.to_uppercase()))
    }

    /// The bare name, for messages and for request fields that take no quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as SQL text, in quotes.
    #[must_use]
    pub fn quoted(&self) -> String {
        quote_ident(&self.0)
    }
}

impl PgIdent {
    /// Takes `name` as the catalogue spells it.
    pub fn exact(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Takes a table name as the configuration spells it: folds to lower case as PostgreSQL would, unless it
    /// is written in double quotes.
    #[must_use]
    pub fn folded(name: &str) -> Self {
        Self(unquoted(name).unwrap_or_else(|| name.to_lowercase()))
    }

    /// The bare name, for messages and for comparison with the catalogue.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as SQL text, in quotes.
    #[must_use]
    pub fn quoted(&self) -> String {
        quote_ident(&self.0)
    }
}

impl fmt::Display for SfIdent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PgIdent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text literal of Snowflake. Backslashes are escapes there, so they are doubled; U+0000 is written as one.
#[must_use]
pub fn sf_literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''").replace('\0', "\\u0000"))
}

/// A text literal of PostgreSQL, independent of `standard_conforming_strings`.
#[must_use]
pub fn pg_literal(text: &str) -> String {
    let escaped = text.replace('\'', "''");
    if escaped.contains('\\') {
        format!("E'{}'", escaped.replace('\\', "\\\\"))
    } else {
        format!("'{escaped}'")
    }
}

fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The name inside double quotes, with `""` undone; `None` where the text is not quoted.
fn unquoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    Some(inner.replace("\"\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fold_as_each_database_folds_them() {
        assert_eq!(SfIdent::folded("dimPayer").as_str(), "DIMPAYER");
        assert_eq!(PgIdent::folded("DIMPAYER").as_str(), "dimpayer");
        assert_eq!(SfIdent::folded("\"Mixed \"\"x\"\"\"").as_str(), "Mixed \"x\"");
        assert_eq!(PgIdent::folded("\"mixed\"").as_str(), "mixed");
    }

    #[test]
    fn quotes_inside_names_and_literals_are_doubled() {
        assert_eq!(SfIdent::exact("a\"b").quoted(), "\"a\"\"b\"");
        assert_eq!(sf_literal("it's a \\ slash"), "'it''s a \\\\ slash'");
        assert_eq!(sf_literal("a\x00001"), "'a\\u0000001'");
        assert_eq!(pg_literal("it's"), "'it''s'");
        assert_eq!(pg_literal("a\\b"), "E'a\\\\b'");
    }
}
