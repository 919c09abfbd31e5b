//! The rows that earlier runs left in the status tables, read as what they say about the bound.

use thaw_model::TableState;
use thaw_status::{OtherTables, PastTable};

use super::bound::{History, Past};
use super::value::{Kind, WatermarkValue};
use crate::columns::Watermark;

/// Reads the started tables of an entry, oldest first. Values of another watermark column, or of another type, say
/// nothing about this one: such a table counts as one whose values are unknown.
#[must_use]
pub fn read(
    past: &[PastTable],
    others: OtherTables,
    legacy_unfinished: bool,
    (watermark, kind): (&Watermark, Kind),
) -> History {
    let last_completed = past.iter().rev().find(|table| is_complete(table)).map(|table| table.id);
    History {
        tables: past.iter().map(|table| read_table(table, watermark, kind)).collect(),
        others_loaded: others.loaded,
        strangers_loaded: others.strangers_loaded,
        emptied_since: last_completed.is_some_and(|last| others.emptied_by.is_some_and(|by| by.0 > last.0)),
        legacy_unfinished,
    }
}

fn is_complete(table: &PastTable) -> bool {
    table.state == TableState::Completed && !table.leaves_gap
}

fn read_table(table: &PastTable, watermark: &Watermark, kind: Kind) -> Past {
    let is_comparable = table.watermark_column.as_deref() == Some(watermark.target.as_str())
        && table.watermark_source.as_deref() == Some(watermark.source.as_str())
        && table.watermark_type.as_deref() == Some(watermark.target_type.to_string().as_str());
    let value = |text: &Option<String>| {
        let text = text.as_deref().filter(|_| is_comparable)?;
        WatermarkValue::from_text(kind, text)
    };
    if !is_complete(table) {
        return Past::Gap { from: value(if table.leaves_gap { &table.safe } else { &table.low }) };
    }
    match (&table.low, value(&table.low)) {
        // It began somewhere, but nobody can say where: it has closed no gap.
        (Some(_), None) => Past::Gap { from: None },
        (_, low) => Past::Completed { low, high: value(&table.high) },
    }
}

#[cfg(test)]
mod tests {
    use thaw_model::{PgIdent, SfIdent, SourceType, TableId, TargetType};

    use super::*;

    fn table(id: i64, state: TableState, low: Option<&str>, high: Option<&str>) -> PastTable {
        PastTable {
            id: TableId(id),
            state,
            leaves_gap: false,
            watermark_column: Some("wm".into()),
            watermark_source: Some("WM".into()),
            watermark_type: Some("date".into()),
            low: low.map(str::to_owned),
            high: high.map(str::to_owned),
            safe: None,
        }
    }

    fn read_all(past: &[PastTable], others: OtherTables) -> History {
        let watermark = Watermark {
            source: SfIdent::exact("WM"),
            source_type: SourceType::Date,
            target: PgIdent::exact("wm"),
            target_type: TargetType::Date,
            is_collated: false,
            may_change: false,
        };
        read(past, others, false, (&watermark, Kind::Date))
    }

    const NOBODY: OtherTables = OtherTables { loaded: false, strangers_loaded: false, emptied_by: None };

    #[test]
    fn every_state_but_completed_is_a_gap_from_its_bound_on() {
        for state in [
            TableState::Loading,
            TableState::Finalizing,
            TableState::Partial,
            TableState::Failed,
            TableState::Cancelled,
            TableState::Superseded,
        ] {
            let history = read_all(&[table(1, state, Some("1970-01-03"), Some("1970-01-09"))], NOBODY);
            assert_eq!(history.tables, [Past::Gap { from: Some(WatermarkValue::Date(2)) }], "{state}");
        }
        let completed = table(1, TableState::Completed, None, Some("1970-01-09"));
        let high = Some(WatermarkValue::Date(8));
        assert_eq!(
            read_all(std::slice::from_ref(&completed), NOBODY).tables,
            [Past::Completed { low: None, high }]
        );
        let since = PastTable {
            leaves_gap: true,
            low: Some("1970-01-08".into()),
            safe: Some("1970-01-02".into()),
            ..completed
        };
        assert_eq!(read_all(&[since], NOBODY).tables, [Past::Gap { from: Some(WatermarkValue::Date(1)) }]);
    }

    #[test]
    fn values_of_another_column_or_type_are_unknown() {
        let full = table(1, TableState::Completed, None, Some("1970-01-09"));
        for other in [
            PastTable { watermark_column: Some("other".into()), ..full.clone() },
            PastTable { watermark_source: None, ..full.clone() },
            PastTable { watermark_type: Some("timestamp(6)".into()), ..full.clone() },
        ] {
            assert_eq!(
                read_all(std::slice::from_ref(&other), NOBODY).tables,
                [Past::Completed { low: None, high: None }]
            );
            let from_somewhere = PastTable { low: Some("1970-01-03".into()), ..other };
            assert_eq!(read_all(&[from_somewhere], NOBODY).tables, [Past::Gap { from: None }]);
        }
    }

    #[test]
    fn who_emptied_the_target_matters_only_after_the_last_completed_table() {
        let past = [table(5, TableState::Completed, None, None), table(9, TableState::Failed, None, None)];
        let emptied =
            |by| OtherTables { loaded: true, strangers_loaded: false, emptied_by: Some(TableId(by)) };
        assert!(!read_all(&past, emptied(4)).emptied_since);
        assert!(read_all(&past, emptied(6)).emptied_since);
    }
}
