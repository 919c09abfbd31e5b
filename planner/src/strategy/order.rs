//! The total order that pages are cut in.

use thaw_model::plan::PlannedColumn;
use thaw_model::{SfIdent, SourceType};

/// The chunking columns, the keys, then every other column that is loaded: rows that are still equal are the same in
/// all that is loaded, so it does not matter which of them lies on which page.
#[must_use]
pub fn total(
    chunking: &[(SfIdent, SourceType)],
    keys: &[SfIdent],
    columns: &[PlannedColumn],
) -> Vec<SfIdent> {
    let is_loaded = |name: &SfIdent| columns.iter().any(|column| &column.source == name);
    // What has no order and is not loaded either need not be told apart.
    let chunking = chunking.iter().filter(|(name, source_type)| source_type.is_ordered() || is_loaded(name));
    let mut order: Vec<SfIdent> = Vec::new();
    let names = chunking.map(|(name, _)| name).chain(keys);
    for name in names.chain(columns.iter().map(|column| &column.source)) {
        if !order.contains(name) {
            order.push(name.clone());
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use thaw_model::{PgIdent, TargetType};

    use super::*;

    fn column(position: usize) -> PlannedColumn {
        let name = format!("C{position}");
        PlannedColumn {
            source: SfIdent::exact(&name),
            source_type: if position % 3 == 2 { SourceType::Variant } else { SourceType::Date },
            target: PgIdent::exact(&name),
            target_type: TargetType::Int8,
            nullable: true,
            lossy: false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn rows_that_tie_in_the_order_are_the_same_in_all_that_is_loaded(
            width in 1_usize..6,
            chunking in prop::collection::vec(0_usize..8, 0..3),
            keys in prop::collection::vec(0_usize..8, 0..3),
            rows in prop::collection::vec(prop::collection::vec(prop::option::of(0_u8..3), 8), 0..30),
        ) {
            let columns: Vec<PlannedColumn> = (0..width).map(column).collect();
            let chunking: Vec<_> =
                chunking.into_iter().map(column).map(|c| (c.source, c.source_type)).collect();
            let keys: Vec<SfIdent> = keys.into_iter().map(|key| column(key % width).source).collect();
            let order = total(&chunking, &keys, &columns);
            let at = |name: &SfIdent| name.as_str().trim_start_matches('C').parse::<usize>().expect("a position");
            let mut ties: BTreeMap<Vec<Option<u8>>, &[Option<u8>]> = BTreeMap::new();
            for row in &rows {
                let key = order.iter().map(|name| row[at(name)]).collect();
                let first = ties.entry(key).or_insert(&row[..width]);
                prop_assert_eq!(*first, &row[..width]);
            }
            if let Some((first, _)) = chunking.first().filter(|(_, t)| t.is_ordered()) {
                prop_assert_eq!(order.first(), Some(first));
            }
        }
    }
}
