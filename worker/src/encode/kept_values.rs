//! The values of bad rows, where the configuration says that they are kept. They are the user's data: nothing here
//! prints them, and what is kept is bounded.

use std::ops::Range;

use serde_json::{Map, Value};
use thaw_model::TablePlan;

/// A longer row is set aside without its values.
const ROW_BYTES: usize = 1024 * 1024;
/// So much of one chunk; the rows behind are set aside without their values.
const CHUNK_BYTES: usize = 16 * 1024 * 1024;

/// A bad row as the source sent it, by the source's names of its columns.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptValues {
    /// The columns of the arbiter; `None` where the table is loaded without one.
    pub keys: Option<Value>,
    pub row: Value,
}

impl std::fmt::Debug for KeptValues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeptValues(..)")
    }
}

/// Remembers the cells of the row in progress.
pub(super) struct ValueKeeper {
    /// The source's column names, and whether the column is a key.
    names: Vec<(String, bool)>,
    text: String,
    /// `None`: NULL.
    cells: Vec<Option<Range<usize>>>,
    too_long: bool,
    left: usize,
}

impl ValueKeeper {
    pub(super) fn new(plan: &TablePlan) -> Self {
        let is_key = |target| plan.load.arbiter.as_ref().is_some_and(|keys| keys.columns.contains(target));
        let names =
            plan.columns.iter().map(|column| (column.source.as_str().to_owned(), is_key(&column.target)));
        Self {
            names: names.collect(),
            text: String::new(),
            cells: Vec::new(),
            too_long: false,
            left: CHUNK_BYTES,
        }
    }

    /// The next cell of the row.
    pub(super) fn cell(&mut self, value: Option<&str>) {
        let start = self.text.len();
        if value.is_some_and(|value| start + value.len() > ROW_BYTES) {
            self.too_long = true;
        }
        if self.too_long {
            return;
        }
        self.cells.push(value.map(|value| {
            self.text.push_str(value);
            start..self.text.len()
        }));
    }

    /// The row was good.
    pub(super) fn forget(&mut self) {
        self.text.clear();
        self.cells.clear();
        self.too_long = false;
    }

    /// The row was bad: what is kept of it.
    pub(super) fn take(&mut self) -> Option<KeptValues> {
        let kept = (!self.too_long && self.text.len() <= self.left).then(|| {
            self.left -= self.text.len();
            let values = || self.names.iter().zip(self.cells.iter().map(|cell| self.value(cell.clone())));
            let object = |wanted: &dyn Fn(bool) -> bool| -> Map<String, Value> {
                let members = values().filter(|((_, is_key), _)| wanted(*is_key));
                members.map(|((name, _), value)| (name.clone(), value)).collect()
            };
            let keys = object(&|is_key| is_key);
            KeptValues {
                keys: (!keys.is_empty()).then_some(Value::Object(keys)),
                row: Value::Object(object(&|_| true)),
            }
        });
        self.forget();
        kept
    }

    /// jsonb cannot hold U+0000: its picture stands for it.
    fn value(&self, cell: Option<Range<usize>>) -> Value {
        match cell.and_then(|range| self.text.get(range)) {
            Some(text) => Value::String(text.replace('\0', "\u{2400}")),
            None => Value::Null,
        }
    }
}
