//! `astra-store schema`.

use clap::{Args, ValueEnum};

use crate::error::Result;
use crate::et::graph::GRAPH_SCHEMA;
use crate::recipe::RECIPE_SCHEMA;

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
    /// What to build.
    Recipe,
    /// A graph of computation and communication.
    Graph,
}

pub(super) fn run(ui: &Ui, args: &SchemaArgs) -> Result<()> {
    let schema = match args.format {
        Format::Recipe => RECIPE_SCHEMA,
        Format::Graph => GRAPH_SCHEMA,
    };
    ui.data(|out| out.write_all(schema.as_bytes()))
}
