//! Names, sizes and first lines of files, and what no file may hold.

use crate::tree::{File, Finding, Tree};

/// Unit tests included: what is longer has two jobs.
const LINES_MAX: usize = 600;
/// Names of drawers.
const DRAWERS: [&str; 7] = ["util", "utils", "helper", "helpers", "misc", "types", "common"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files() {
        let lines = file.text.lines().count();
        if lines > LINES_MAX && !is_data(file) {
            findings
                .push(file.finding(LINES_MAX, format!("{lines} lines: split it, {LINES_MAX} is the most")));
        }
        if file.is_rust() {
            if !file.text.starts_with("//!") && !is_sample(file) {
                findings.push(
                    file.finding(1, "begins without `//!`: the module's job, and what it must not know"),
                );
            }
            if let Some(drawer) = drawer(&file.path) {
                findings.push(file.finding(1, format!("`{drawer}` names a drawer, not a job")));
            }
        }
        for (index, line) in file.text.lines().enumerate() {
            if let Some(place) = machine(line) {
                findings.push(file.finding(index + 1, format!("`{place}` is somebody's machine")));
            }
        }
    }
    findings
}

/// Generated or recorded, read by no person.
fn is_data(file: &File) -> bool {
    file.path == "Cargo.lock" || file.path.contains("/golden/") || file.path.ends_with(".json")
}

/// Programs that are meant not to compile.
fn is_sample(file: &File) -> bool {
    file.path.contains("/compile_fail/")
}

/// The folder at the top is not meant: its crates have one job each.
fn drawer(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("common/").unwrap_or(path);
    inside.split('/').map(|part| part.trim_end_matches(".rs")).find(|part| DRAWERS.contains(part))
}

/// A path or host of the machine the text was written on. Spelled apart, or this file would accuse itself.
fn machine(line: &str) -> Option<&'static str> {
    let places = [concat!("/wo", "rk/"), concat!("/ro", "ot/."), concat!("arti", "factory")];
    places.into_iter().find(|place| line.contains(place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::messages;

    #[test]
    fn a_long_file_is_found_and_a_long_lock_file_is_not() {
        let long = "//! L.\n".repeat(LINES_MAX + 1);
        assert_eq!(messages(check, &[("a/b.rs", &long)]).len(), 1);
        assert_eq!(messages(check, &[("a/b.rs", &"//! L.\n".repeat(LINES_MAX))]).len(), 0);
        assert_eq!(messages(check, &[("Cargo.lock", &long)]).len(), 0);
    }

    #[test]
    fn a_module_without_its_job_is_found() {
        assert_eq!(messages(check, &[("a/b.rs", "use x;\n")]).len(), 1);
    }

    #[test]
    fn drawers_are_found_by_file_and_by_folder() {
        assert_eq!(messages(check, &[("worker/src/utils.rs", "//! U.")]).len(), 1);
        assert_eq!(messages(check, &[("worker/src/helpers/a.rs", "//! U.")]).len(), 1);
        assert_eq!(messages(check, &[("common/model/src/id.rs", "//! I.")]).len(), 0);
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        assert_eq!(messages(check, &[("a.md", concat!("see /wo", "rk/x"))]).len(), 1);
    }
}
