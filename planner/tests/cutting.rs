//! The property of every strategy, executed: random tables are counted by the aggregate, cut, and every chunk's statement
//! runs on PostgreSQL through the emulator, which orders rows and ties differently each time. Each row comes exactly
//! once, each chunk has the rows that were expected, and none has more than the limit unless it is one value.

#[path = "cutting/draw.rs"]
mod draw;
#[path = "cutting/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use futures_util::StreamExt as _;
use thaw_model::ChunkRange;
use thaw_planner::aggregate::sql::{self, Along, Question};
use thaw_planner::aggregate::{self, TableCounts};
use thaw_planner::plan::counting::along;
use thaw_planner::strategy::choose::{Choice, choose};
use thaw_planner::strategy::cut::{Counted, cut};
use thaw_planner::strategy::{Limits, PlannedChunk};
use thaw_snowflake::chunk_query;

use draw::{Case, SEED};
use source::Source;

const CASES: usize = 240;
/// Cases at once: the emulator has as many connections.
const CONCURRENT: usize = 4;
/// Values up to which the aggregate tells each on its own. The cases lower it: otherwise none of them would have buckets.
const SINGLE_VALUES: &str = "when k <= 100000 then";

/// Strategy and part of a chunk, of how many chunks.
type Seen = BTreeMap<String, usize>;

#[tokio::test]
async fn executed_chunks_hold_each_row_once_and_stay_within_the_limit() {
    let cases = draw::cases(CASES);
    let source = Source::with(&cases).await;
    let mut results = futures_util::stream::iter(&cases)
        .map(async |case| (case, check(&source, case).await))
        .buffer_unordered(CONCURRENT);
    let (mut seen, mut wrong) = (Seen::new(), String::new());
    while let Some((case, result)) = results.next().await {
        match result {
            Ok(chunks) => chunks.into_iter().for_each(|chunk| *seen.entry(chunk).or_default() += 1),
            Err(what) => writeln!(wrong, "{what}\n  {case:?}").expect("writes"),
        }
    }
    assert!(wrong.is_empty(), "seed {SEED:#x}:\n{wrong}");
    for kind in [
        "single_chunk",
        "numeric_range between",
        "numeric_range nulls",
        "numeric_range unparsed",
        "grouped_values in",
        "grouped_values between",
        "grouped_values nulls",
        "date_range between",
        "date_range nulls",
        "date_range_offset",
        "offset_based",
        "one large value",
    ] {
        assert!(seen.get(kind).is_some_and(|chunks| *chunks >= 10), "{kind} is hardly shown: {seen:?}");
    }
    println!("{CASES} cases, chunks: {seen:?}");
}

/// The chunks of a case in words, or what is wrong with one.
async fn check(source: &Source, case: &Case) -> Result<Vec<String>, String> {
    let choice = choose(&case.entry(), &case.chunking()).map_err(|error| error.to_string())?;
    let counts = count(source, case, &choice).await?;
    if counts.rows != case.rows.len() as u64 {
        return Err(format!("the aggregate counts {} of {} rows", counts.rows, case.rows.len()));
    }
    let limits = Limits { rows: case.limit, has_snapshot: case.has_snapshot };
    let counted = Counted { rows: counts.rows, distribution: &counts.distribution };
    let cut = cut(&choice, counted, limits, 32);
    let (mut ids, mut seen) = (Vec::new(), Vec::new());
    let mut chunks = cut.chunks;
    if cut.is_one_scan {
        seen.push("result_partitions".to_owned());
        // The one statement; its result is cut elsewhere.
        chunks.push(PlannedChunk { range: ChunkRange::SingleChunk {}, expected_rows: counts.rows });
    }
    for chunk in &chunks {
        let (found, kind) = execute(source, case, (&choice, chunk)).await?;
        ids.extend(found);
        seen.extend(kind);
    }
    ids.sort_unstable();
    let mut expected: Vec<u64> = case.rows.iter().map(|row| row.id).collect();
    expected.sort_unstable();
    if ids != expected {
        return Err(format!(
            "the chunks are not the rows\n  found    {ids:?}\n  expected {expected:?}\n  {chunks:?}"
        ));
    }
    Ok(seen)
}

async fn count(source: &Source, case: &Case, choice: &Choice) -> Result<TableCounts, String> {
    let source_clause =
        chunk_query::source_clause(&source.plan(case, None).source).map_err(|error| error.to_string())?;
    let question =
        Question { source_clause: &source_clause, key_columns: &[], watermark: None, ceiling: None };
    let counts = match along(choice) {
        None => aggregate::totals(&source.client, &source::statement(case, sql::totals(question))).await,
        Some((value, kind, column)) => {
            let along = Along { value: &value, column: &column.name, limit: case.limit };
            let sql = sql::distribution(question, along);
            assert!(sql.contains(SINGLE_VALUES), "{sql}");
            let sql = sql.replace(SINGLE_VALUES, &format!("when k <= {} then", case.single_values));
            aggregate::distribution(&source.client, &source::statement(case, sql), kind).await
        }
    };
    counts.map_err(|error| format!("not counted: {error:?}"))
}

/// The ids of one chunk, and what it is.
async fn execute(
    source: &Source,
    case: &Case,
    (choice, chunk): (&Choice, &PlannedChunk),
) -> Result<(Vec<u64>, Vec<String>), String> {
    let sql = chunk_query::chunk_query(&source.plan(case, Some(choice)), &chunk.range)
        .map_err(|error| format!("{error} in {chunk:?}"))?;
    let answer = source.client.query(&source::statement(case, sql.clone())).await;
    let answer = answer.map_err(|error| format!("{error:?} for {sql}"))?;
    let ids: Vec<u64> =
        answer.rows.iter().map(|row| row[0].as_deref().expect("an id").parse().expect("a number")).collect();
    let rows = ids.len() as u64;
    if rows != chunk.expected_rows {
        return Err(format!("{rows} rows for {chunk:?}\n  {sql}"));
    }
    let mut seen = vec![in_words(chunk)];
    if rows > case.limit && chunk.range != (ChunkRange::SingleChunk {}) {
        let values: BTreeSet<_> =
            case.rows.iter().filter(|row| ids.contains(&row.id)).map(|row| row.value).collect();
        if values.len() > 1 {
            return Err(format!("{rows} rows of {} values in {chunk:?}\n  {sql}", values.len()));
        }
        seen.push("one large value".to_owned());
    }
    Ok((ids, seen))
}

/// `numeric_range nulls`.
fn in_words(chunk: &PlannedChunk) -> String {
    let range = serde_json::to_value(&chunk.range).expect("is JSON");
    let part = range["part"].as_str().map(|part| format!(" {part}"));
    format!("{}{}", chunk.range.strategy(), part.unwrap_or_default())
}
