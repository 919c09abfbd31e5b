//! A database of its own for each test, and an engine over it.

use emulator_engine::{Engine, EngineOptions, ExecuteRequest, QueryOutput, SqlError};
use tokio_postgres::NoTls;
use uuid::Uuid;

pub(crate) const HOUR: i128 = 3_600_000_000_000;
/// The virtual clock of a test that does not move it: 2026-11-23 09:00:00 UTC.
pub(crate) const NOW: i128 = 1_795_424_400_000_000_000;

pub(crate) struct Account {
    pub(crate) engine: Engine,
    admin: tokio_postgres::Client,
    database: String,
}

impl Account {
    /// An account with the database `DB` and the schema `DB.SC`, both made long ago.
    pub(crate) async fn create() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the convention of the tests: make test sets it")]
        let url =
            std::env::var("THAW_TEST_POSTGRES").expect("THAW_TEST_POSTGRES: run make test, or make services");
        let (admin, connection) =
            tokio_postgres::connect(&url, NoTls).await.expect("the scratch server answers");
        tokio::spawn(connection);
        let database = format!("engine_{}", Uuid::new_v4().simple());
        admin.batch_execute(&format!("create database {database}")).await.expect("it works");
        let engine =
            Engine::connect(&with_database(&url, &database), EngineOptions { seed: 1, connections: 4 })
                .await
                .expect("it works");
        let account = Self { engine, admin, database };
        account.run("CREATE DATABASE DB", NOW - 20 * HOUR).await;
        account.run("CREATE SCHEMA DB.SC", NOW - 20 * HOUR).await;
        account
    }

    pub(crate) async fn drop(self) {
        drop(self.engine);
        self.admin
            .batch_execute(&format!("drop database {} with (force)", self.database))
            .await
            .expect("it works");
    }

    pub(crate) fn request(sql: &str) -> ExecuteRequest {
        ExecuteRequest {
            sql: sql.to_owned(),
            database: Some("DB".to_owned()),
            schema: Some("SC".to_owned()),
            timezone: Some("UTC".to_owned()),
            user: "LOADER".to_owned(),
            account: "ACME".to_owned(),
            role: Some("READER".to_owned()),
            now: NOW,
            visible_until: NOW,
            order_seed: Some(7),
            ..ExecuteRequest::default()
        }
    }

    pub(crate) async fn run(&self, sql: &str, now: i128) {
        self.engine.run(sql, "DB", "SC", now).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    pub(crate) async fn execute(&self, sql: &str) -> Result<QueryOutput, SqlError> {
        self.engine.execute(Self::request(sql)).await
    }

    /// The rows as JSON texts, as a client would read them.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<String> {
        self.rows_of(Self::request(sql)).await
    }

    pub(crate) async fn rows_of(&self, request: ExecuteRequest) -> Vec<String> {
        let sql = request.sql.clone();
        let mut rows =
            self.engine.execute(request).await.unwrap_or_else(|error| panic!("{sql}: {error}")).rows;
        let mut all = Vec::new();
        while let Some(row) = rows.next().await.unwrap_or_else(|error| panic!("{sql}: {error}")) {
            let mut json = Vec::new();
            row.write_json(&mut json);
            all.push(String::from_utf8(json).expect("UTF-8"));
        }
        all
    }

    pub(crate) async fn row(&self, sql: &str) -> String {
        let rows = self.rows(sql).await;
        assert_eq!(rows.len(), 1, "{sql}");
        rows.into_iter().next().expect("one row")
    }

    /// The code of the failure, wherever in the statement's life it comes.
    pub(crate) async fn error(&self, sql: &str) -> SqlError {
        match self.execute(sql).await {
            Err(error) => error,
            Ok(output) => output.rows.collect().await.expect_err(sql),
        }
    }
}

/// The libpq URL with another database.
fn with_database(url: &str, database: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    let authority = base.split_once("://").map_or(base, |(_, rest)| rest);
    let host = authority.split('/').next().unwrap_or(authority);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("postgresql://{host}/{database}{query}")
}
