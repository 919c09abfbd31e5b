//! Plans, cells and the way from an encoder into a table, for the tests of encode and load.

use bytes::Bytes;
use futures_util::SinkExt as _;
use thaw_model::plan::{
    BadRowPolicy, LoadMode, LoadPlan, OnDuplicate, PlannedColumn, SourcePlan, StartPlan, TablePlan,
    TargetPlan,
};
use thaw_model::{PgIdent, SfIdent, SourceType};
use thaw_postgres::catalog::{ColumnType, describe_table};
use thaw_snowflake::RowSink as _;
use thaw_worker::encode::{EncodeError, Encoded, EncodedRows, Piece, RowEncoder};
use tokio_postgres::Client;

/// A cell of the wire.
pub(crate) type Cell = Option<String>;

/// `Some` text, or NULL for `None`.
pub(crate) fn cell(text: &str) -> Cell {
    Some(text.to_owned())
}

/// A plan that copies into a table of the schema `public`, with the target's types as the catalogue has them.
pub(crate) async fn plan_for(client: &Client, table: &str, columns: &[(&str, SourceType)]) -> TablePlan {
    let described = describe_table(client, &PgIdent::exact("public"), &PgIdent::exact(table))
        .await
        .expect("the catalogue answers")
        .expect("the table exists");
    let columns = columns
        .iter()
        .map(|(name, source_type)| {
            let found = described
                .columns
                .iter()
                .find(|column| column.name.as_str() == *name)
                .expect("the column exists");
            let ColumnType::Loadable(target_type) = &found.column_type else { panic!("no loadable type") };
            PlannedColumn {
                source: SfIdent::exact(name.to_uppercase()),
                source_type: *source_type,
                target: found.name.clone(),
                target_type: target_type.clone(),
                nullable: found.nullable,
                lossy: false,
            }
        })
        .collect();
    TablePlan {
        source: SourcePlan {
            database: SfIdent::exact("DB"),
            schema: SfIdent::exact("S"),
            table: SfIdent::exact("T"),
            timezone: "UTC".to_owned(),
            snapshot: None,
            filter: None,
            watermark: None,
        },
        target: TargetPlan {
            database: "test".to_owned(),
            schema: PgIdent::exact("public"),
            table: PgIdent::exact(table),
        },
        columns,
        chunking: None,
        one_scan: None,
        load: LoadPlan {
            mode: LoadMode::Copy,
            copy_first: false,
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

/// Gives rows to an encoder as a result's reader does, flushing now and then.
pub(crate) async fn feed(mut encoder: RowEncoder, rows: Vec<Vec<Cell>>) -> Result<Encoded, EncodeError> {
    for (position, row) in rows.iter().enumerate() {
        for (column, cell) in row.iter().enumerate() {
            encoder.cell(column, cell.as_deref())?;
        }
        encoder.end_row()?;
        if position % 100 == 99 {
            encoder.flush().await?;
        }
    }
    encoder.flush().await?;
    encoder.finish().await
}

/// Copies every piece into the table, without a load transaction: for tests of the values alone.
pub(crate) async fn copy_all(
    client: &Client,
    table: &str,
    column: &str,
    mut rows: EncodedRows,
) -> Result<u64, tokio_postgres::Error> {
    let statement = format!("copy {table} ({column}) from stdin (format binary)");
    let mut sink = std::pin::pin!(client.copy_in::<_, Bytes>(&statement).await?);
    while let Some(piece) = rows.next().await {
        match piece {
            Piece::Rows(bytes) => sink.send(bytes).await?,
            Piece::End(_) => return sink.finish().await,
        }
    }
    Ok(0)
}
