//! Applying schema.sql: twice, at once, over the old script's schema, under a newer one, without the right to.

use futures_util::future::join_all;
use thaw_harness::TestDatabase;
use thaw_model::PgIdent;
use thaw_status::{Migrated, StoreError};

use crate::fixture::{Store, long};

#[tokio::test]
async fn many_may_migrate_at_once_and_again() {
    let database = TestDatabase::create().await;
    let clients = join_all((0..6).map(|_| database.connect())).await;
    let done = join_all(clients.into_iter().map(|client| async {
        let mut client = client.expect("connects");
        thaw_status::migrate(&mut client).await.expect("migrates")
    }))
    .await;
    assert!(done.contains(&Migrated::Applied { from: 0, to: 1 }), "{done:?}");
    let mut client = database.connect().await.expect("connects");
    assert_eq!(thaw_status::migrate(&mut client).await.expect("migrates"), Migrated::Current);
    // By hand, over tables that are in use.
    client.batch_execute(thaw_status::schema_sql()).await.expect("is idempotent");
    thaw_status::check_version(&client).await.expect("is ours");
}

#[tokio::test]
async fn the_file_holds_every_migration_it_counts() {
    let store = Store::create().await;
    let newest: i32 = store.one("select max(version) from migration_status.schema_version").await;
    let numbered = thaw_status::schema_sql().lines().filter(|line| line.starts_with("-- migration ")).count();
    assert_eq!(usize::try_from(newest).expect("is small"), numbered);
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_a_sentence() {
    let mut store = Store::create().await;
    store
        .client
        .batch_execute("insert into migration_status.schema_version values (2)")
        .await
        .expect("inserts");
    for refused in [
        thaw_status::check_version(&store.client).await.expect_err("is newer"),
        thaw_status::migrate(&mut store.client).await.expect_err("is newer"),
    ] {
        assert!(matches!(refused, StoreError::SchemaNewer { found: 2, known: 1, .. }));
        assert!(refused.to_string().contains("use the newer program"), "{refused}");
    }
    assert!(store.client.batch_execute(thaw_status::schema_sql()).await.is_err(), "psql refuses too");
    store.client.batch_execute("rollback").await.expect("goes on");
}

#[tokio::test]
async fn a_database_without_status_tables_says_so() {
    let database = TestDatabase::create().await;
    let client = database.connect().await.expect("connects");
    let error = thaw_status::check_version(&client).await.expect_err("is empty");
    assert!(matches!(error, StoreError::SchemaMissing { .. }));
}

#[tokio::test]
async fn who_may_not_create_is_told_what_to_apply() {
    let database = TestDatabase::create().await;
    let mut client = database.connect().await.expect("connects");
    let role = format!("{}_reader", database.name());
    client.batch_execute(&format!("create role {role}; set role {role}")).await.expect("becomes");
    let error = thaw_status::migrate(&mut client).await.expect_err("may not");
    assert!(matches!(error, StoreError::SchemaDenied { .. }), "{error}");
    client.batch_execute(&format!("reset role; drop role {role}")).await.expect("drops");
}

/// The script's tables and views, as field reports list them, with three runs in them.
const LEGACY: &str = "
create schema migration_status;
create table migration_status.migration_runs (
  run_id uuid primary key, started_at timestamp, completed_at timestamp,
  status varchar(20) constraint run_status check (status in ('running','completed','failed','partial')),
  config_hash text, total_sources int, total_tables int, completed_tables int, failed_tables int,
  total_rows_copied bigint, error_message text, metadata jsonb, created_by text);
create table migration_status.migration_table_status (
  run_id uuid references migration_status.migration_runs, source_name text, source_database text, source_schema text,
  source_table text, target_database text, target_schema text, target_table text,
  status varchar(20) constraint table_status check (status in ('pending','in_progress','completed','failed','skipped')),
  started_at timestamp, completed_at timestamp, total_chunks int, completed_chunks int, failed_chunks int,
  total_rows_copied bigint, indexes_disabled boolean, indexes_restored boolean, error_message text, metadata jsonb,
  primary key (run_id, source_database, source_schema, source_table));
create table migration_status.migration_chunk_status (
  run_id uuid, source_database text, source_schema text, source_table text, chunk_id int, chunk_range jsonb,
  status varchar(20) constraint chunk_status check (status in ('pending','in_progress','completed','failed')),
  rows_copied bigint, started_at timestamp, completed_at timestamp, retry_count int, error_message text,
  primary key (run_id, source_database, source_schema, source_table, chunk_id));
create index migration_chunk_open on migration_status.migration_chunk_status (run_id);
create view migration_status.v_active_migrations as select * from migration_status.migration_runs where status = 'running';
create view migration_status.v_table_progress as select run_id, source_table, status, total_chunks from migration_status.migration_table_status;
insert into migration_status.migration_runs (run_id, started_at, status) values
  ('00000000-0000-0000-0000-000000000001', '2024-01-01', 'partial'), ('00000000-0000-0000-0000-000000000002', '2024-01-02', 'running');
insert into migration_status.migration_table_status
  (run_id, source_database, source_schema, source_table, target_schema, target_table, status, started_at) values
  ('00000000-0000-0000-0000-000000000001', 'D', 'S', 'DIMPAYER', 'public', 'DIMPAYER', 'completed', '2024-01-01'),
  ('00000000-0000-0000-0000-000000000002', 'D', 'S', 'DIMPAYER', 'public', 'DIMPAYER', 'failed', '2024-01-02'),
  ('00000000-0000-0000-0000-000000000001', 'D', 'S', 'HEALED', 'public', 'healed', 'failed', '2024-01-01'),
  ('00000000-0000-0000-0000-000000000002', 'D', 'S', 'HEALED', 'public', 'healed', 'completed', '2024-01-02'),
  ('00000000-0000-0000-0000-000000000001', 'D', 'S', 'SKIPPED', 'public', 'skipped', 'in_progress', '2024-01-01'),
  ('00000000-0000-0000-0000-000000000002', 'D', 'S', 'SKIPPED', 'public', 'skipped', 'skipped', '2024-01-02'),
  ('00000000-0000-0000-0000-000000000002', 'D', 'S', 'ROWS', 'public', 'rows', 'completed', '2024-01-02');
insert into migration_status.migration_chunk_status (run_id, source_database, source_schema, source_table, chunk_id, status) values
  ('00000000-0000-0000-0000-000000000002', 'D', 'S', 'HEALED', 0, 'completed'),
  ('00000000-0000-0000-0000-000000000002', 'D', 'S', 'ROWS', 0, 'completed'),
  ('00000000-0000-0000-0000-000000000002', 'D', 'S', 'ROWS', 1, 'failed');";

async fn unfinished(client: &tokio_postgres::Client, table: &str) -> bool {
    let schema = PgIdent::exact("public");
    thaw_status::legacy_unfinished(client, &schema, &PgIdent::exact(table), &format!("entry of {table}"))
        .await
        .expect("asks")
}

#[tokio::test]
async fn the_old_scripts_schema_is_set_aside_whole_and_what_it_left_unfinished_is_known() {
    let database = TestDatabase::create().await;
    let mut client = database.connect().await.expect("connects");
    client.batch_execute(LEGACY).await.expect("makes the old schema");
    client
        .batch_execute("do $$ begin execute 'create schema migration_status_legacy_' || to_char(now(), 'YYYYMMDD'); end $$")
        .await
        .expect("takes the first name");
    let done = thaw_status::migrate(&mut client).await.expect("migrates");
    let Migrated::LegacySetAside { schema } = done else { panic!("{done:?}") };
    assert!(schema.starts_with("migration_status_legacy_") && schema.ends_with("_2"), "{schema}");
    for (table, rows) in [
        ("migration_runs", 2_i64),
        ("migration_table_status", 7),
        ("migration_chunk_status", 3),
        ("v_active_migrations", 1),
        ("v_table_progress", 7),
    ] {
        let kept: i64 = client
            .query_one(&format!("select count(*) from {schema}.{table}"), &[])
            .await
            .expect("is there")
            .get(0);
        assert_eq!(kept, rows, "{table}");
    }
    assert!(unfinished(&client, "dimpayer").await, "its last run failed");
    assert!(!unfinished(&client, "healed").await, "its last run completed");
    assert!(unfinished(&client, "skipped").await, "a skipped run says nothing");
    assert!(unfinished(&client, "rows").await, "completed with a failed chunk is not completed");
    assert!(!unfinished(&client, "never_seen").await);
    assert_eq!(thaw_status::migrate(&mut client).await.expect("migrates"), Migrated::Current);

    client.batch_execute("create table public.rows (chunk int, n int)").await.expect("makes the target");
    let mut store = Store { database, client };
    let loading = store.loading(0, long()).await;
    let worker = thaw_model::WorkerId::generate("worker");
    let claim = thaw_status::claim_finalize(&mut store.client, loading.run, loading.table, &worker).await;
    let claim = claim.expect("asks").expect("ready");
    thaw_status::finish_finalize(&mut store.client, &claim, None, &[]).await.expect("finishes");
    assert!(!unfinished(&store.client, "rows").await, "a full load has completed since");
}

#[tokio::test]
async fn every_table_and_view_says_what_it_is_for() {
    let store = Store::create().await;
    let silent: Vec<String> = store
        .one("select coalesce(array_agg(relname::text), '{}') from pg_class where relnamespace = 'migration_status'::regnamespace and relkind in ('r', 'v') and obj_description(oid, 'pg_class') is null")
        .await;
    assert_eq!(silent, Vec::<String>::new());
    let views: i64 = store.one("select (select count(*) from migration_status.v_active_migrations) + (select count(*) from migration_status.v_table_progress)").await;
    assert_eq!(views, 0);
}
