//! Attributes and marks that put a problem off instead of solving it.

use crate::source::Source;
use crate::tree::{Finding, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files() {
        if file.is_rust() {
            for (line, code) in Source::parse(&file.text).lines() {
                let attribute = code.trim_start();
                let attribute = attribute.strip_prefix("#![").or_else(|| attribute.strip_prefix("#["));
                let Some(attribute) = attribute else { continue };
                if attribute.starts_with("ignore") {
                    findings.push(file.finding(line, "a test that is not run proves nothing"));
                }
                if attribute.starts_with("allow(")
                    || (attribute.starts_with("cfg_attr(") && attribute.contains(" allow("))
                {
                    findings.push(
                        file.finding(
                            line,
                            "use `#[expect(lint, reason = \"...\")]`, which ends with its cause",
                        ),
                    );
                }
            }
        }
        for (index, line) in file.text.lines().enumerate() {
            // Spelled apart, or this file would accuse itself.
            let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
            if marks.iter().any(|mark| words(line).any(|word| word == *mark)) {
                findings.push(file.finding(index + 1, "finish it, or write down the limit for the reader"));
            }
        }
    }
    findings
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::messages;

    #[test]
    fn ignored_tests_and_silenced_lints_are_found() {
        assert_eq!(messages(check, &[("a.rs", "#[ignore = \"slow\"]\nfn a() {}")]).len(), 1);
        assert_eq!(messages(check, &[("a.rs", "#![allow(dead_code)]")]).len(), 1);
        assert_eq!(messages(check, &[("a.rs", "#[cfg_attr(test, allow(dead_code))]")]).len(), 1);
        assert_eq!(messages(check, &[("a.rs", "#[expect(dead_code, reason = \"r\")]")]).len(), 0);
    }

    #[test]
    fn marks_of_unfinished_work_are_found_in_any_file() {
        assert_eq!(messages(check, &[("a.md", concat!("TO", "DO: more"))]).len(), 1);
        assert_eq!(messages(check, &[("a.sql", concat!("-- FIX", "ME"))]).len(), 1);
        assert_eq!(messages(check, &[("a.rs", "fn mastodon() {}")]).len(), 0);
    }
}
