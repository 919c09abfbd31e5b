//! The list of keys, the JSON Schema, the documentation and the examples say the same.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use super::Files;
use crate::keys::SECTIONS;

/// The JSON pointer of `sources[].tables[].target` into the first source and table.
pub(super) fn pointer(path: &str) -> String {
    format!("/{}", path.replace("[]", ".0").replace('.', "/"))
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every property of the schema, found by walking it from the root.
fn schema_paths(schema: &Value, node: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    let properties = node["properties"].as_object().expect("properties");
    for (name, property) in properties {
        let path = format!("{prefix}{name}");
        found.insert(path.clone());
        assert!(
            property["description"].as_str().is_some_and(|text| text.len() > 5),
            "{path} is not described"
        );
        for form in property["anyOf"].as_array().into_iter().flatten() {
            let (form, suffix) = if form["type"] == "array" { (&form["items"], "[]") } else { (form, "") };
            if let Some(reference) = form["$ref"].as_str() {
                let target = schema.pointer(reference.trim_start_matches('#')).expect("the definition");
                schema_paths(schema, target, &format!("{path}{suffix}."), found);
            }
        }
    }
}

#[test]
fn the_schema_describes_exactly_the_known_keys() {
    let schema = crate::schema();
    let mut found = BTreeSet::new();
    schema_paths(&schema, &schema, "", &mut found);
    let known: BTreeSet<String> = crate::key_paths().into_iter().collect();
    assert_eq!(found, known);
}

#[test]
fn every_key_is_documented() {
    let text = read("docs/configuration.md");
    for section in SECTIONS {
        for key in section.keys() {
            assert!(
                text.contains(&format!("| `{}` |", key.name)),
                "{}: {} is missing",
                section.name,
                key.name
            );
        }
    }
}

#[test]
fn the_documentation_names_no_key_that_does_not_exist() {
    let text = read("docs/configuration.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    for (name, _) in rows {
        assert!(SECTIONS.iter().any(|section| section.key(name).is_some()), "{name} does not exist");
    }
}

#[test]
fn the_example_is_accepted_and_shows_every_common_key() {
    let text = read("deploy/config.example.json");
    let files = Files::new();
    files.write("snowflake_key.p8", &super::keys_given::pkcs8_pem());
    let environment = [
        ("SNOWFLAKE_ACCOUNT", "xy12345.us-east-1"),
        ("SNOWFLAKE_USER", "LOADER"),
        ("SNOWFLAKE_RSA_KEY", "snowflake_key.p8"),
        ("POSTGRES_HOST", "db.example"),
        ("POSTGRES_USER", "loader"),
        ("POSTGRES_PASSWORD", "secret"),
        ("AMQP_URL", "amqps://loader:secret@mq.example/"),
    ];
    let loaded = files.load(&text, &environment).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.sources[0].tables.len(), 3);
}

#[test]
fn the_configuration_of_the_composition_is_accepted() {
    let files = Files::new();
    let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    files.write("key.pem", &super::keys_given::pkcs8_pem());
    files.write("authority.pem", certificate);
    let folder = files.path().display().to_string();
    let text = read("deploy/compose/config.json").replace("\"/keys/", &format!("\"{folder}/"));
    let environment = [
        ("SNOWFLAKE_ACCOUNT", "TRYOUT"),
        ("SNOWFLAKE_USER", "LOADER"),
        ("POSTGRES_HOST", "postgres"),
        ("POSTGRES_USER", "thaw_worker"),
        ("POSTGRES_PASSWORD", "x"),
        ("AMQP_URL", "amqp://u:p@rabbitmq"),
    ];
    let loaded = files.load(&text, &environment).unwrap_or_else(|errors| panic!("{errors}"));
    let paths: Vec<_> = loaded.warnings.iter().map(|finding| finding.path.as_str()).collect();
    // Its database is reached without TLS, in a network of its own.
    assert_eq!(paths, ["postgres.sslmode"]);
}

#[test]
fn the_configuration_of_the_cluster_is_accepted() {
    let files = Files::new();
    files.write("rsa_key.p8", &super::keys_given::pkcs8_pem());
    let folder = files.path().display().to_string();
    let text = read("deploy/k8s/base/config.json").replace("\"/keys/", &format!("\"{folder}/"));
    let environment =
        [("POSTGRES_USER", "thaw_worker"), ("POSTGRES_PASSWORD", "x"), ("AMQP_URL", "amqps://u:p@rabbitmq")];
    let loaded = files.load(&text, &environment).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.warnings, []);
}

#[test]
fn every_configuration_in_the_readme_is_accepted() {
    let readme = read("README.md");
    let blocks = readme.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    let files = Files::new();
    let key = super::keys_given::pkcs8_pem();
    let environment = [("SNOWFLAKE_KEY", key.as_str()), ("PGPASSWORD", "x"), ("AMQP_URL", "amqps://u:p@mq")];
    let mut count = 0;
    for block in blocks.filter(|block| block.contains("\"sources\"")) {
        let loaded = files.load(block, &environment).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(loaded.warnings, []);
        count += 1;
    }
    assert!(count > 0, "the README shows a configuration");
}
