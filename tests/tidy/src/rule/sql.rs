//! SQL stands in files that hold nothing else, so that it can be found, read and reviewed as a whole.

use crate::source::Source;
use crate::tree::{Finding, Tree};

/// Modules whose statements are put together from the names of a user's tables, indexes and sequences.
const RENDERED: [&str; 7] = [
    "common/snowflake/src/chunk_query.rs",
    "common/status/src/indexes.rs",
    "common/status/src/start.rs",
    "common/status/src/truncate.rs",
    "common/postgres/src/startup.rs",
    "worker/src/finalize/analyze.rs",
    "worker/src/finalize/sequences.rs",
];

/// Where statements may be written in Rust.
fn is_allowed(path: &str) -> bool {
    path.starts_with("common/status/src/sql")
        || path.starts_with("common/postgres/src/catalog/")
        || RENDERED.contains(&path)
        || path.ends_with("/sql.rs")
        || path.contains("/sql/")
}

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let files =
        tree.files().iter().filter(|file| file.is_rust() && file.is_product() && !is_allowed(&file.path));
    for file in files {
        for literal in &Source::without_tests(&file.text).strings {
            if is_statement(&literal.text) {
                findings.push(file.finding(literal.line, "SQL belongs into a `.sql` file or a module `sql`"));
            }
        }
    }
    findings
}

/// Begins like a statement and goes on like one: a message such as `update the table` does not.
pub(super) fn is_statement(text: &str) -> bool {
    let words: Vec<String> = text.split_whitespace().take(40).map(str::to_lowercase).collect();
    let Some(first) = words.first() else { return false };
    let follows = |keywords: &[&str]| words.iter().skip(1).any(|word| keywords.contains(&word.as_str()));
    let second = words.get(1).map_or("", String::as_str);
    let long = words.len() > 2;
    match first.as_str() {
        // `select 1` is the probe of a connection.
        "select" => (long && follows(&["from"])) || second.contains(['(', '$', '*']),
        "insert" | "merge" => second == "into" && long,
        "delete" => second == "from" && long,
        "update" => follows(&["set"]),
        "with" => follows(&["as"]) && follows(&["select", "(select", "update", "insert"]),
        "create" | "drop" | "alter" => {
            let temporary =
                ["temp", "temporary"].contains(&second) && words.get(2).is_some_and(|word| word == "table");
            temporary || ["table", "index", "unique", "schema", "view", "role"].contains(&second)
        }
        "truncate" | "lock" => second == "table",
        "copy" => follows(&["from", "to"]) && follows(&["stdin", "stdout"]),
        "set" => second == "local" || second == "session",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::messages;

    fn found(path: &str, literal: &str) -> usize {
        messages(check, &[(path, &format!("const S: &str = \"{literal}\";"))]).len()
    }

    #[test]
    fn statements_outside_their_files_are_found() {
        for sql in
            ["select a from b", "insert into a values (1)", "set local lock_timeout = 0", "drop table a"]
        {
            assert_eq!(found("worker/src/runner.rs", sql), 1, "{sql}");
            assert_eq!(found("worker/src/finalize/sql.rs", sql), 0, "{sql}");
        }
    }

    #[test]
    fn prose_is_no_sql() {
        for prose in [
            "update the table first",
            "select a source",
            "with {0} chunks",
            "create the index",
            "INSERT into",
        ] {
            assert_eq!(found("worker/src/runner.rs", prose), 0, "{prose}");
        }
    }
}
