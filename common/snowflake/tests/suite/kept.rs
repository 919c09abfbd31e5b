//! Results that outlive their submitter: request ids, looks at handles, partitions read from a handle alone.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use thaw_snowflake::{
    KeptPartition, MalformedResponse, Polled, RequestId, RowSink, SnowflakeError, SqlFault, Statement,
    StatementHandle, Submitted,
};
use uuid::Uuid;

use crate::protocol::{RESULT, RUNNING, client};
use crate::replay::{Answer, Replay, within};
use crate::sink::Collect;

const PARTITION: &str = include_str!("../golden/partition1.json");
const HANDLE: &str = "e4ce975e-f7ff-4b5e-b15e-bf25f59371ae";
const GONE: &str = r#"{"code":"000709","message":"Statement not found.","sqlState":"02000"}"#;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn partition(number: usize, row_count: u64) -> KeptPartition {
    KeptPartition { handle: handle(), number, columns: 4, row_count }
}

fn handle() -> StatementHandle {
    StatementHandle::parse(HANDLE).unwrap()
}

#[tokio::test]
async fn a_submission_carries_the_callers_request_id_and_says_when_it_may_be_the_second() {
    let server = Replay::in_turn(vec![Answer::json(202, RUNNING), Answer::json(200, RESULT)]).await;
    let (id, statement) = (Uuid::new_v4(), Statement::new("select 1"));
    let client = client(&server);
    let first = within(client.submit(&statement, RequestId::First(id))).await.unwrap();
    assert_eq!(first, Submitted::Running(handle()));
    let Submitted::Finished(result) = within(client.submit(&statement, RequestId::Again(id))).await.unwrap()
    else {
        panic!("the second answer is a result");
    };
    assert_eq!((result.row_count, result.partitions.len(), result.columns.len()), (5, 2, 4));
    let requests = server.requests();
    let sent: Vec<_> =
        requests.iter().map(|request| (request.query("requestId"), request.query("retry"))).collect();
    assert_eq!(sent, [(Some(id.to_string()), None), (Some(id.to_string()), Some("true".to_owned()))]);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_under_the_same_request_id() {
    for lost in [Answer::Cut, Answer::json(503, ""), Answer::CutBody { body: RESULT.into(), sent: 40 }] {
        let server = Replay::in_turn(vec![lost, Answer::json(202, RUNNING)]).await;
        let submitted =
            within(client(&server).submit(&Statement::new("select 1"), RequestId::First(Uuid::nil()))).await;
        assert_eq!(submitted.unwrap(), Submitted::Running(handle()));
        let requests = server.requests();
        assert_eq!(requests[0].query("requestId"), requests[1].query("requestId"));
        assert_eq!(requests[1].query("retry").as_deref(), Some("true"));
    }
}

#[tokio::test]
async fn a_submission_that_is_dropped_is_not_cancelled() {
    let server = Replay::in_turn(vec![Answer::Hang]).await;
    let (client, statement) = (client(&server), Statement::new("select 1"));
    let submission = client.submit(&statement, RequestId::First(Uuid::nil()));
    assert!(tokio::time::timeout(Duration::from_millis(300), submission).await.is_err());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(server.requests().iter().all(|request| !request.is_cancel()));
}

#[tokio::test]
async fn a_look_at_a_handle_says_whether_it_runs_has_ended_failed_or_is_gone() {
    let too_large = RESULT.replace("090001", "391908");
    let failed = GONE.replace("000709", "000707");
    let server = Replay::in_turn(vec![
        Answer::json(202, RUNNING),
        Answer::json(429, RUNNING),
        Answer::json(200, RUNNING),
        Answer::bytes(200, gzip(RESULT.as_bytes())),
        Answer::json(422, GONE),
        Answer::json(422, &failed),
        Answer::json(200, &too_large),
    ])
    .await;
    let client = client(&server);
    for _ in 0..3 {
        assert_eq!(within(client.poll(&handle())).await.unwrap(), Polled::Running);
    }
    assert!(
        matches!(within(client.poll(&handle())).await.unwrap(), Polled::Finished(result) if result.row_count == 5)
    );
    assert_eq!(within(client.poll(&handle())).await.unwrap(), Polled::Gone);
    for wanted in [SqlFault::SnapshotGone, SqlFault::ResultTooLarge] {
        match within(client.poll(&handle())).await.unwrap_err() {
            SnowflakeError::Sql { fault, .. } => assert_eq!(fault, wanted),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_partition_is_read_from_its_handle_alone_whether_it_is_held_or_streamed() {
    let server = Replay::start(|_, request| match request.query("partition").as_deref() {
        Some("1") => Answer::bytes(200, gzip(PARTITION.as_bytes())),
        Some(_) => Answer::json(422, GONE),
        None => Answer::json(200, RESULT),
    })
    .await;
    let client = client(&server);
    for (ahead, held) in [(1 << 20, gzip(PARTITION.as_bytes()).len()), (0, 0), (10, 0)] {
        let fetched = within(client.fetch_partition(&partition(1, 3), ahead)).await.unwrap();
        assert_eq!(fetched.held_bytes(), held, "ahead {ahead}");
        let mut sink = Collect::default();
        assert_eq!(within(fetched.read(&mut sink)).await.unwrap().rows, 3);
        assert_eq!(sink.rows[2][1].as_deref(), Some("😀"));
    }
    assert!(server.requests().iter().all(|request| request.query("partition").as_deref() == Some("1")));
    let mut sink = Collect::default();
    within(client.read_partition_of(&partition(0, 2), &mut sink)).await.unwrap();
    assert_eq!(sink.rows[1][0].as_deref(), Some("2"));
    assert_eq!(server.requests().last().unwrap().query("partition"), None);
    let error = within(client.read_partition_of(&partition(2, 3), &mut sink)).await.unwrap_err();
    assert!(matches!(error, SnowflakeError::Sql { fault: SqlFault::HandleExpired, .. }), "{error}");
}

#[tokio::test]
async fn a_body_that_is_cut_while_it_is_read_ahead_is_fetched_again_and_its_rows_are_given_once() {
    let body = gzip(PARTITION.as_bytes());
    let server = Replay::in_turn(vec![
        Answer::CutBody { body: body.clone(), sent: 20 },
        Answer::StallBody { body: body.clone(), sent: 20 },
        Answer::json(503, "<html>"),
        Answer::bytes(200, body),
    ])
    .await;
    let mut sink = Collect::default();
    let fetched = within(client(&server).fetch_partition(&partition(1, 3), 1 << 20)).await.unwrap();
    assert_eq!(within(fetched.read(&mut sink)).await.unwrap().rows, 3);
    assert_eq!((sink.rows.len(), server.requests().len()), (3, 4));
}

#[tokio::test]
async fn damage_and_wrong_counts_are_errors_of_the_read() {
    let body = gzip(PARTITION.as_bytes());
    for (bytes, rows) in [(body[..body.len() - 9].to_vec(), 3), (body.clone(), 4), (b"{}".to_vec(), 0)] {
        let server = Replay::in_turn(vec![Answer::bytes(200, bytes)]).await;
        let mut sink = Collect::default();
        let fetched = within(client(&server).fetch_partition(&partition(1, rows), 1 << 20)).await.unwrap();
        let error = within(fetched.read(&mut sink)).await.unwrap_err();
        let fits = matches!(
            error,
            SnowflakeError::Gzip
                | SnowflakeError::RowCount { expected: 4, actual: 3, .. }
                | SnowflakeError::Malformed(MalformedResponse::NoData)
        );
        assert!(fits, "{error}");
    }
}

/// Is full after some rows until it is told to go on.
struct Held {
    rows: u64,
    full_at: u64,
    go_on: Arc<tokio::sync::Notify>,
}

impl RowSink for Held {
    type Error = SnowflakeError;

    fn cell(&mut self, _column: usize, _value: Option<&str>) -> Result<(), SnowflakeError> {
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), SnowflakeError> {
        self.rows += 1;
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), SnowflakeError> {
        if self.rows == self.full_at {
            self.go_on.notified().await;
        }
        Ok(())
    }
}

#[tokio::test]
async fn the_next_partition_is_fetched_while_this_one_is_read_and_no_further_one() {
    let body = gzip(PARTITION.as_bytes());
    let server = Arc::new(Replay::start(move |_, _| Answer::bytes(200, body.clone())).await);
    let go_on = Arc::new(tokio::sync::Notify::new());
    let mut sink = Held { rows: 0, full_at: 6, go_on: Arc::clone(&go_on) };
    let mut ahead = client(&server).read_ahead((3..=6).map(|number| partition(number, 3)), 1 << 20);
    let watcher = tokio::spawn({
        let server = Arc::clone(&server);
        async move {
            server.until(|request| request.query("partition").as_deref() == Some("5")).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            let early = server.requests().len();
            go_on.notify_one();
            early
        }
    });
    let mut read = 0;
    while let Some(stats) = within(ahead.read_next(&mut sink)).await.unwrap() {
        read += stats.rows;
    }
    assert_eq!((read, sink.rows), (12, 12));
    // The second partition is full in the middle; the third has come meanwhile, the fourth has not been asked for.
    assert_eq!(watcher.await.unwrap(), 3);
    let asked: Vec<_> = server.requests().iter().filter_map(|request| request.query("partition")).collect();
    assert_eq!(asked, ["3", "4", "5", "6"], "each once");
}

#[tokio::test]
async fn a_body_too_long_to_be_held_is_not_left_open_but_asked_for_in_its_turn() {
    let body = gzip(PARTITION.as_bytes());
    let server = Replay::start(move |_, _| Answer::bytes(200, body.clone())).await;
    let mut ahead = client(&server).read_ahead((3..=6).map(|number| partition(number, 3)), 4);
    let mut sink = Collect::default();
    while within(ahead.read_next(&mut sink)).await.unwrap().is_some() {}
    assert_eq!(sink.rows.len(), 12);
    let asked: Vec<_> = server.requests().iter().filter_map(|request| request.query("partition")).collect();
    assert_eq!(asked, ["3", "4", "4", "5", "6"], "the first that is too long is asked for twice");
}

#[tokio::test]
async fn fetches_slow_down_while_the_account_refuses_and_every_partition_comes_in_the_end() {
    let body = gzip(PARTITION.as_bytes());
    let refused = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&refused);
    let server = Replay::start(move |n, _| {
        // Every third of the first thirty.
        if n < 30 && n % 3 == 0 {
            counter.fetch_add(1, Ordering::Relaxed);
            return Answer::json(429, r#"{"code":"390505","message":"Too many requests."}"#);
        }
        Answer::bytes(200, body.clone())
    })
    .await;
    let client = client(&server);
    let mut fetches = tokio::task::JoinSet::new();
    for number in 1..=40 {
        let client = client.clone();
        fetches.spawn(async move {
            let mut sink = Collect::default();
            client.read_partition_of(&partition(number, 3), &mut sink).await.map(|stats| stats.rows)
        });
    }
    let read = within(fetches.join_all()).await;
    assert_eq!(read.into_iter().map(Result::unwrap).collect::<Vec<_>>(), vec![3; 40]);
    let limit = client.request_limit();
    assert_eq!(limit.throttled, 10);
    assert_eq!(limit.in_flight, 0);
    assert!(limit.limit < 32, "{limit:?}");
}
