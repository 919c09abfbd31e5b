//! The servers of the harness itself: they start, survive a crash, and leave nothing behind.

use std::path::Path;

use thaw_harness::{PostgresOptions, PostgresServer, RabbitServer, TestDatabase, TestVhost, port};

#[tokio::test]
async fn a_postgres_server_keeps_its_rows_over_a_crash_and_a_restart() {
    let mut server = PostgresServer::start(&PostgresOptions::default()).unwrap();
    let database = TestDatabase::create_on(&server.url()).await.unwrap();
    database.connect().await.unwrap().batch_execute("create table t as select 1 as n").await.unwrap();
    server.kill9().unwrap();
    server.launch().unwrap();
    server.restart().unwrap();
    let row = database.connect().await.unwrap().query_one("select n from t", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 1);
    let number = server.port();
    drop(server);
    assert!(!port::is_open(number));
}

#[test]
fn a_broker_comes_back_after_a_crash_and_leaves_nothing_behind() {
    let mut server = RabbitServer::start().unwrap();
    let vhost = TestVhost::create_on(&server.url(), server.control().clone()).unwrap();
    server.kill9().unwrap();
    server.launch().unwrap();
    assert!(server.rabbitmqctl(&["list_vhosts"]).unwrap().contains(vhost.name()));
    let (port, epmd) = (server.port(), server.control().epmd_port);
    let home = server.control().home.clone();
    drop((vhost, server));
    assert!(!port::is_open(port) && !port::is_open(epmd));
    assert!(!Path::new(&home).exists());
}

#[tokio::test]
async fn each_test_has_a_database_and_a_virtual_host_of_its_own() {
    let (one, other) = (TestDatabase::create().await, TestDatabase::create().await);
    one.connect().await.unwrap().batch_execute("create table t ()").await.unwrap();
    assert!(other.connect().await.unwrap().batch_execute("select from t").await.is_err());
    let vhost = TestVhost::create();
    assert!(vhost.rabbitmqctl("list_queues", &[]).unwrap().lines().count() <= 1);
}
