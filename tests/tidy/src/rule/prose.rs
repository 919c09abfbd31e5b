//! Log lines and error messages are lower case clauses, so that they can be joined and searched.

use crate::source::{Literal, Source};
use crate::tree::{Finding, Tree};

const MACROS: [&str; 6] = ["info!(", "warn!(", "error!(", "debug!(", "trace!(", "#[error("];
/// Names that keep their capital.
const NAMES: [&str; 8] =
    ["PostgreSQL", "RabbitMQ", "Snowflake", "Time Travel", "Prometheus", "Thaw", "Ctrl", "MessagePack"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().iter().filter(|file| file.is_rust() && file.is_product()) {
        let source = Source::without_tests(&file.text);
        for literal in &source.strings {
            if is_message(&source.code, literal) && has_capital(&literal.text) {
                findings.push(file.finding(literal.line, "log prose and error messages begin in lower case"));
            }
        }
    }
    findings
}

/// The literal is an argument of a log macro or of `#[error]`, not the value of a field.
fn is_message(code: &str, literal: &Literal) -> bool {
    let Some(before) = code.get(..literal.start).map(str::trim_end) else { return false };
    if !before.ends_with(['(', ',']) {
        return false;
    }
    // The innermost open parenthesis belongs to the macro.
    let mut depth = 0usize;
    for (offset, character) in before.char_indices().rev() {
        match character {
            ')' => depth += 1,
            '(' if depth > 0 => depth -= 1,
            '(' => {
                return MACROS
                    .iter()
                    .any(|name| before.get(..=offset).is_some_and(|head| head.ends_with(name)));
            }
            ';' | '{' | '}' if depth == 0 => return false,
            _ => {}
        }
    }
    false
}

/// `Begins like this`; `SIGTERM` and names do not count.
fn has_capital(text: &str) -> bool {
    let mut characters = text.chars();
    let capital = characters.next().is_some_and(char::is_uppercase);
    capital
        && characters.next().is_some_and(char::is_lowercase)
        && !NAMES.iter().any(|name| text.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::messages;

    fn found(line: &str) -> usize {
        messages(check, &[("worker/src/a.rs", &format!("fn a() {{ {line} }}"))]).len()
    }

    #[test]
    fn capital_letters_are_found_in_logs_and_errors() {
        assert_eq!(found("info!(run_id = %id, \"Chunk loaded\");"), 1);
        assert_eq!(found("tracing::warn!(\"Broker gone\");"), 1);
        assert_eq!(found("#[error(\"Cannot read {0}\")] x"), 1);
    }

    #[test]
    fn fields_names_and_other_texts_are_free() {
        assert_eq!(found("info!(reason = \"Why\", \"chunk loaded\");"), 0);
        assert_eq!(found("info!(\"PostgreSQL is back\"); info!(\"SIGTERM received\");"), 0);
        assert_eq!(found("write(\"Chunk loaded\");"), 0);
    }
}
