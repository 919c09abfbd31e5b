//! A config.json for a test.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::database::TestDatabase;
use crate::emulator::{ACCOUNT, Emulator, USER};

/// A configuration being put together; one source with tables of one schema on either side.
#[derive(Debug, Clone)]
pub struct ConfigBuilder {
    value: Value,
}

impl ConfigBuilder {
    /// Reads database `sf_database`, schema `sf_schema` of the emulator, writes schema `public` of the target.
    /// Leases are short (4 s), so that what dies is noticed soon.
    #[must_use]
    pub fn new(emulator: &Emulator, sf_database: &str, sf_schema: &str, target: &TestDatabase) -> Self {
        let mut value = json!({
            "snowflake": {
                "account": ACCOUNT, "user": USER, "warehouse": "TEST_WH",
                "rsa_key": emulator.key_file(), "url": emulator.url(),
            },
            "postgres": {
                "host": target.host(), "port": target.port(), "user": target.user(), "password": target.password(),
            },
            "worker": {
                "lease_seconds": 4, "heartbeat_seconds": 1, "redispatch_seconds": 1, "first_hint_seconds": 5,
                "shutdown_grace_seconds": 20,
            },
            "parallel_threads": 2,
            "batch_size": 10_000,
            "batch_size_copy_mode": 10_000,
            "sources": [{
                "source_name": "tests", "enabled": true,
                "source_sf_database": sf_database, "source_sf_schema": sf_schema,
                "target_pg_database": target.name(), "target_pg_schema": "public",
                "tables": [],
            }],
        });
        if let Some(authority) = emulator.authority() {
            value["snowflake"]["ca_file"] = json!(authority);
        }
        Self { value }
    }

    #[must_use]
    pub fn amqp(self, url: &str) -> Self {
        self.set("/rabbitmq", json!({ "url": url }))
    }

    /// Sets what a JSON pointer names (`/worker/lease_seconds`), making its last key where it is missing.
    ///
    /// # Panics
    /// When the parent does not exist.
    #[must_use]
    pub fn set(mut self, pointer: &str, value: Value) -> Self {
        let (parent, key) = pointer.rsplit_once('/').expect("a JSON pointer begins with /");
        let parent = self.value.pointer_mut(parent).expect("the parent exists");
        parent[key] = value;
        self
    }

    /// Adds a table, given as it would stand in the file.
    #[must_use]
    pub fn table(mut self, table: Value) -> Self {
        if let Some(tables) = self.value["sources"][0]["tables"].as_array_mut() {
            tables.push(table);
        }
        self
    }

    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Writes `<folder>/config.json`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        let file = folder.join("config.json");
        let text = serde_json::to_string_pretty(&self.value)?;
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }
}
