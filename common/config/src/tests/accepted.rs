//! What must be read, and how.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::json;
use thaw_model::plan::OnBadRow;
use thaw_model::{PgIdent, SfIdent};

use super::{Files, load, valid, valid_with, warnings};
use crate::{DeclaredType, Lookback, SnowflakeAuth, SslMode, Strategy};

/// The old script's file as its documents show it: comments, variables, null for absent, dead keys.
const OLD: &str = r#"{
  "snowflake": { "account": "${SNOWFLAKE_ACCOUNT}", "user": "${SNOWFLAKE_USER}", "warehouse": "${SNOWFLAKE_WAREHOUSE}",
                 "rsa_key": "${SNOWFLAKE_RSA_KEY}" },
  "postgres": { "host": "${POSTGRES_HOST}", "user": "${POSTGRES_USER}", "password": "${POSTGRES_PASSWORD}" },
  "parallel_threads": 4,        // Override global
  "batch_size": 10000,
  "batch_size_copy_mode": 100000,
  "max_retry_attempts": 3,
  "lambda_timeout_buffer_seconds": 120,
  "insert_only_mode": null,
  "sources": [ {
      "enabled": true, "source_name": "analytics",
      "source_sf_database": "ANALYTICS", "source_sf_schema": "BI",
      "target_pg_database": "conflict_management", "target_pg_schema": "analytics_dev",
      "tables": [
        { "enabled": true, "source": "DIMPAYER", "target": "dimpayer",
          "source_filter": "\"Is Active\" = TRUE AND \"Is Demo\" = FALSE AND \"Source System\" = 'hha'",
          "chunking_columns": ["Payer Id"], "chunking_column_types": ["uuid"], "uniqueness_columns": ["Payer Id"],
          "sort_columns": ["Payer Id"],
          "source_watermark": "Updated Timestamp", "target_watermark": "Updated Datatimestamp",
          "truncate_onstart": false, "disable_index": false },
        { "enabled": false, "source": "\"lowercase_table\"", "target": "lowercase_table", "source_filter": "",
          "chunking_columns": null, "chunking_column_types": null, "uniqueness_columns": null, "sort_columns": null,
          "source_watermark": null, "target_watermark": null, "column_mapping": null, "truncate_onstart": true,
          "insert_only_mode": true, "disable_index": true, "parallel_threads": 2, "batch_size": 30000,
          "batch_size_copy_mode": 35000 }
      ] } ]
}"#;

const OLD_ENV: &str = "SNOWFLAKE_ACCOUNT=IKB38126.us-east-1\nSNOWFLAKE_USER=LOADER\nSNOWFLAKE_WAREHOUSE=WH\n\
                       POSTGRES_HOST=db.example\nPOSTGRES_USER=loader\nPOSTGRES_PASSWORD=pa$$w0rd#&1\n";

