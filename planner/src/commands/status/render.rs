//! A run as text for people and as JSON for scripts. Ranges are shown only where they were asked
//! for, decisions are left out: both may hold users' values.

use std::time::Duration;

use serde_json::{Value, json};
use thaw_model::{RunState, TableState};
use thaw_status::progress::{StatementProgress, TableProgress};

use super::view::{DatabaseView, RunView};

/// One object on one line.
pub(super) fn json(view: &RunView) -> String {
    json!({
        "run": view.run.to_string(),
        "state": view.state().as_str(),
        "databases": view.databases.iter().map(database_json).collect::<Vec<_>>(),
    })
    .to_string()
}

fn database_json(view: &DatabaseView) -> Value {
    let mut tables = json!(view.tables);
    for (table, shown) in tables.as_array_mut().into_iter().flatten().zip(&view.tables) {
        if let Some(members) = table.as_object_mut() {
            if let Some(chunks) = view.chunks.get(&shown.table) {
                members.insert("chunk_list".into(), json!(chunks));
            }
            // The reasons of a plan may name bounds.
            members.remove("decisions");
        }
    }
    let mut database = json!(view.run);
    if let Some(members) = database.as_object_mut() {
        members.insert("database".into(), json!(view.database));
        members.insert("tables".into(), tables);
    }
    database
}

/// A heading, then a line a table.
pub(super) fn text(view: &RunView) -> String {
    let elapsed = view.databases.iter().map(|database| database.run.elapsed).max().unwrap_or_default();
    let started =
        view.databases.iter().map(|database| database.run.started_at.as_str()).min().unwrap_or_default();
    let mut text = format!("run {}: {}, started {started} UTC, {}", view.run, view.state(), span(elapsed));
    if view.state() == RunState::Running {
        let alive = view.databases.iter().any(|database| database.run.planner_alive);
        let idle = view.databases.iter().map(|database| database.run.idle).min().unwrap_or_default();
        let planner = if alive { "planner waiting" } else { "no planner waiting" };
        push(&mut text, format_args!(", {planner}, last sign of life {} ago", span(idle)));
    }
    let names =
        view.databases.iter().flat_map(|database| &database.tables).map(|table| table.target.chars().count());
    let width = names.max().unwrap_or(0);
    for database in &view.databases {
        push(&mut text, format_args!("\n{}: {}", database.database, database.run.state));
        push_error(&mut text, database.run.error_class.as_deref(), database.run.error_text.as_deref());
        for table in &database.tables {
            push(&mut text, format_args!("\n  {:<width$}  {}", table.target, line(table)));
            push_error(&mut text, table.error_class.as_deref(), table.error_text.as_deref());
            for chunk in database.chunks.get(&table.table).into_iter().flatten() {
                push(
                    &mut text,
                    format_args!("\n    chunk {} {}: {}", chunk.number, chunk.state, chunk.range),
                );
            }
        }
    }
    text
}

fn line(table: &TableProgress) -> String {
    let (chunks, rows) = (table.chunks, table.accounting);
    let mut line = format!("{:<10}  {} of {} chunks", table.state.as_str(), chunks.completed, chunks.planned);
    for (count, what) in
        [(chunks.in_progress, "loading"), (chunks.failed, "failed"), (chunks.cancelled, "cancelled")]
    {
        if count > 0 {
            push(&mut line, format_args!(", {count} {what}"));
        }
    }
    push(&mut line, format_args!("; {}", grouped(rows.fetched)));
    if let Some(expected) = table.expected_rows {
        push(&mut line, format_args!(" of {}", grouped(expected)));
    }
    line.push_str(" rows");
    for (count, what) in [
        (rows.inserted, "inserted"),
        (rows.updated, "updated"),
        (rows.kept, "kept"),
        (rows.deduplicated, "deduplicated"),
        (rows.quarantined, "quarantined"),
        (rows.nulled, "values nulled"),
        (rows.ambiguous, "ambiguous"),
        (rows.tied, "changed under the same watermark"),
        (rows.null_watermarks, "without a watermark"),
        (rows.watermark_lost, "kept although their watermark is gone"),
    ] {
        if count > 0 {
            push(&mut line, format_args!(", {} {what}", grouped(count)));
        }
    }
    if let Some(elapsed) = table.elapsed {
        push(&mut line, format_args!(", {}", span(elapsed)));
    }
    if let Some(statement) = &table.statement {
        push_statement(&mut line, statement, table.state);
    }
    line
}

/// What is waited for, and how long there is for the rest.
fn push_statement(line: &mut String, statement: &StatementProgress, state: TableState) {
    let handle = statement.handle.as_deref().unwrap_or("not sent yet");
    match (statement.state.as_str(), statement.elapsed, statement.kept_for) {
        ("running", Some(elapsed), _) => {
            push(line, format_args!("; its statement {handle} runs for {}", span(elapsed)));
        }
        ("to_submit", ..) => push(line, format_args!("; its statement is about to be sent")),
        ("finished", _, Some(kept)) if !state.is_final() => {
            push(line, format_args!("; the result of {handle} is kept for {}", span(kept)));
        }
        _ => {}
    }
}

