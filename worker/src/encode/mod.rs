//! From the wire's cells to binary COPY, row by row: memory does not depend on a chunk's size.
//!
//! A column's pair of types is fixed by the plan; each cell is decoded by its source type and encoded to its target
//! type, and a value the target cannot hold makes a bad row, which the plan's policy decides about. One file a family
//! of types. It knows neither where cells come from nor who receives the bytes.

mod array;
mod bad_value;
mod calendar;
mod column;
mod decimal;
mod json;
mod kept_values;
mod key_watch;
pub mod matrix;
mod number;
mod pair;
mod row;
mod temporal;
mod text;
mod zone;

pub use bad_value::{BadValue, EncodeError};
pub use kept_values::KeptValues;
pub use key_watch::Keys;
pub use pair::{Loss, Unloadable, pair_is_loadable, pair_needs_zone};
pub use row::{BadRow, Encoded, EncodedRows, Piece, RowEncoder};
pub use zone::Zone;
