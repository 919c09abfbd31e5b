//! `planner schema`: the JSON Schema of the configuration, for editors.

use crate::exit::Exit;
use crate::output;

/// Prints it.
#[must_use]
pub fn print() -> Exit {
    // The alternate form of a JSON value is the indented one.
    output::result(format!("{:#}", thaw_config::schema()));
    Exit::Completed
}
