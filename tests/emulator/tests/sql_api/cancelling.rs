//! Cancellation: what can be cancelled, by whom, and what it leaves.

use reqwest::StatusCode;

use crate::support::{ENDLESS, Served, no_query_is_left};

#[tokio::test(flavor = "multi_thread")]
async fn a_running_statement_is_cancelled_in_postgresql_too() {
    let served = Served::calm().await;
    served.orders(1500).await;
    let client = served.client();
    let running = client.submit(ENDLESS, "async=true").await;
    assert_eq!(client.get(&running.handle()).await.status, StatusCode::ACCEPTED);
    assert_eq!(served.client_of("OTHER").cancel(&running.handle()).await.code(), "000709");
    let cancelled = client.cancel(&running.handle()).await;
    assert_eq!((cancelled.status, cancelled.code()), (StatusCode::OK, "000604".to_owned()));
    assert_eq!(cancelled.json()["sqlState"], "57014");
    let polled = client.get(&running.handle()).await;
    assert_eq!((polled.status, polled.code()), (StatusCode::UNPROCESSABLE_ENTITY, "000604".to_owned()));
    no_query_is_left(&served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_or_never_was_cannot_be_cancelled() {
    let served = Served::calm().await;
    let client = served.client();
    let done = client.submit("select 1", "").await;
    for handle in [done.handle(), "01b2c3d4-0000-0000-0000-000000000000".to_owned()] {
        let refused = client.cancel(&handle).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::UNPROCESSABLE_ENTITY, "000709".to_owned()));
        assert_eq!(refused.json()["message"], format!("Statement {handle} not found"));
    }
    assert_eq!(client.get(&done.handle()).await.status, StatusCode::OK, "the result is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resubmission_of_a_cancelled_statement_executes_again() {
    let served = Served::calm().await;
    served.orders(1500).await;
    let client = served.client();
    let query = format!("async=true&requestId={}", uuid::Uuid::new_v4());
    let first = client.submit(ENDLESS, &query).await;
    let found = client.submit(ENDLESS, &format!("{query}&retry=true")).await;
    assert_eq!(found.handle(), first.handle(), "still running: the same execution");
    client.cancel(&first.handle()).await;
    let second = client.submit(ENDLESS, &format!("{query}&retry=true")).await;
    assert_ne!(second.handle(), first.handle());
    client.cancel(&second.handle()).await;
}
