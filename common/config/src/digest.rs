//! A hash over what changes a table's plan, so that a resume can tell whether the stored plan still holds.
//!
//! Secrets, thread counts, retries and times of the fleet are left out: they change no plan.

use sha2::{Digest, Sha256};

use crate::config::{Config, Source, TableEntry};

/// The hash of one entry, and of each of its keys so that two can be compared key by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanDigest {
    /// SHA-256 over all of it, 64 hexadecimal digits; kept as `config_hash`.
    pub hash: String,
    /// Key and a short digest of its value, in a fixed order. Digests, because a filter may hold a user's value.
    pub keys: Vec<(&'static str, String)>,
}

/// Digits of a key's digest: enough to tell two values apart.
const KEY_DIGITS: usize = 16;

impl PlanDigest {
    /// The keys whose values differ between two digests.
    #[must_use]
    pub fn changed_keys(&self, other: &Self) -> Vec<&'static str> {
        let differs = |(key, digest): &&(&'static str, String)| {
            !other.keys.iter().any(|(other_key, other_digest)| other_key == key && other_digest == digest)
        };
        self.keys.iter().filter(differs).map(|(key, _)| *key).collect()
    }
}

impl Config {
    /// The digest of an entry of this configuration.
    #[must_use]
    pub fn plan_digest(&self, source: &Source, table: &TableEntry) -> PlanDigest {
        let values = values(self, source, table);
        let mut whole = Sha256::new();
        let mut keys = Vec::with_capacity(values.len());
        for (key, value) in values {
            // Lengths keep ("ab", "c") and ("a", "bc") apart.
            whole.update(format!("{key}:{}:{value};", value.len()));
            let digits: String = hex(&Sha256::digest(value)).chars().take(KEY_DIGITS).collect();
            keys.push((key, digits));
        }
        PlanDigest { hash: hex(&whole.finalize()), keys }
    }
}

/// What is hashed, each as a text that is equal only for equal values.
fn values(config: &Config, source: &Source, table: &TableEntry) -> Vec<(&'static str, String)> {
    let snowflake = &config.snowflake;
    vec![
        ("account", snowflake.account.to_ascii_lowercase()),
        ("user", snowflake.user.clone()),
        ("role", format!("{:?}", snowflake.role)),
        ("source_sf_database", source.source_database.quoted()),
        ("source_sf_schema", source.source_schema.quoted()),
        ("target_pg_database", source.target_database.clone()),
        ("target_pg_schema", source.target_schema.quoted()),
        ("source", table.source.quoted()),
        ("target", table.target.quoted()),
        ("source_filter", format!("{:?}", table.source_filter)),
        ("chunking_columns", format!("{:?}", table.chunking_columns)),
        ("uniqueness_columns", format!("{:?}", table.uniqueness_columns)),
        ("source_watermark", format!("{:?}", table.source_watermark)),
        ("target_watermark", format!("{:?}", table.target_watermark)),
        ("column_mapping", format!("{:?}", table.column_mapping)),
        ("truncate_onstart", table.truncate_onstart.to_string()),
        ("insert_only_mode", table.insert_only.to_string()),
        ("disable_index", table.disable_index.to_string()),
        ("batch_size", table.batch_size.to_string()),
        ("batch_size_copy_mode", table.batch_size_copy_mode.to_string()),
        ("strategy", table.strategy.as_str().to_owned()),
        ("timezone", table.timezone.clone()),
        ("watermark_lookback", format!("{:?}", table.watermark_lookback)),
        ("on_bad_row", format!("{:?}", table.bad_rows.on_bad_row)),
        ("nul_in_text", format!("{:?}", table.bad_rows.nul_in_text)),
        ("max_bad_rows", table.bad_rows.max_bad_rows.to_string()),
        ("quarantine_values", table.bad_rows.keep_values.to_string()),
        ("lossy", format!("{:?}", table.lossy)),
        ("allow_empty_source", table.allow_empty_source.to_string()),
        ("append", table.append.to_string()),
        ("offset_sub_chunks_max", table.offset_sub_chunks_max.to_string()),
    ]
}

/// One hash over several, in their order: what a whole run is asked to do.
#[must_use]
pub fn combined_hash<'a>(hashes: impl IntoIterator<Item = &'a str>) -> String {
    let mut whole = Sha256::new();
    for hash in hashes {
        whole.update(format!("{hash};"));
    }
    hex(&whole.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
