//! placeholder

use crate::{context::Context, exit::Exit, failure::Failure};
use std::path::PathBuf;
pub(crate) async fn run(_: &Context<'_>, _: bool, _: Option<PathBuf>) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
