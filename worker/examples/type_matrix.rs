//! Prints the table of docs/types.md.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(thaw_worker::encode::matrix::markdown().as_bytes())
}
