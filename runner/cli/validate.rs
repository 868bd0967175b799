//! `astra-store validate`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::error::Result;
use crate::recipe::Recipe;
use crate::steps::{self, Sources};

use super::plugin::PluginDirs;
use super::ui::{Ui, counted};
use super::{Global, locate};

/// Check a recipe, the hardware files it names and every point, and simulate and write nothing.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  astra-store validate recipe.json")]
pub(super) struct ValidateArgs {
    /// The recipe.
    recipe: PathBuf,
    #[command(flatten)]
    plugins: PluginDirs,
}

pub(super) fn run(ui: &Ui, global: &Global, args: &ValidateArgs) -> Result<()> {
    let recipe = Recipe::load(&args.recipe)?;
    let points = recipe.points()?;
    let store = locate::open_if_there(ui, global)?;
    let sources = Sources::read(&recipe, &args.plugins.path()?, store.as_ref())?;
    let notices = steps::check(&sources, &points)?;
    if ui.json() {
        return ui.json_line(&json!({ "recipe": recipe.name(), "points": points.len(), "notices": notices }));
    }
    for notice in notices {
        ui.warn(notice);
    }
    ui.data(|out| writeln!(out, "{}: {}, nothing wrong", recipe.name(), counted(points.len(), "point")))
}