#[test]
fn the_old_scripts_file_is_read_unchanged() {
    let files = Files::new();
    let key = super::keys_given::pkcs8_pem();
    files.write(".env", &format!("{OLD_ENV}SNOWFLAKE_RSA_KEY={key}"));
    let loaded = files.load(OLD, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    let config = loaded.config;

    assert_eq!(config.snowflake.url.as_str(), "https://ikb38126.us-east-1.snowflakecomputing.com/");
    assert!(matches!(config.snowflake.auth, SnowflakeAuth::KeyPair { .. }));
    assert_eq!(config.postgres.password.expose_secret(), "pa$$w0rd#&1");
    assert_eq!((config.postgres.port, config.postgres.sslmode), (5432, SslMode::VerifyFull));
    assert_eq!(config.parallel_threads, 4);
    assert!(config.rabbitmq.is_none());

    let payer = &config.sources[0].tables[0];
    assert_eq!((payer.source.as_str(), payer.target.as_str()), ("DIMPAYER", "dimpayer"));
    assert_eq!(payer.chunking_columns[0].declared_type, Some(DeclaredType::Uuid));
    assert_eq!(
        payer.mapped(&SfIdent::exact("Updated Timestamp")),
        Some(&PgIdent::exact("Updated Datatimestamp"))
    );
    assert_eq!((payer.batch_size, payer.batch_size_copy_mode, payer.insert_only), (10_000, 100_000, false));
    assert_eq!(payer.parallel_threads, None);

    let lower = &config.sources[0].tables[1];
    assert_eq!((lower.source.as_str(), lower.enabled), ("lowercase_table", false));
    assert_eq!(lower.source_filter, None);
    assert_eq!((lower.batch_size, lower.batch_size_copy_mode, lower.insert_only), (30_000, 35_000, true));
    assert_eq!(lower.parallel_threads, Some(2));

    let paths: Vec<_> = loaded.warnings.iter().map(|finding| finding.path.as_str()).collect();
    assert_eq!(paths, ["sources[0].tables[0].sort_columns"]);
}

#[test]
fn defaults_hold_where_nothing_is_said() {
    let loaded = load(&valid()).expect("is valid");
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    assert_eq!((config.parallel_threads, config.batch_size, config.max_retry_attempts), (6, 50_000, 3));
    assert_eq!(config.lambda_timeout_buffer, Duration::from_secs(120));
    assert_eq!(config.worker.lease, Duration::from_secs(60));
    assert_eq!(config.worker.heartbeat, Duration::from_secs(15));
    assert_eq!(config.worker.halt_grace, Duration::from_secs(900));
    assert_eq!(config.postgres.sslmode, SslMode::Disable);
    let table = &config.sources[0].tables[0];
    assert_eq!(table.path, "sources[0].tables[0]");
    assert_eq!(
        (table.strategy, table.timezone.as_str(), table.timezone_is_set),
        (Strategy::Auto, "UTC", false)
    );
    assert_eq!((table.watermark_lookback, table.offset_sub_chunks_max), (Lookback::Default, 32));
    assert_eq!((table.bad_rows.on_bad_row, table.bad_rows.max_bad_rows), (OnBadRow::Fail, 1000));
    assert!(table.enabled && !table.append && !table.allow_empty_source && table.lossy.is_empty());
}

#[test]
fn a_table_overrides_the_top_level_key_by_key() {
    let mut config = valid();
    for (pointer, value) in [
        ("/strategy", json!("numeric_range")),
        ("/timezone", json!("Europe/Berlin")),
        ("/watermark_lookback", json!(90)),
        ("/on_bad_row", json!("quarantine")),
        ("/lossy", json!("AMOUNT")),
        ("/append", json!(true)),
        ("/worker", json!({ "lease_seconds": 3 })),
        ("/sources/0/tables/0/on_bad_row", json!("NULL")),
        ("/sources/0/tables/0/append", json!(false)),
        ("/sources/0/tables/0/watermark_lookback", json!("1d")),
    ] {
        super::set(&mut config, pointer, value);
    }
    let config = load(&config).expect("is valid").config;
    let table = &config.sources[0].tables[0];
    assert_eq!((table.strategy, table.timezone.as_str()), (Strategy::NumericRange, "Europe/Berlin"));
    assert!(table.timezone_is_set && !table.append);
    assert_eq!(table.watermark_lookback, Lookback::Exactly(Duration::from_secs(86_400)));
    assert_eq!(
        (table.bad_rows.on_bad_row, table.lossy.as_slice()),
        (OnBadRow::Null, &["AMOUNT".to_owned()][..])
    );
    assert_eq!(config.worker.heartbeat, Duration::from_millis(750));
}

#[test]
fn null_is_absent_for_every_key() {
    let mut config = valid();
    for path in crate::key_paths() {
        let pointer = super::documents::pointer(&path);
        let (parent, _) = pointer.rsplit_once('/').expect("a pointer");
        if config.pointer(parent).is_some_and(serde_json::Value::is_object)
            && config.pointer(&pointer).is_none()
        {
            super::set(&mut config, &pointer, json!(null));
        }
    }
    let loaded = load(&config).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.warnings, []);
}

#[test]
fn a_variable_may_stand_for_a_number_or_a_flag() {
    let files = Files::new();
    let mut config = valid();
    super::set(&mut config, "/postgres/port", json!("${PORT}"));
    super::set(&mut config, "/sources/0/tables/0/truncate_onstart", json!("${TRUNCATE}"));
    let text = config.to_string();
    let loaded = files.load(&text, &[("PORT", "5433"), ("TRUNCATE", "true")]).expect("is valid");
    assert_eq!(loaded.config.postgres.port, 5433);
    assert!(loaded.config.sources[0].tables[0].truncate_onstart);
    let refused = files.load(&text, &[("PORT", "canary"), ("TRUNCATE", "canary")]).expect_err("is refused");
    assert_eq!(refused.error_count(), 2);
    assert!(!refused.to_string().contains("canary"));
}

