//! Tests of whole files. Each writes a configuration into a folder of its own and reads it as the binaries do, with
//! an environment of its own.

mod accepted;
mod documents;
mod keys_given;
mod parsing;
mod refused;
mod secrets;

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::finding::{ConfigErrors, Finding, Severity};
use crate::load::{LoadOptions, Loaded, load_with};

/// A configuration that is valid and warns of nothing.
fn valid() -> Value {
    json!({
        "snowflake": {
            "account": "xy12345.us-east-1", "user": "LOADER", "warehouse": "WH", "auth": "pat", "token": "t0ken"
        },
        "postgres": { "host": "localhost", "user": "loader", "password": "secret" },
        "sources": [{
            "source_name": "analytics",
            "source_sf_database": "ANALYTICS",
            "source_sf_schema": "BI",
            "target_pg_database": "analytics",
            "target_pg_schema": "public",
            "tables": [{ "source": "DIMPAYER", "target": "DIMPAYER" }]
        }]
    })
}

/// `valid()` with the value at a JSON pointer set.
fn valid_with(pointer: &str, value: Value) -> Value {
    let mut config = valid();
    set(&mut config, pointer, value);
    config
}

/// Sets the value at a JSON pointer whose parent is there.
fn set(config: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    match config.pointer_mut(parent).expect("the parent") {
        Value::Object(members) => {
            members.insert(key.to_owned(), value);
        }
        Value::Array(list) => match key.parse::<usize>() {
            Ok(index) if index < list.len() => list[index] = value,
            _ => list.push(value),
        },
        other => panic!("{other} has no members"),
    }
}

struct Files {
    dir: TempDir,
    strict: bool,
}

impl Files {
    fn new() -> Self {
        // An empty .env beside the configuration keeps one in the working directory of the tests out.
        let files = Self { dir: tempfile::tempdir().expect("a folder"), strict: false };
        files.write(".env", "");
        files
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    fn load(&self, text: &str, environment: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
        self.write("config.json", text);
        let options = LoadOptions {
            config_path: self.path().join("config.json"),
            env_file: Some(self.path().join(".env")),
            strict: self.strict,
        };
        let lookup = |name: &str| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        load_with(&options, &lookup)
    }
}

fn load(config: &Value) -> Result<Loaded, ConfigErrors> {
    Files::new().load(&serde_json::to_string_pretty(config).expect("serializes"), &[])
}

/// The findings of a configuration, whether it was accepted or not.
fn findings(config: &Value) -> Vec<Finding> {
    match load(config) {
        Ok(loaded) => loaded.warnings,
        Err(errors) => errors.findings,
    }
}

fn errors(config: &Value) -> Vec<(String, String)> {
    let only_errors = |finding: &Finding| finding.severity == Severity::Error;
    findings(config).into_iter().filter(only_errors).map(|f| (f.path, f.message)).collect()
}

fn warnings(config: &Value) -> Vec<(String, String)> {
    let loaded = load(config).unwrap_or_else(|errors| panic!("refused: {errors}"));
    loaded.warnings.into_iter().map(|f| (f.path, f.message)).collect()
}

/// Asserts one error, at `path`, whose message holds every part.
fn assert_refused(config: &Value, path: &str, parts: &[&str]) {
    let errors = errors(config);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].0, path, "{errors:?}");
    for part in parts {
        assert!(errors[0].1.contains(part), "`{part}` is missing from: {}", errors[0].1);
    }
}
