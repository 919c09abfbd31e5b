//! What must be refused or warned about, where, and in which words.

use serde_json::json;

use super::{Files, assert_refused, errors, findings, load, set, valid, valid_with, warnings};
use crate::finding::Severity;
use crate::load::{LoadOptions, load_with};

const TABLE: &str = "/sources/0/tables/0";

#[test]
fn all_faults_of_a_file_are_reported_at_once_in_its_order() {
    let text = r#"{
      "snowflake": { "account": "a b", "user": "U", "warehouse": "${NOPE}", "token": "t", "auth": "pat" },
      "postgres": { "host": "localhost", "user": "u", "prot": 5432 },
      "batch_size": "many", // a comment
      "sources": [ { "source_name": "s", "source_sf_database": "D", "source_sf_schema": "S",
        "target_pg_database": "d", "target_pg_schema": "p",
        "tables": [ { "source": "A", "target": "a" },
                    { "source": "B",
                      "truncate_onstart": "yes" } ] } ]
    }"#;
    let refused = Files::new().load(text, &[]).expect_err("is refused");
    let found: Vec<_> = refused.findings.iter().map(|f| (f.path.as_str(), f.line)).collect();
    assert_eq!(
        found,
        [
            ("snowflake.account", Some(2)),
            ("snowflake.warehouse", Some(2)),
            ("postgres.prot", Some(3)),
            ("batch_size", Some(4)),
            ("sources[0].tables[1].target", Some(8)),
            ("sources[0].tables[1].truncate_onstart", Some(9)),
        ]
    );
    let shown = refused.to_string();
    assert!(shown.contains("config.json: 6 errors"), "{shown}");
    assert!(shown.contains("error: postgres.prot: unknown key; did you mean `port`? (line 3)"), "{shown}");
    assert!(shown.contains("variable NOPE is not set"), "{shown}");
    assert!(shown.contains("must be a whole number from 1 to 10000000, found text"), "{shown}");
}

#[test]
fn a_file_that_is_missing_or_broken_says_where() {
    let files = Files::new();
    let options =
        |name: &str| LoadOptions { config_path: files.path().join(name), env_file: None, strict: false };
    let missing = load_with(&options("none.json"), &|_| None).expect_err("is refused");
    assert!(missing.to_string().contains("No such file"), "{missing}");
    assert!(load_with(&options(""), &|_| None).is_err(), "a folder is no file");
    let broken = files.load("{\n  // a comment\n  \"a\": 1\n  \"b\": 2\n}", &[]).expect_err("is refused");
    assert!(broken.to_string().contains("line 4, column 3"), "{broken}");
    let list = files.load("[]", &[]).expect_err("is refused");
    assert!(list.to_string().contains("must be an object {...}, found a list"), "{list}");
    files.write("latin.json", "");
    std::fs::write(files.path().join("latin.json"), b"{\n\"a\": \"\xe9\"}").expect("written");
    let latin = load_with(&options("latin.json"), &|_| None).expect_err("is refused");
    assert!(latin.to_string().contains("is not UTF-8; save the file in that encoding (line 2)"), "{latin}");
}

#[test]
fn an_environment_file_that_was_named_must_be_readable() {
    let files = Files::new();
    files.write("config.json", &valid().to_string());
    let mut options = LoadOptions {
        config_path: files.path().join("config.json"),
        env_file: Some(files.path().join("none.env")),
        strict: false,
    };
    let missing = load_with(&options, &|_| None).expect_err("is refused");
    assert!(missing.to_string().contains("none.env cannot be read"), "{missing}");
    files.write("bad.env", "A=1\ncanary\n");
    options.env_file = Some(files.path().join("bad.env"));
    let bad = load_with(&options, &|_| None).expect_err("is refused").to_string();
    assert!(bad.contains("bad.env, line 2: expected NAME=value") && !bad.contains("canary"), "{bad}");
}

#[test]
fn unknown_keys_are_errors_near_a_known_one_and_warnings_else() {
    assert_refused(
        &valid_with(&format!("{TABLE}/traget"), json!("x")),
        "sources[0].tables[0].traget",
        &["`target`"],
    );
    assert_refused(&valid_with("/batchSize", json!(1)), "batchSize", &["`batch_size`"]);
    let mut config = valid_with("/snowflake/authenticator", json!("SNOWFLAKE_JWT"));
    set(&mut config, "/sources/0/batch_size", json!(5));
    let found = warnings(&config);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].1.contains("unknown key, ignored"), "{found:?}");
    assert!(found[1].1.contains("it belongs to the top level"), "{found:?}");
}

#[test]
fn strict_makes_every_warning_an_error() {
    let mut files = Files::new();
    let text = valid_with("/snowflake/schema", json!("PUBLIC")).to_string();
    assert_eq!(files.load(&text, &[]).expect("is valid").warnings.len(), 1);
    files.strict = true;
    let refused = files.load(&text, &[]).expect_err("is refused");
    assert_eq!(refused.findings[0].severity, Severity::Error);
}

