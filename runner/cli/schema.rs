//! `astra-store schema`.

use clap::{Args, ValueEnum};

use crate::error::Result;

use super::ui::Ui;

/// Print the JSON Schema of an input format, for editors.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  astra-store schema recipe > recipe.schema.json")]
pub(super) struct SchemaArgs {
    /// Which format.
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Recipe,
}

pub(super) fn run(ui: &Ui, args: &SchemaArgs) -> Result<()> {
    let Format::Recipe = args.format;
    ui.data(|out| out.write_all(crate::recipe::RECIPE_SCHEMA.as_bytes()))
}
