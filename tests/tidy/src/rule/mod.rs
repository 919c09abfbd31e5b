//! The rules, one file a subject.

mod attributes;
mod dispositions;
mod environment;
mod files;
mod layers;
mod links;
mod prose;
mod purity;
mod quoting;
mod sql;

use crate::tree::{Finding, Tree};

/// What a rule is.
pub type Rule = fn(&Tree) -> Vec<Finding>;

/// All of them.
pub const ALL: &[Rule] = &[
    attributes::check,
    dispositions::check,
    environment::check,
    files::check,
    layers::check,
    links::check,
    prose::check,
    purity::check,
    quoting::check,
    sql::check,
];

#[cfg(test)]
pub(crate) fn messages(rule: Rule, files: &[(&str, &str)]) -> Vec<String> {
    rule(&Tree::of(files)).iter().map(ToString::to_string).collect()
}