#[test]
fn a_key_that_stands_twice_is_warned_about() {
    let text = valid().to_string().replacen("{\"source\":", "{\"target\":\"other\",\"source\":", 1);
    let loaded = Files::new().load(&text, &[]).expect("is valid");
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings[0].message.contains("twice"));
    assert_eq!(loaded.config.sources[0].tables[0].target.as_str(), "dimpayer");
}

#[test]
fn sources_must_hold_something() {
    assert_refused(&valid_with("/sources", json!([])), "sources", &["is empty"]);
    assert_refused(&valid_with("/sources", json!(null)), "sources", &["missing"]);
    assert_refused(&valid_with("/sources", json!({})), "sources", &["must be a list [...], found an object"]);
    let nothing = warnings(&valid_with("/sources/0/enabled", json!(false)));
    assert!(nothing[0].1.contains("nothing will be loaded"));
    assert!(warnings(&valid_with("/sources/0/tables", json!([]))).len() == 2);
}

#[test]
fn every_required_key_is_missed_by_name() {
    let empty = json!({ "snowflake": {}, "postgres": {}, "sources": [{ "tables": [{}] }] });
    let mut paths: Vec<_> = errors(&empty).into_iter().map(|(path, _)| path).collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            "postgres.host",
            "postgres.user",
            "snowflake.account",
            "snowflake.rsa_key",
            "snowflake.user",
            "snowflake.warehouse",
            "sources[0].source_name",
            "sources[0].source_sf_database",
            "sources[0].source_sf_schema",
            "sources[0].tables[0].source",
            "sources[0].tables[0].target",
            "sources[0].target_pg_database",
            "sources[0].target_pg_schema",
        ]
    );
    let paths: Vec<_> = errors(&json!({})).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["snowflake", "postgres", "sources"]);
}

#[test]
fn every_key_refuses_a_value_of_another_kind() {
    for path in crate::key_paths() {
        let pointer = super::documents::pointer(&path);
        let is_flag = findings(&prepared(&pointer, json!(true))).is_empty();
        let wrong = if is_flag { json!([]) } else { json!(true) };
        let found = findings(&prepared(&pointer, wrong));
        let place = path.replace("[]", "[0]");
        assert!(found.iter().any(|finding| finding.path == place), "{path}: {found:?}");
    }
}

/// `valid()` with a value at a pointer whose parent may be missing.
fn prepared(pointer: &str, value: serde_json::Value) -> serde_json::Value {
    let mut config = valid();
    set(&mut config, "/worker", json!({}));
    set(&mut config, "/rabbitmq", json!({ "url": "amqp://localhost" }));
    set(&mut config, pointer, value);
    config
}

#[test]
fn numbers_have_ranges() {
    for (pointer, path, value) in [
        ("/batch_size", "batch_size", json!(0)),
        ("/batch_size", "batch_size", json!(10_000_001)),
        ("/batch_size", "batch_size", json!(1e30)),
        ("/parallel_threads", "parallel_threads", json!(0)),
        ("/parallel_threads", "parallel_threads", json!(-1)),
        ("/max_retry_attempts", "max_retry_attempts", json!(1.5)),
        ("/postgres/port", "postgres.port", json!(65_536)),
        ("/worker", "worker.lease_seconds", json!({ "lease_seconds": 0 })),
    ] {
        assert_refused(&valid_with(pointer, value), path, &["must be"]);
    }
    let config = valid_with("/worker", json!({ "lease_seconds": 10, "heartbeat_seconds": 6 }));
    assert_refused(&config, "worker.heartbeat_seconds", &["at most half", "10 s", "lost heartbeat"]);
}

#[test]
fn words_are_checked_and_the_near_one_is_offered() {
    assert_refused(
        &valid_with("/postgres/sslmode", json!("verify_ful")),
        "postgres.sslmode",
        &["did you mean `verify-full`"],
    );
    assert_refused(&valid_with("/on_bad_row", json!("skip")), "on_bad_row", &["fail, quarantine, null"]);
    assert_refused(&valid_with("/strategy", json!("hash")), "strategy", &["`hash` is none of auto"]);
    assert_refused(&valid_with("/timezone", json!("+02:00")), "timezone", &["Europe/Berlin"]);
    assert_refused(&valid_with("/watermark_lookback", json!("1 fortnight")), "watermark_lookback", &["1h"]);
    assert_refused(&valid_with("/watermark_lookback", json!(-5)), "watermark_lookback", &["whole seconds"]);
}

#[test]
fn chunking_types_go_with_their_columns() {
    let with = |columns, types| {
        let mut config = valid_with(&format!("{TABLE}/chunking_columns"), columns);
        set(&mut config, &format!("{TABLE}/chunking_column_types"), types);
        config
    };
    let types = "sources[0].tables[0].chunking_column_types";
    assert_refused(&with(json!(["A"]), json!(["int", "date"])), types, &["2 types for 1"]);
    assert_refused(&with(json!("A"), json!("varchar_numerc")), types, &["varchar_numeric"]);
    assert!(warnings(&with(json!("A"), json!("Number(38,0)"))).is_empty());
    assert!(warnings(&with(json!(["A"]), json!(["double"])))[0].1.contains("unknown type, ignored"));
    assert!(warnings(&with(json!(null), json!(["int"])))[0].1.contains("no effect"));
    assert_refused(
        &with(json!(["A", "A"]), json!(null)),
        "sources[0].tables[0].chunking_columns[1]",
        &["twice"],
    );
    assert_refused(
        &with(json!(["A", 3]), json!(null)),
        "sources[0].tables[0].chunking_columns[1]",
        &["found a number"],
    );
}

