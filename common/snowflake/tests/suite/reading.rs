//! Reading partitions, whole and damaged, against replayed answers.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use thaw_model::{Classify as _, Disposition};
use thaw_snowflake::{
    Client, MalformedResponse, PartitionStats, ResultSet, RowSink, SnowflakeError, Statement,
};

use crate::protocol::{RESULT, client};
use crate::replay::{Answer, Replay, Request, within};
use crate::sink::Collect;

const PARTITION: &str = include_str!("../golden/partition1.json");

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A server whose statement has ended, and whose partitions are answered by `partition`.
async fn server(partition: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Replay {
    Replay::start(move |_, request| match request.query("partition") {
        Some(_) => partition(request),
        None => Answer::json(200, RESULT),
    })
    .await
}

async fn result(server: &Replay) -> (Client, ResultSet) {
    let client = client(server);
    let result = within(client.execute(&Statement::new("x"))).await.unwrap();
    (client, result)
}

async fn read(server: &Replay, partition: usize) -> Result<(PartitionStats, Collect), SnowflakeError> {
    let (client, result) = result(server).await;
    let mut sink = Collect::default();
    within(client.read_partition(&result, partition, &mut sink)).await.map(|stats| (stats, sink))
}

#[tokio::test]
async fn partition_0_comes_with_the_answer_and_others_are_fetched() {
    let server =
        server(|_| Answer::bytes(200, gzip(PARTITION.as_bytes())).with("Content-Encoding", "gzip")).await;
    let (stats, sink) = read(&server, 0).await.unwrap();
    assert_eq!((stats.rows, stats.bytes), (2, RESULT.len() as u64));
    assert_eq!(sink.rows[0][1].as_deref(), Some("Ann \"A\" Ångström"));
    assert_eq!(sink.rows[1], [Some("2".into()), None, Some("-0.876543300".into()), None]);
    assert_eq!(server.requests().len(), 1);

    let (stats, sink) = read(&server, 1).await.unwrap();
    assert_eq!((stats.rows, stats.bytes), (3, PARTITION.len() as u64));
    assert!(stats.compressed_bytes < stats.bytes);
    assert_eq!(sink.rows[2][1].as_deref(), Some("😀"));
    assert!(sink.flushes > 0);
    let request = server.requests().last().unwrap().clone();
    assert_eq!(request.query("partition").as_deref(), Some("1"));
    assert_eq!(request.header("accept-encoding"), "gzip");
}

#[tokio::test]
async fn gzip_is_known_by_its_first_bytes_and_plain_text_is_taken_too() {
    for body in [gzip(PARTITION.as_bytes()), PARTITION.into()] {
        let server = server(move |_| Answer::bytes(200, body.clone())).await;
        assert_eq!(read(&server, 1).await.unwrap().0.rows, 3);
    }
    let server = Replay::in_turn(vec![Answer::bytes(200, gzip(RESULT.as_bytes()))]).await;
    assert_eq!(read(&server, 0).await.unwrap().0.rows, 2);
}

#[tokio::test]
async fn damaged_bodies_are_errors_and_retried() {
    let whole = gzip(PARTITION.as_bytes());
    let truncated = whole[..whole.len() - 9].to_vec();
    let mut garbled = whole.clone();
    garbled[20] ^= 0xff;
    let half = PARTITION.get(..40).unwrap().to_owned();
    for (name, answer) in [
        ("truncated gzip", Answer::bytes(200, truncated)),
        ("garbled gzip", Answer::bytes(200, garbled)),
        ("half of the json", Answer::json(200, &half)),
        ("nothing", Answer::json(200, "")),
        ("an error page", Answer::json(200, "<html>")),
        ("cut", Answer::CutBody { body: whole.clone(), sent: 20 }),
        ("stalled", Answer::StallBody { body: whole, sent: 20 }),
        ("a row less", Answer::json(200, r#"{"data":[["3","",null,null],["4","x","0",null]]}"#)),
        ("a column less", Answer::json(200, r#"{"data":[["3",""],["4","x"],["5","y"]]}"#)),
    ] {
        let server = server(move |_| answer.clone()).await;
        let error = read(&server, 1).await.unwrap_err();
        assert_eq!(error.disposition(), Disposition::Retry, "{name}: {error}");
    }
}

#[tokio::test]
async fn a_wrong_row_count_names_both_counts() {
    let server = server(|_| Answer::json(200, r#"{"data":[]}"#)).await;
    let error = read(&server, 1).await.unwrap_err();
    assert!(matches!(error, SnowflakeError::RowCount { partition: 1, expected: 3, actual: 0 }), "{error}");
    let error = read(&server, 2).await.unwrap_err();
    assert!(matches!(error, SnowflakeError::NoSuchPartition { partition: 2, count: 2 }), "{error}");
}

#[tokio::test]
async fn partitions_that_do_not_add_up_are_refused() {
    let server =
        Replay::in_turn(vec![Answer::json(200, &RESULT.replace("\"numRows\": 5", "\"numRows\": 6"))]).await;
    let error = within(client(&server).execute(&Statement::new("x"))).await.unwrap_err();
    assert!(matches!(error, SnowflakeError::Malformed(MalformedResponse::PartitionSum)));
}

#[tokio::test]
async fn a_small_result_is_read_whole() {
    let server = server(|_| Answer::bytes(200, gzip(PARTITION.as_bytes()))).await;
    let table = within(client(&server).query(&Statement::new("x"))).await.unwrap();
    assert_eq!(table.rows.len(), 5);
    assert_eq!(table.cell(4, "name"), Some("😀"));
    assert_eq!(table.cell(1, "NAME"), None);
    assert!(!format!("{table:?}").contains('😀'));
}

/// A sink that refuses the second row.
struct Refuse(u32);

#[derive(Debug)]
enum Refusal {
    Sink,
    Snowflake(SnowflakeError),
}

impl From<SnowflakeError> for Refusal {
    fn from(error: SnowflakeError) -> Self {
        Self::Snowflake(error)
    }
}

impl RowSink for Refuse {
    type Error = Refusal;

    fn cell(&mut self, _: usize, _: Option<&str>) -> Result<(), Refusal> {
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), Refusal> {
        self.0 += 1;
        if self.0 == 2 { Err(Refusal::Sink) } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Refusal> {
        Ok(())
    }
}

#[tokio::test]
async fn a_sinks_own_error_ends_the_read() {
    let server = server(|_| Answer::json(403, "")).await;
    let (client, result) = result(&server).await;
    let mut sink = Refuse(0);
    assert!(matches!(within(client.read_partition(&result, 0, &mut sink)).await, Err(Refusal::Sink)));
    assert_eq!(sink.0, 2);
    let error = within(client.read_partition(&result, 1, &mut sink)).await.unwrap_err();
    assert!(matches!(error, Refusal::Snowflake(SnowflakeError::Forbidden { .. })));
}
