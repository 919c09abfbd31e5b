//! The names of objects and columns in the server's messages: the one thing that is taken from them.
//!
//! A message may quote literals of the statement, which are the user's data. A name is taken only from the two
//! known sentences, and only if it is made of identifier characters throughout.

/// Of `Object 'DB.SCHEMA.T' does not exist or not authorized.` (or `Table`, `Schema`, `Database`, `View`).
pub(crate) fn object(message: &str) -> Option<String> {
    let (before, _) = message.split_once("' does not exist or not authorized")?;
    let (kind, name) = before.rsplit_once('\'')?;
    let known = ["Object ", "Table ", "Schema ", "Database ", "View "];
    if !known.iter().any(|word| kind.ends_with(word)) { None } else { identifier(name) }
}

/// Of `invalid identifier 'T.COLUMN'`.
pub(crate) fn column(message: &str) -> Option<String> {
    let (_, after) = message.split_once("invalid identifier '")?;
    let (name, _) = after.split_once('\'')?;
    identifier(name)
}

/// Parts of letters, digits, `_` and `$`, with or without double quotes, joined by dots. A space is no part of
/// it, though quoted names may have some: a sentence of the user's data has them too.
fn identifier(name: &str) -> Option<String> {
    let part = |part: &str| {
        let bare = part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(part);
        let begins = bare.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        begins && bare.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$'))
    };
    (name.len() <= 255 * 3 && name.split('.').all(part)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_from_the_known_sentences_only() {
        let missing =
            "SQL compilation error:\nObject 'DB.PUBLIC.\"mixed\"' does not exist or not authorized.";
        assert_eq!(object(missing).as_deref(), Some("DB.PUBLIC.\"mixed\""));
        let column_missing = "SQL compilation error: error line 1 at position 7\ninvalid identifier 'T.NOPE'";
        assert_eq!(column(column_missing).as_deref(), Some("T.NOPE"));
        assert_eq!(object("Numeric value 'Jane Doe' is not recognized"), None);
        assert_eq!(object("Value 'Jane' does not exist or not authorized"), None);
        assert_eq!(object("Object 'Jane Doe' does not exist or not authorized"), None);
        assert_eq!(column("invalid identifier '1970-01-01'"), None);
        assert_eq!(column("invalid identifier ''"), None);
    }
}