#[test]
fn comments_are_keys_that_begin_with_an_underscore_or_a_dollar() {
    let mut config = valid_with("/_note", json!({ "target": 1 }));
    super::set(&mut config, "/$schema", json!("config.schema.json"));
    assert_eq!(warnings(&config), []);
}

#[test]
fn the_broker_comes_from_the_file_or_from_a_variable() {
    let files = Files::new();
    let text = valid().to_string();
    let url = |loaded: &crate::Loaded| {
        loaded.config.rabbitmq.as_ref().map(|rabbit| rabbit.url.expose_secret().to_owned())
    };
    let variable = [("AMQP_URL", "amqp://u:p@broker:5672/%2f")];
    assert_eq!(
        url(&files.load(&text, &variable).expect("is valid")).as_deref(),
        Some("amqp://u:p@broker:5672/%2f")
    );
    let named = valid_with("/rabbitmq", json!({ "url": "amqps://other" })).to_string();
    assert_eq!(url(&files.load(&named, &variable).expect("is valid")).as_deref(), Some("amqps://other"));
    let empty = valid_with("/rabbitmq", json!({})).to_string();
    assert!(url(&files.load(&empty, &variable).expect("is valid")).is_some());
    assert_eq!(files.load(&empty, &[]).expect_err("is refused").findings[0].path, "rabbitmq.url");
}

#[test]
fn a_mapped_column_gives_the_missing_half_of_the_watermarks() {
    let mut config = valid_with("/sources/0/tables/0/column_mapping", json!({ "Upd": "upd_at", "_X": "x" }));
    super::set(&mut config, "/sources/0/tables/0/source_watermark", json!("Upd"));
    let table = load(&config).expect("is valid").config.sources[0].tables[0].clone();
    assert_eq!(table.target_watermark, Some(PgIdent::exact("upd_at")));
    assert_eq!(table.mapped(&SfIdent::exact("_X")), Some(&PgIdent::exact("x")));
}

#[test]
fn entries_may_share_a_target_that_none_of_them_truncates() {
    let mut config = valid_with("/sources/0/tables/0/source_filter", json!("A = 1"));
    super::set(
        &mut config,
        "/sources/0/tables/-",
        json!({ "source": "DIMPAYER", "target": "dimpayer", "source_filter": "A = 2" }),
    );
    super::set(
        &mut config,
        "/sources/0/tables/-",
        json!({ "source": "DIMPAYER", "target": "dimpayer", "truncate_onstart": true, "enabled": false }),
    );
    assert_eq!(load(&config).expect("is valid").config.sources[0].tables.len(), 3);
}

#[test]
fn the_digest_moves_with_the_plan_and_with_nothing_else() {
    let digest = |config: &serde_json::Value| {
        let config = load(config).expect("is valid").config;
        config.plan_digest(&config.sources[0], &config.sources[0].tables[0])
    };
    let base = digest(&valid());
    assert_eq!(base.hash.len(), 64);
    for (pointer, value) in [
        ("/postgres/password", json!("other")),
        ("/snowflake/token", json!("other")),
        ("/parallel_threads", json!(2)),
        ("/max_retry_attempts", json!(9)),
        ("/sources/0/tables/0/target", json!("dimpayer")),
        ("/batch_size", json!(50_000)),
    ] {
        assert_eq!(digest(&valid_with(pointer, value)), base, "{pointer}");
    }
    for (pointer, key, value) in [
        ("/batch_size", "batch_size", json!(1000)),
        ("/sources/0/tables/0/source_filter", "source_filter", json!("A = 1")),
        ("/sources/0/tables/0/truncate_onstart", "truncate_onstart", json!(true)),
        ("/snowflake/role", "role", json!("R")),
    ] {
        let moved = digest(&valid_with(pointer, value));
        assert_ne!(moved.hash, base.hash, "{pointer}");
        assert!(moved.changed_keys(&base).contains(&key), "{pointer}");
    }
}
