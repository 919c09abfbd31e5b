//! Identifiers are quoted in one file, `common/model/src/ident.rs`.

use crate::rule::sql::is_statement;
use crate::source::Source;
use crate::tree::{Finding, Tree};

const QUOTES: &str = "common/model/src/ident.rs";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let files = tree.files().iter().filter(|file| file.is_rust() && file.is_product() && file.path != QUOTES);
    for file in files {
        let source = Source::without_tests(&file.text);
        for literal in &source.strings {
            if puts_a_name_in_quotes(&literal.text) {
                findings
                    .push(file.finding(literal.line, format!("only {QUOTES} puts names into double quotes")));
            }
        }
    }
    findings
}

/// A statement with a placeholder between double quotes, nothing but such placeholders, or the doubling of a quote.
/// Messages for people may name a thing in quotes.
fn puts_a_name_in_quotes(text: &str) -> bool {
    let placeholder = text.contains("\\\"{");
    let bare = !text.contains(' ') && text.starts_with("\\\"{") && text.ends_with("}\\\"");
    (placeholder && (bare || is_statement(text))) || text == "\\\"\\\""
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::messages;

    #[test]
    fn quoting_elsewhere_is_found() {
        let by_hand = "fn q(n: &str) -> String { format!(\"\\\"{n}\\\"\") }";
        let doubled = "fn q(n: &str) -> String { n.replace('\"', \"\\\"\\\"\") }";
        let inside = "fn q(n: &str) -> String { format!(\"select a from \\\"{n}\\\"\") }";
        assert_eq!(messages(check, &[("planner/src/a.rs", by_hand)]).len(), 1);
        assert_eq!(messages(check, &[("planner/src/a.rs", inside)]).len(), 1);
        assert_eq!(messages(check, &[("planner/src/a.rs", doubled)]).len(), 1);
        assert_eq!(messages(check, &[(QUOTES, by_hand), (QUOTES, doubled)]).len(), 0);
        assert_eq!(
            messages(check, &[("planner/src/a.rs", "const A: &str = \"no column \\\"{}\\\"\";")]).len(),
            0
        );
    }
}
