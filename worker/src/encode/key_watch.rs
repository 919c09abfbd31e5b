//! Whether a key came twice in the rows of a chunk, told while they are encoded: PostgreSQL would have to group all keys
//! of the stage to find out. By the bytes that are sent, so for types only where equal means equal bytes.
//!
//! It keeps a hash a row, not keys; a hash that two keys share makes them repeated, which costs a sort and nothing else.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher};

use thaw_model::plan::PlannedColumn;
use thaw_model::target_type::TextKind;
use thaw_model::{SourceType, TablePlan, TargetType};

/// Above so many rows nothing is kept any more: 16 MB or so, however large a chunk is.
const KEYS_KEPT: usize = 1 << 20;

/// What the rows of a chunk are to each other by their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keys {
    /// Ask the database.
    #[default]
    Unknown,
    Distinct,
    Repeated,
}

pub(super) struct KeyWatch {
    columns: Vec<bool>,
    hashes: RandomState,
    row: Vec<u8>,
    seen: HashSet<u64, BuildHasherDefault<AsItIs>>,
    keys: Keys,
}

impl KeyWatch {
    /// `None` where the plan has no keys, or keys that are equal in other ways than by their bytes.
    pub(super) fn new(plan: &TablePlan) -> Option<Self> {
        let keys = &plan.load.arbiter.as_ref()?.columns;
        let columns: Vec<bool> = plan.columns.iter().map(|column| keys.contains(&column.target)).collect();
        let all =
            plan.columns.iter().zip(&columns).all(|(column, is_key)| !is_key || is_equal_by_bytes(column));
        (all && columns.contains(&true)).then(|| Self {
            columns,
            hashes: RandomState::new(),
            row: Vec::new(),
            seen: HashSet::default(),
            keys: Keys::Distinct,
        })
    }

    /// A field of the row in progress, with its length.
    pub(super) fn field(&mut self, column: usize, bytes: &[u8]) {
        if self.keys == Keys::Distinct && self.columns.get(column) == Some(&true) {
            self.row.extend_from_slice(bytes);
        }
    }

    /// The row is complete and will be sent, or has been taken back.
    pub(super) fn end_row(&mut self, is_sent: bool) {
        if self.keys != Keys::Distinct {
            return;
        }
        if is_sent && !self.seen.insert(self.hashes.hash_one(&self.row)) {
            self.end(Keys::Repeated);
        } else if self.seen.len() > KEYS_KEPT {
            self.end(Keys::Unknown);
        }
        self.row.clear();
    }

    pub(super) fn keys(&self) -> Keys {
        self.keys
    }

    fn end(&mut self, keys: Keys) {
        self.keys = keys;
        self.seen = HashSet::default();
    }
}

/// Of texts, only where their collation holds what differs for different: the load asks the target.
fn is_equal_by_bytes(column: &PlannedColumn) -> bool {
    match &column.target_type {
        TargetType::Bool
        | TargetType::Int2
        | TargetType::Int4
        | TargetType::Int8
        | TargetType::Bytea
        | TargetType::Date
        | TargetType::Time { .. }
        | TargetType::Timestamp { .. }
        | TargetType::Timestamptz { .. }
        | TargetType::Uuid
        | TargetType::Enum { .. }
        | TargetType::Text { kind: TextKind::Text | TextKind::Varchar, .. } => true,
        // 1.0 equals 1.00; a column of the source has one scale.
        TargetType::Numeric { .. } => matches!(column.source_type, SourceType::Number { .. }),
        // Zeros of either sign, blanks at the end, capitals, the order of members.
        TargetType::Float4
        | TargetType::Float8
        | TargetType::Text { kind: TextKind::Char | TextKind::Citext | TextKind::Xml, .. }
        | TargetType::Json
        | TargetType::Jsonb
        | TargetType::Array { .. } => false,
    }
}

/// Hashes are as random as they need to be.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        debug_assert!(false, "only whole hashes are kept");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
