//! Every row is there and three percent have changed: what a nightly run over a window finds.

use anyhow::Result;

use super::upsert_insert::against_handwritten;
use crate::data_set::lineitem_fifth;
use crate::figure::{Figure, Goal};
use crate::load::Load;
use crate::rig::{Rig, Start};

pub(super) async fn measure(rig: &mut Rig) -> Result<Vec<Figure>> {
    let load = Load::keyed(&lineitem_fifth(rig.scale), Start::FewChanged);
    let figure = against_handwritten(rig, &load, "upsert_identical_vs_handwritten").await?;
    Ok(vec![figure.goal(Goal::AtLeast(2.0))])
}
