//! The house rules that no compiler knows: layers, and where SQL, quoting and the environment may appear.
//!
//! A rule is a function from the tree of files to findings, so that each is tested on a tree of a few lines that
//! breaks it. It knows nothing of the workspace's types: it reads text, as a reviewer would.

pub mod rule;
pub mod source;
pub mod tree;

pub use tree::{Finding, Tree};

/// Every finding of every rule, in the order of the files.
#[must_use]
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<Finding> = rule::ALL.iter().flat_map(|rule| rule(tree)).collect();
    findings.sort();
    findings.dedup();
    findings
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_clean_tree_has_no_findings() {
        let tree = Tree::of(&[
            ("worker/src/lib.rs", "//! Fine.\n\nfn fine() {}\n"),
            ("README.md", "[x](worker/src/lib.rs)\n"),
        ]);
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn findings_come_sorted_and_once() {
        let tree = Tree::of(&[("worker/src/util.rs", "fn a() { std::process::exit(1) }\n")]);
        let findings = check(&tree);
        assert!(findings.len() >= 3, "{findings:?}");
        assert!(findings.is_sorted());
    }

    #[test]
    fn the_workspace_is_read_from_its_root() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let tree = Tree::read(&root).unwrap();
        assert!(tree.files().iter().any(|file| file.path == "common/model/src/ident.rs"));
        assert!(tree.files().iter().all(|file| !file.path.starts_with("target")));
    }
}
