//! The real binary, as a shell sees it: exit codes, and what goes to stdout and stderr. Nothing here needs a server.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

fn planner(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_planner"))
        .args(args)
        .current_dir(dir)
        .env_remove("AMQP_URL")
        .output()
        .expect("planner starts")
}

fn with_config(text: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("config.json"), text).expect("written");
    dir
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

const VALID: &str = r#"{
  "snowflake": { "account": "xy12345", "user": "U", "warehouse": "W", "auth": "pat", "token": "canary-token" },
  "postgres": { "host": "localhost", "user": "u", "password": "canary-password" },
  "sources": [ { "source_name": "s", "source_sf_database": "D", "source_sf_schema": "S",
    "target_pg_database": "d", "target_pg_schema": "p",
    "tables": [ { "source": "A", "target": "a" } /* trailing */ ] } ]
}"#;

#[test]
fn three_faults_are_answered_with_three_paths_at_once() {
    let faulty = VALID
        .replace("\"user\": \"u\"", "\"usr\": \"u\"")
        .replace("\"target\": \"a\"", "\"target\": \"a\", \"batch_size\": \"many\"")
        .replace("\"canary-token\"", "\"${UNSET_TOKEN}\"");
    let dir = with_config(&faulty);
    let begun = Instant::now();
    let output = planner(dir.path(), &["check", "--offline"]);
    let took = begun.elapsed();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for part in [
        "error: snowflake.token: variable UNSET_TOKEN is not set",
        "error: postgres.usr: unknown key; did you mean `user`?",
        "error: postgres.user: missing",
        "error: sources[0].tables[0].batch_size: must be a whole number from 1 to 10000000, found text",
    ] {
        assert!(stderr.contains(part), "`{part}` is missing from {stderr}");
    }
    assert!(!stderr.contains("canary") && output.stdout.is_empty(), "{stderr}");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_valid_configuration_is_said_to_be_so_on_stdout() {
    let dir = with_config(VALID);
    let output = planner(dir.path(), &["check", "--offline"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(
        text(&output.stdout),
        "the configuration is valid: 1 enabled table in 1 source, no broker (--local only)\n"
    );
}

#[test]
fn strict_refuses_what_is_only_warned_about() {
    let dir = with_config(&VALID.replace("\"account\"", "\"schema\": \"PUBLIC\", \"account\""));
    let lenient = planner(dir.path(), &["check", "--offline"]);
    assert_eq!(lenient.status.code(), Some(0));
    assert!(text(&lenient.stderr).contains("warning: snowflake.schema: unknown key"));
    assert_eq!(planner(dir.path(), &["check", "--offline", "--strict"]).status.code(), Some(1));
}

#[test]
fn a_file_that_is_missing_or_broken_ends_every_command_with_1() {
    let empty = tempfile::tempdir().expect("a folder");
    for command in ["run", "check", "status", "init"] {
        let output = planner(empty.path(), &[command]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(text(&output.stderr).contains("config.json: 1 error"), "{command}");
    }
    let broken = with_config("{\n  // a comment\n  \"sources\": [\n}");
    let output = planner(broken.path(), &["run"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("broken JSON at line 4, column 1"), "{}", text(&output.stderr));
}

#[test]
fn the_environment_file_that_is_named_is_used() {
    let dir = with_config(&VALID.replace("canary-token", "${TOKEN_FOR_TEST}"));
    std::fs::write(dir.path().join("x.env"), "TOKEN_FOR_TEST=canary\n").expect("written");
    assert_eq!(planner(dir.path(), &["check", "--offline"]).status.code(), Some(1));
    let output = planner(dir.path(), &["--env-file", "x.env", "check", "--offline"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn usage_errors_end_with_1_and_help_with_0() {
    let dir = with_config(VALID);
    for (args, code, part) in [
        (&[][..], 1, "Usage"),
        (&["fly"], 1, "unrecognized subcommand"),
        (&["prune", "--older-than", "30"], 1, "not an age such as 36h, 30d or 8w"),
        (&["run", "--resume-max-age", "soon"], 1, "not a number of hours"),
        (&["run", "--detach", "--local"], 1, "cannot be used with"),
        (&["check", "--offline", "--log-level", "loud"], 1, "`loud` is no log level"),
    ] {
        let output = planner(dir.path(), args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert!(text(&output.stderr).contains(part), "{args:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{args:?}");
    }
    for args in [["--help"], ["--version"]] {
        let output = planner(dir.path(), &args);
        assert_eq!((output.status.code(), output.stderr.is_empty()), (Some(0), true), "{args:?}");
    }
}

#[test]
fn the_schema_is_json_and_needs_no_configuration() {
    let empty = tempfile::tempdir().expect("a folder");
    let output = planner(empty.path(), &["schema"]);
    assert_eq!(output.status.code(), Some(0));
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(schema["properties"]["sources"].is_object());
}

#[test]
fn a_server_that_is_not_there_is_named_and_nothing_is_printed_of_the_secrets() {
    // Port 1 of this machine: nobody listens, and the answer is immediate.
    let config = VALID
        .replace("\"user\": \"u\"", "\"user\": \"u\", \"port\": 1")
        .replace("\"account\"", "\"url\": \"http://127.0.0.1:1\", \"account\"");
    let dir = with_config(&config);
    for command in ["check", "run", "init", "status"] {
        let args: &[&str] = if command == "run" { &["run", "--local"] } else { &[command] };
        let output = planner(dir.path(), args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command}: {stderr}");
        assert!(stderr.contains("database \"d\""), "{command}: {stderr}");
        assert!(!stderr.contains("canary"), "{command}: {stderr}");
    }
}
