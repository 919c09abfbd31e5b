//! Sessions as the pool makes them: their settings, their limits, TLS, and what an error says.

use std::fmt::Write as _;
use std::time::Duration;

use thaw_harness::{PostgresOptions, PostgresServer, TestDatabase};
use thaw_model::{Classify, Disposition, PgIdent};
use thaw_postgres::{PgError, Pool, PoolSet, PoolSize, PostgresSettings, SslMode, blocking};

fn settings(database: &TestDatabase) -> PostgresSettings {
    let mut settings = PostgresSettings::new(database.host(), database.user());
    settings.port = database.port();
    settings.password = Some(database.password().to_owned().into());
    settings.application_name = "thaw/test".to_owned();
    settings.connect_timeout = Duration::from_secs(5);
    settings
}

fn pool(database: &TestDatabase, connections: usize) -> Pool {
    let size = PoolSize { connections, wait: Duration::from_millis(200) };
    Pool::new(&settings(database), database.name(), size).expect("a pool")
}

#[tokio::test]
async fn every_session_has_the_settings_that_end_dead_owners() {
    let database = TestDatabase::create().await;
    let client = pool(&database, 1).get().await.expect("connects");
    for (name, expected) in [
        ("client_connection_check_interval", "10s"),
        ("idle_in_transaction_session_timeout", "1min"),
        ("lock_timeout", "30s"),
        ("statement_timeout", "6h"),
        ("default_transaction_isolation", "read committed"),
        ("TimeZone", "UTC"),
        ("DateStyle", "ISO, YMD"),
        ("application_name", "thaw/test"),
        ("tcp_keepalives_idle", "30"),
        ("tcp_keepalives_interval", "10"),
        ("tcp_keepalives_count", "3"),
    ] {
        let row = client.query_one("select current_setting($1)", &[&name]).await.expect("answers");
        assert_eq!(row.get::<_, &str>(0), expected, "{name}");
    }
}

#[tokio::test]
async fn a_busy_pool_and_an_unknown_database_are_errors_of_their_own() {
    let database = TestDatabase::create().await;
    let pool = pool(&database, 1);
    let held = pool.get().await.expect("connects");
    let error = pool.get().await.expect_err("the only connection is on loan");
    assert!(matches!(error, PgError::PoolTimeout), "{error}");
    drop(held);
    drop(pool.get().await.expect("the connection is back"));

    let set = PoolSet::new(settings(&database), PoolSize::for_slots(1), [database.name().to_owned()]);
    assert!(set.knows(database.name()) && !set.knows("other"));
    assert!(matches!(set.pool("other").expect_err("not configured"), PgError::UnknownDatabase(_)));
    drop(set.pool(database.name()).expect("configured").get().await.expect("connects"));
}

#[tokio::test]
async fn an_unreachable_server_and_a_missing_database_are_told_apart() {
    let database = TestDatabase::create().await;
    let mut nowhere = settings(&database);
    nowhere.port = thaw_harness::port::free();
    let size = PoolSize::for_slots(1);
    let error = Pool::new(&nowhere, "x", size).expect("a pool").get().await.expect_err("nobody listens");
    assert!(matches!(error, PgError::Network(_)), "{error}");
    assert_eq!(error.disposition(), Disposition::Retry);

    let error = Pool::new(&settings(&database), "no such", size)
        .expect("a pool")
        .get()
        .await
        .expect_err("no such database");
    assert_eq!(error.sqlstate(), Some("3D000"));
    assert_eq!(error.disposition(), Disposition::HaltWorker);
}

#[tokio::test]
async fn an_error_never_shows_the_row_that_caused_it() {
    let database = TestDatabase::create().await;
    let client = pool(&database, 1).get().await.expect("connects");
    client
        .batch_execute("create table patients (ssn text constraint one_each primary key); insert into patients values ('078-05-1120')")
        .await
        .expect("creates");
    let error = client.execute("insert into patients values ('078-05-1120')", &[]).await.expect_err("twice");
    let error = PgError::from(error);
    assert_eq!(
        error.to_string(),
        "sqlstate 23505 (unique_violation), constraint \"one_each\", schema \"public\", table \"patients\""
    );
    assert!(!format!("{error:?}").contains("078"));
    assert!(error.is_unique_violation());
    assert_eq!(error.constraint(), Some("one_each"));
}

