//! Which crate may depend on which, read from the manifests.
//!
//! model < config, telemetry, faults < snowflake, postgres < status < queue < worker < planner. The test crates may
//! use everything, but the judges of the product (harness, emulator) must not share its code.

use toml::{Table, Value};

use crate::tree::{File, Finding, Tree};

/// Each crate of the product with what it may depend on.
const PRODUCT: &[(&str, &[&str])] = &[
    ("thaw-model", &[]),
    ("thaw-config", &["thaw-model"]),
    ("thaw-telemetry", &["thaw-model"]),
    ("thaw-faults", &["thaw-model"]),
    ("thaw-snowflake", &["thaw-model", "thaw-config", "thaw-telemetry", "thaw-faults"]),
    ("thaw-postgres", &["thaw-model", "thaw-config", "thaw-telemetry", "thaw-faults"]),
    ("thaw-status", &["thaw-model", "thaw-config", "thaw-telemetry", "thaw-faults", "thaw-postgres"]),
    (
        "thaw-queue",
        &["thaw-model", "thaw-config", "thaw-telemetry", "thaw-faults", "thaw-postgres", "thaw-status"],
    ),
    (
        "thaw-worker",
        &[
            "thaw-model",
            "thaw-config",
            "thaw-telemetry",
            "thaw-faults",
            "thaw-snowflake",
            "thaw-postgres",
            "thaw-status",
            "thaw-queue",
        ],
    ),
    (
        "thaw-planner",
        &[
            "thaw-model",
            "thaw-config",
            "thaw-telemetry",
            "thaw-faults",
            "thaw-snowflake",
            "thaw-postgres",
            "thaw-status",
            "thaw-queue",
            "thaw-worker",
        ],
    ),
];

/// Judges: none of them may use the product, whose faults they would share.
const JUDGES: &[&str] = &["thaw-harness", "snowflake-emulator", "emulator-engine", "tidy"];
const TEST_CRATES: &[&str] =
    &["thaw-harness", "snowflake-emulator", "emulator-engine", "tidy", "demo", "thaw-e2e", "thaw-bench"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let manifests = tree.files().iter().filter(|file| file.path.ends_with("Cargo.toml"));
    manifests.flat_map(check_manifest).collect()
}

fn check_manifest(file: &File) -> Vec<Finding> {
    let Ok(manifest) = file.text.parse::<Table>() else { return vec![file.finding(1, "is not TOML")] };
    let Some(name) = manifest.get("package").and_then(|package| package.get("name")).and_then(Value::as_str)
    else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for (section, dependency) in dependencies(&manifest) {
        let line =
            file.text.lines().position(|line| line.starts_with(&dependency)).map_or(1, |index| index + 1);
        if let Some(problem) = problem(name, &section, &dependency) {
            findings.push(file.finding(line, problem));
        }
    }
    findings
}

fn problem(name: &str, section: &str, dependency: &str) -> Option<String> {
    let of_product = PRODUCT.iter().any(|(product, _)| *product == dependency);
    if JUDGES.contains(&name) {
        return of_product
            .then(|| format!("{name} judges the product and must not share its code: {dependency}"));
    }
    let Some((_, allowed)) = PRODUCT.iter().find(|(product, _)| *product == name) else {
        let unknown = !TEST_CRATES.contains(&name);
        return unknown.then(|| format!("{name} has no layer: add it to tests/tidy and ARCHITECTURE.md"));
    };
    if TEST_CRATES.contains(&dependency) && section != "dev-dependencies" {
        return Some(format!("a product crate depends on the test crate {dependency}"));
    }
    (of_product && !allowed.contains(&dependency))
        .then(|| format!("{name} must not depend on {dependency} (layers)"))
}

/// (section, crate) of every dependency, also those of a target.
fn dependencies(manifest: &Table) -> Vec<(String, String)> {
    let mut tables: Vec<&Table> = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(Value::as_table) {
        tables.extend(targets.values().filter_map(Value::as_table));
    }
    let mut found = Vec::new();
    for table in tables {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let names = table.get(section).and_then(Value::as_table).into_iter().flat_map(Table::keys);
            found.extend(names.map(|name| (section.to_owned(), name.clone())));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::messages;

    fn manifest(name: &str, section: &str, dependency: &str) -> Vec<String> {
        let text = format!("[package]\nname = \"{name}\"\n[{section}]\n{dependency}.workspace = true\n");
        messages(check, &[("x/Cargo.toml", &text)])
    }

    #[test]
    fn a_layer_cannot_reach_up_or_sideways() {
        assert_eq!(manifest("thaw-worker", "dependencies", "thaw-queue").len(), 0);
        assert_eq!(manifest("thaw-worker", "dependencies", "thaw-planner").len(), 1);
        assert_eq!(manifest("thaw-snowflake", "dependencies", "thaw-postgres").len(), 1);
        assert_eq!(manifest("thaw-status", "dev-dependencies", "thaw-queue").len(), 1);
    }

    #[test]
    fn the_product_uses_test_crates_in_tests_only() {
        assert_eq!(manifest("thaw-status", "dev-dependencies", "thaw-harness").len(), 0);
        assert_eq!(manifest("thaw-status", "dependencies", "thaw-harness").len(), 1);
        assert_eq!(manifest("thaw-status", "target.'cfg(unix)'.dependencies", "thaw-harness").len(), 1);
    }

    #[test]
    fn a_judge_does_not_share_the_products_code() {
        assert_eq!(manifest("thaw-e2e", "dependencies", "thaw-model").len(), 0);
        assert_eq!(manifest("emulator-engine", "dependencies", "thaw-model").len(), 1);
        assert_eq!(manifest("thaw-new", "dependencies", "thaw-model").len(), 1);
    }
}
