//! The cases' tables in an emulator, its client, and the plans that read them.

use thaw_harness::{Emulator, EmulatorOptions, TestDatabase};
use thaw_model::plan::{
    BadRowPolicy, ChunkingPlan, LoadMode, LoadPlan, OnDuplicate, PlannedColumn, SourcePlan, StartPlan,
    TargetPlan,
};
use thaw_model::{PgIdent, SfIdent, SourceType, TablePlan, TargetType};
use thaw_planner::snapshot;
use thaw_planner::strategy::choose::Choice;
use thaw_planner::strategy::order;
use thaw_snowflake::auth::KeyPair;
use thaw_snowflake::{Auth, Client, ClientConfig, Statement};

use super::draw::{Case, KINDS};

/// Rows of one INSERT.
const TOGETHER: usize = 500;

pub(crate) struct Source {
    pub(crate) client: Client,
    snapshot: String,
    _emulator: Emulator,
}

impl Source {
    /// An emulator with one table a kind, which the cases share.
    pub(crate) async fn with(cases: &[Case]) -> Self {
        let emulator = Emulator::start(TestDatabase::create().await, &EmulatorOptions::default()).await;
        let emulator = emulator.expect("starts");
        let mut statements = vec!["create database DB".to_owned(), "create schema DB.SC".to_owned()];
        for kind in KINDS {
            let (table, sql_type) = (kind.table, kind.sql_type);
            statements.push(format!(
                "create table DB.SC.{table} (CASE_NO number(38,0), ID number(38,0), C {sql_type})"
            ));
            let rows: Vec<String> = cases
                .iter()
                .filter(|case| case.kind.table == table)
                .flat_map(|case| {
                    case.rows.iter().map(|row| format!("({}, {}, {})", case.number, row.id, row.literal))
                })
                .collect();
            let inserts = rows.chunks(TOGETHER);
            statements
                .extend(inserts.map(|rows| format!("insert into DB.SC.{table} values {}", rows.join(", "))));
        }
        let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
        emulator.sql(&statements).await.expect("fills the tables");
        let client = client(&emulator);
        let clock = client.query(&Statement::new("select current_timestamp()")).await.expect("has a clock");
        let clock = clock.rows[0][0].clone().expect("a time");
        let snapshot = snapshot::before(&clock).expect("a time");
        Self { client, snapshot, _emulator: emulator }
    }

    /// The plan of the case, as the planner assembles it; without a choice, what the aggregate reads.
    pub(crate) fn plan(&self, case: &Case, choice: Option<&Choice>) -> TablePlan {
        let columns = vec![
            column("ID", SourceType::Number { precision: 38, scale: 0 }),
            column("C", case.kind.source_type),
        ];
        let keys = if case.has_key { vec![SfIdent::exact("ID")] } else { Vec::new() };
        let chunking = choice.map(|choice| ChunkingPlan {
            column: choice.column().cloned(),
            order_by: if choice.may_page() {
                order::total(&case.chunking(), &keys, &columns)
            } else {
                Vec::new()
            },
            collated: Vec::new(),
        });
        TablePlan {
            source: SourcePlan {
                database: SfIdent::exact("DB"),
                schema: SfIdent::exact("SC"),
                table: SfIdent::exact(case.kind.table),
                timezone: case.timezone().into(),
                snapshot: case.has_snapshot.then(|| self.snapshot.clone()),
                filter: Some(format!("CASE_NO = {}", case.number)),
                watermark: None,
            },
            target: TargetPlan {
                database: "db".into(),
                schema: PgIdent::exact("public"),
                table: PgIdent::exact("t"),
            },
            columns,
            chunking,
            one_scan: None,
            load: LoadPlan {
                mode: LoadMode::Copy,
                copy_first: true,
                on_duplicate: OnDuplicate::Fatal,
                arbiter: None,
                watermark: None,
                overriding_system_value: false,
            },
            start: StartPlan::default(),
            bad_rows: BadRowPolicy::default(),
            decisions: Vec::new(),
            left_out: Vec::new(),
        }
    }
}

fn client(emulator: &Emulator) -> Client {
    let key = KeyPair::parse(&emulator.key().private_pem.as_str().into(), None).expect("a key");
    let auth = Auth::KeyPair { user: thaw_harness::emulator::USER.to_owned(), key };
    let config = ClientConfig {
        url: Some(emulator.url().to_owned()),
        ..ClientConfig::new(thaw_harness::emulator::ACCOUNT, auth)
    };
    Client::new(config).expect("a client")
}

/// In the case's time zone.
pub(crate) fn statement(case: &Case, sql: String) -> Statement {
    Statement {
        database: Some("DB".to_owned()),
        schema: Some("SC".to_owned()),
        warehouse: Some("TEST_WH".to_owned()),
        timezone: Some(case.timezone().to_owned()),
        ..Statement::new(sql)
    }
}

/// The target's type says nothing about how a chunk is read.
fn column(name: &str, source_type: SourceType) -> PlannedColumn {
    PlannedColumn {
        source: SfIdent::exact(name),
        source_type,
        target: PgIdent::exact(name),
        target_type: TargetType::Int8,
        nullable: true,
        lossy: false,
    }
}