#[tokio::test]
async fn a_lock_timeout_can_be_traced_to_the_session_that_holds_the_lock() {
    let database = TestDatabase::create().await;
    let pool = pool(&database, 3);
    let (mut holder, waiter) = (pool.get().await.expect("connects"), pool.get().await.expect("connects"));
    holder.batch_execute("create table t (id int)").await.expect("creates");
    let pid: i32 = holder.query_one("select pg_backend_pid()", &[]).await.expect("answers").get(0);
    let transaction = holder.transaction().await.expect("begins");
    transaction.batch_execute("lock table t in access exclusive mode").await.expect("locks");
    waiter.batch_execute("set lock_timeout = '50ms'").await.expect("sets");
    let error = PgError::from(waiter.batch_execute("insert into t values (1)").await.expect_err("blocked"));
    assert!(error.is_lock_timeout());
    assert_eq!(error.disposition(), Disposition::Snooze { after: None });
    let blockers = blocking::blocking_pids(&**waiter, &PgIdent::exact("public"), &PgIdent::exact("t"))
        .await
        .expect("answers");
    assert_eq!(blockers.len(), 1);
    assert_eq!((blockers[0].pid, blockers[0].mode.as_str()), (pid, "AccessExclusiveLock"));
    assert_eq!(blockers[0].application_name, "thaw/test");
}

/// Gives a private server a certificate for `name`, written by the server itself: the key must be its own file.
async fn serve_tls(server: &PostgresServer, name: &str) -> String {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let client = thaw_harness::database::connect(&server.url()).await.expect("connects");
    let folder: String = client.query_one("show data_directory", &[]).await.expect("answers").get(0);
    let mut script = String::new();
    for (file, pem) in [("server.crt", certificate.pem()), ("server.key", key.serialize_pem())] {
        let path = format!("{folder}/{file}");
        writeln!(
            script,
            "copy (select line from unnest(string_to_array($pem${pem}$pem$, E'\\n')) line) \
             to program 'cat > {path}; chmod 600 {path}';"
        )
        .expect("writes");
    }
    client.batch_execute(&script).await.expect("the server writes its certificate");
    client.batch_execute("alter system set ssl = on").await.expect("alters");
    client.batch_execute("select pg_reload_conf()").await.expect("reloads");
    thaw_harness::wait::until("the server speaks tls", Duration::from_secs(10), async || {
        let row = client.query_one("select current_setting('ssl')", &[]).await?;
        Ok(row.get::<_, &str>(0) == "on")
    })
    .await
    .expect("reloads in time");
    certificate.pem()
}

#[tokio::test]
async fn each_sslmode_verifies_what_it_says() {
    let server = PostgresServer::start(&PostgresOptions::default()).expect("starts");
    let pem = serve_tls(&server, "localhost").await;
    let folder = tempfile::tempdir().expect("a folder");
    let (trusted, stranger) = (folder.path().join("ca.pem"), folder.path().join("other.pem"));
    std::fs::write(&trusted, pem).expect("writes");
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    std::fs::write(&stranger, other.cert.pem()).expect("writes");
    // The certificate is for `localhost`; 127.0.0.1 is the same server under a name it does not bear.
    let cases = [
        ("localhost", SslMode::VerifyFull, Some(&trusted), true),
        ("127.0.0.1", SslMode::VerifyFull, Some(&trusted), false),
        ("localhost", SslMode::VerifyFull, Some(&stranger), false),
        ("localhost", SslMode::VerifyFull, None, false),
        ("127.0.0.1", SslMode::VerifyCa, Some(&trusted), true),
        ("127.0.0.1", SslMode::VerifyCa, Some(&stranger), false),
        ("127.0.0.1", SslMode::Require, Some(&stranger), false),
        ("127.0.0.1", SslMode::Require, Some(&trusted), true),
        ("127.0.0.1", SslMode::Require, None, true),
        ("127.0.0.1", SslMode::Prefer, None, true),
        ("127.0.0.1", SslMode::Disable, None, true),
    ];
    for (host, mode, roots, accepted) in cases {
        let mut settings = PostgresSettings::new(host, server.user());
        settings.port = server.port();
        settings.password = Some(server.password().to_owned().into());
        settings.sslmode = Some(mode);
        settings.sslrootcert = roots.cloned();
        let case = format!("{host} {} {roots:?}", mode.as_str());
        let answer = match Pool::new(&settings, "postgres", PoolSize::for_slots(1)) {
            Ok(pool) => pool.get().await,
            Err(error) => Err(error),
        };
        match (answer, accepted) {
            (Ok(client), true) => {
                let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
                let encrypted: bool = client.query_one(sql, &[]).await.expect("answers").get(0);
                assert_eq!(encrypted, mode != SslMode::Disable, "{case}");
            }
            (Err(error), false) => assert!(matches!(error, PgError::Tls(_)), "{case}: {error}"),
            (Ok(_), false) => panic!("{case}: accepted"),
            (Err(error), true) => panic!("{case}: {error}"),
        }
    }
}
