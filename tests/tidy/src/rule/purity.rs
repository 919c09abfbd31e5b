//! Modules that are pure functions: what they must not contain, and why.

use crate::source::Source;
use crate::tree::{Finding, Tree};

struct Pure {
    folder: &'static str,
    forbidden: &'static [&'static str],
    reason: &'static str,
}

const INPUT_OUTPUT: &[&str] = &[
    "async ",
    ".await",
    "tokio::",
    "tokio_postgres",
    "reqwest",
    "lapin",
    "std::fs",
    "std::net",
    "std::io",
    "Instant::",
    "SystemTime",
];

const PURE: &[Pure] = &[
    Pure { folder: "common/model/src/", forbidden: INPUT_OUTPUT, reason: "the domain is plain data" },
    Pure {
        folder: "common/snowflake/src/decode",
        forbidden: INPUT_OUTPUT,
        reason: "decoding is a pure function",
    },
    Pure { folder: "planner/src/strategy", forbidden: INPUT_OUTPUT, reason: "a strategy is a pure function" },
    Pure {
        folder: "planner/src/strategy",
        forbidden: &["thaw_status", "thaw_queue", "thaw_worker", "thaw_postgres"],
        reason: "a strategy does not know how chunks are stored or loaded",
    },
    Pure { folder: "worker/", forbidden: &["thaw_planner"], reason: "the worker does not know the planner" },
    Pure { folder: "common/queue/", forbidden: &["thaw_snowflake"], reason: "the queue carries ids only" },
    Pure {
        folder: "common/status/",
        forbidden: &["thaw_snowflake", "lapin"],
        reason: "the status store knows neither the source nor the broker",
    },
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().iter().filter(|file| file.is_rust() && file.is_product()) {
        let source = Source::without_tests(&file.text);
        for pure in PURE.iter().filter(|pure| file.path.starts_with(pure.folder)) {
            for (line, code) in source.lines() {
                if let Some(word) = pure.forbidden.iter().find(|word| code.contains(**word)) {
                    findings.push(file.finding(line, format!("`{}`: {}", word.trim(), pure.reason)));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::messages;

    #[test]
    fn decoding_and_cutting_do_no_input_or_output() {
        let awaits = "//! D.\nfn a() { b().await }\n";
        assert_eq!(messages(check, &[("common/snowflake/src/decode/text.rs", awaits)]).len(), 1);
        assert_eq!(
            messages(check, &[("planner/src/strategy/numeric_range.rs", "use thaw_status::Store;")]).len(),
            1
        );
        assert_eq!(messages(check, &[("common/snowflake/src/client.rs", awaits)]).len(), 0);
    }

    #[test]
    fn the_worker_does_not_import_the_planner_but_may_speak_of_it() {
        assert_eq!(messages(check, &[("worker/src/lib.rs", "use thaw_planner::plan;")]).len(), 1);
        assert_eq!(messages(check, &[("worker/src/lib.rs", "//! Never thaw_planner.")]).len(), 0);
    }
}