#[test]
fn names_must_be_names() {
    let target = "sources[0].tables[0].target";
    assert_refused(&valid_with(&format!("{TABLE}/target"), json!("public.t")), target, &["holds a dot"]);
    assert_refused(&valid_with(&format!("{TABLE}/target"), json!("\"t")), target, &["lone double quote"]);
    assert_refused(&valid_with(&format!("{TABLE}/target"), json!("x".repeat(64))), target, &["longer"]);
    assert_refused(&valid_with(&format!("{TABLE}/target"), json!("  ")), target, &["is empty"]);
    assert!(load(&valid_with(&format!("{TABLE}/target"), json!("\"a.b\""))).is_ok());
}

#[test]
fn entries_that_share_a_target_must_not_truncate_or_repeat_each_other() {
    let second = json!({ "source": "OTHER", "target": "dimpayer", "truncate_onstart": true });
    let config = valid_with("/sources/0/tables/-", second);
    assert_refused(
        &config,
        "sources[0].tables[1].target",
        &["also the target of sources[0].tables[0]", "sources[0].tables[1] truncates it"],
    );
    let same = json!({ "source": "dimpayer", "target": "dimpayer" });
    assert_refused(
        &valid_with("/sources/0/tables/-", same),
        "sources[0].tables[1].target",
        &["repeats sources[0].tables[0]"],
    );
}

#[test]
fn mappings_must_not_contradict_themselves_or_the_watermarks() {
    let at = |key: &str| format!("sources[0].tables[0].{key}");
    let twice = valid_with(&format!("{TABLE}/column_mapping"), json!({ "A": "x", "B": "x" }));
    assert_refused(&twice, &at("column_mapping[\"B\"]"), &["target of `A` already"]);
    let mut config = valid_with(&format!("{TABLE}/column_mapping"), json!({ "UPD": "changed" }));
    set(&mut config, &format!("{TABLE}/source_watermark"), json!("UPD"));
    set(&mut config, &format!("{TABLE}/target_watermark"), json!("upd"));
    assert_refused(&config, &at("target_watermark"), &["contradicts column_mapping"]);
    set(&mut config, &format!("{TABLE}/source_watermark"), json!("OTHER"));
    set(&mut config, &format!("{TABLE}/target_watermark"), json!("changed"));
    assert_refused(&config, &at("target_watermark"), &["target of `UPD`"]);
}

#[test]
fn addresses_are_checked_before_anything_is_sent_there() {
    for (url, part) in [
        ("http://xy.snowflakecomputing.com", "plain http"),
        ("https://user:pw@host", "snowflake.user"),
        ("https://host/path", "after the host"),
        ("ftp://host", "https://"),
        ("host", "is no URL"),
    ] {
        assert_refused(&valid_with("/snowflake/url", json!(url)), "snowflake.url", &[part]);
    }
    for url in ["http://127.0.0.1:8084", "http://localhost:1", "http://[::1]:1/", "https://host:8443"] {
        assert!(load(&valid_with("/snowflake/url", json!(url))).is_ok(), "{url}");
    }
    for account in ["https://x", "x.snowflakecomputing.com", "evil.com/", "a@b", "x..y"] {
        assert_eq!(errors(&valid_with("/snowflake/account", json!(account))).len(), 1, "{account}");
    }
    assert_refused(&valid_with("/postgres/host", json!("db:5432")), "postgres.host", &["postgres.port"]);
    assert!(
        warnings(&valid_with("/postgres", json!({ "host": "db", "user": "u", "sslmode": "require" })))[0]
            .1
            .contains("not verified")
    );
    for url in ["amqp:/x", "http://host", "amqp://u:p#ss@host/", "amqp://u:p/s@host"] {
        assert_eq!(errors(&valid_with("/rabbitmq", json!({ "url": url }))).len(), 1, "{url}");
    }
    assert_eq!(errors(&valid_with("/snowflake/proxy", json!("proxy:3128"))).len(), 1);
}

#[test]
fn note_13_no_key_switches_verification_off_in_silence() {
    for key in ["insecure_mode", "verify", "ssl_verify"] {
        let mut config = valid();
        config["snowflake"][key] = json!(true);
        let said = findings(&config);
        assert!(said.iter().any(|finding| finding.path == format!("snowflake.{key}")), "{key}: {said:?}");
    }
    let unverified = json!({ "host": "db", "user": "u", "sslmode": "require" });
    assert!(
        !warnings(&valid_with("/postgres", unverified)).is_empty(),
        "what does not verify is warned about"
    );
}