fn push_error(text: &mut String, class: Option<&str>, detail: Option<&str>) {
    if let Some(class) = class {
        push(text, format_args!("\n    {class}: {}", detail.unwrap_or("no more is known")));
    }
}

fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.push_str(&more.to_string());
}

/// `1,399,950`.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// `1 h 02 min`, `3 min 05 s`, `4.2 s`.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use thaw_model::{Accounting, RunId, TableId, TableState};
    use thaw_status::progress::{ChunkCounts, RunProgress};

    use super::*;

    fn view() -> RunView {
        let run = RunId(uuid::Uuid::nil());
        let loading = TableProgress {
            table: TableId(1),
            source_name: "analytics".into(),
            source: "A.BI.ORDERS".into(),
            target: "public.orders".into(),
            state: TableState::Loading,
            decisions: Vec::new(),
            chunks: ChunkCounts {
                planned: 28,
                completed: 12,
                failed: 1,
                in_progress: 2,
                pending: 13,
                cancelled: 0,
            },
            expected_rows: Some(1_399_950),
            accounting: Accounting {
                fetched: 600_000,
                inserted: 599_000,
                kept: 1000,
                ..Accounting::default()
            },
            elapsed: Some(Duration::from_secs(185)),
            statement: None,
            error_class: Some("sqlstate_23505".into()),
            error_text: Some("constraint orders_pkey".into()),
        };
        let planned = TableProgress {
            target: "public.a".into(),
            state: TableState::Planned,
            chunks: ChunkCounts { planned: 1, pending: 1, ..ChunkCounts::default() },
            expected_rows: None,
            accounting: Accounting::default(),
            elapsed: None,
            error_class: None,
            error_text: None,
            ..loading.clone()
        };
        let progress = RunProgress {
            run,
            state: RunState::Running,
            started_at: "2026-01-02 03:04:05".into(),
            elapsed: Duration::from_secs(3700),
            idle: Duration::from_millis(1500),
            stalled: Duration::from_millis(1500),
            started_ago: Duration::from_secs(3700),
            planner_alive: true,
            planned: true,
            created_by: "loader/thaw".into(),
            error_class: None,
            error_text: None,
        };
        let database = DatabaseView {
            database: "dw".into(),
            run: progress,
            tables: vec![loading, planned],
            chunks: std::collections::BTreeMap::new(),
        };
        RunView { run, databases: vec![database] }
    }

    #[test]
    fn a_running_run_is_shown_with_its_tables_aligned() {
        let expected = "\
run 00000000-0000-0000-0000-000000000000: running, started 2026-01-02 03:04:05 UTC, 1 h 01 min, planner waiting, last sign of life 1.5 s ago
dw: running
  public.orders  loading     12 of 28 chunks, 2 loading, 1 failed; 600,000 of 1,399,950 rows, 599,000 inserted, 1,000 kept, 3 min 05 s
    sqlstate_23505: constraint orders_pkey
  public.a       planned     0 of 1 chunks; 0 rows";
        assert_eq!(text(&view()), expected);
    }

    #[test]
    fn a_statement_that_is_waited_for_is_shown_and_a_result_while_it_is_needed() {
        let mut table = view().databases[0].tables[1].clone();
        table.state = TableState::Planning;
        let mut statement = StatementProgress {
            state: "running".into(),
            handle: Some("01b2-c3".into()),
            elapsed: Some(Duration::from_secs(185)),
            kept_for: None,
        };
        table.statement = Some(statement.clone());
        assert!(line(&table).ends_with("; its statement 01b2-c3 runs for 3 min 05 s"), "{}", line(&table));
        statement.state = "finished".into();
        statement.kept_for = Some(Duration::from_secs(3700));
        table.statement = Some(statement);
        assert!(line(&table).ends_with("; the result of 01b2-c3 is kept for 1 h 01 min"), "{}", line(&table));
        table.state = TableState::Completed;
        assert!(!line(&table).contains("01b2-c3"), "{}", line(&table));
    }

    #[test]
    fn json_is_one_line_with_the_same_figures() {
        let line = json(&view());
        assert!(!line.contains('\n'));
        let value: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value["state"], "running");
        assert_eq!(value["databases"][0]["tables"][0]["chunks"]["completed"], 12);
        assert_eq!(value["databases"][0]["tables"][0]["accounting"]["kept"], 1000);
        assert_eq!(value["databases"][0]["tables"][0]["error_class"], "sqlstate_23505");
        assert_eq!(value["databases"][0]["elapsed_seconds"], 3700.0);
        assert_eq!(value["databases"][0]["tables"][1]["error_class"], Value::Null);
    }

    #[test]
    fn numbers_and_spans_are_readable() {
        assert_eq!(
            [grouped(0), grouped(999), grouped(1000), grouped(-1_234_567)],
            ["0", "999", "1,000", "-1,234,567"]
        );
        assert_eq!(span(Duration::from_millis(4200)), "4.2 s");
    }
}
