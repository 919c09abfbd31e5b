//! The date strategy into an empty target with its key, against `\copy` into the same target.

use anyhow::Result;
use serde_json::json;

use super::copy_1slot::against_copy;
use crate::data_set::lineitem;
use crate::figure::{Figure, Goal};
use crate::load::Load;
use crate::rig::{Rig, Start};

pub(super) async fn measure(rig: &mut Rig) -> Result<Vec<Figure>> {
    let set = lineitem(rig.scale);
    let entry = json!({
        "uniqueness_columns": set.keys, "strategy": "date_range",
        "chunking_columns": ["L_SHIPDATE"], "chunking_column_types": ["date"],
    });
    let load = Load { entry, ..Load::keyed(&set, Start::Keyed) };
    let figure = against_copy(rig, &load, "initial_date_load_vs_psql_copy").await?;
    Ok(vec![figure.goal(Goal::AtLeast(0.7))])
}
