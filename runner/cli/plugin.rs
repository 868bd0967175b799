//! `astra-store plugin`.

mod add;
mod check;
mod ls;
mod new;
mod show;
mod table;

use std::path::{Path, PathBuf};

use artifact_store::Digest;
use clap::{Args, Subcommand};

use crate::decision::BEST;
use crate::error::{Error, Result};
use crate::files;
use crate::policy::{SHIPPED, Shipped, Source};
use crate::steps::PluginPath;

use super::Global;
use super::ui::Ui;

/// Policies: the plugins that choose the algorithm of a collective.
#[derive(Debug, Args)]
pub(super) struct PluginArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Ls(ls::LsArgs),
    Add(add::AddArgs),
    Show(show::ShowArgs),
    Check(check::CheckArgs),
    New(new::NewArgs),
    Table(table::TableArgs),
}

pub(super) fn run(ui: &Ui, global: &Global, args: &PluginArgs) -> Result<()> {
    match &args.command {
        Command::Ls(args) => ls::run(ui, global, args),
        Command::Add(args) => add::run(ui, global, args),
        Command::Show(args) => show::run(ui, args),
        Command::Check(args) => check::run(ui, args),
        Command::New(args) => new::run(ui, args),
        Command::Table(args) => table::run(ui, args),
    }
}

/// Where policies are looked for that a recipe calls by name.
#[derive(Debug, Args)]
pub(super) struct PluginDirs {
    /// Look for policies that the recipe calls by name in this directory first; may be given several times.
    ///
    /// Then in those of $ASTRA_STORE_PLUGIN_PATH, then beside the recipe, then among those added to the store.
    #[arg(long = "plugin-dir", value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// Let the plugin with this digest run, which came with pulled or imported content; may be given several times.
    #[arg(long = "allow-plugin", value_name = "DIGEST")]
    allowed: Vec<Digest>,
}

impl PluginDirs {
    pub(super) fn path(&self) -> PluginPath {
        PluginPath::new(&self.directories, &self.allowed)
    }
}

/// The policy that a word on the command line means: the name of a shipped one, else a file.
fn source(word: &str) -> Result<Source> {
    if let Some(shipped) = Shipped::named(word) {
        return Ok(Source::Shipped(shipped));
    }
    if word == BEST.name {
        return Err(Error::input(format!(
            "`{word}` asks the engine, so it is no plugin that could be tried alone"
        ))
        .hint("name it in a recipe, or in `astra-store policy compare`"));
    }
    let path = Path::new(word);
    if path.exists() || word.contains(['/', '.']) {
        let bytes = files::read(path)?.into();
        return Ok(Source::Library { name: word.to_owned(), bytes });
    }
    let names = SHIPPED.map(|shipped| shipped.name);
    Err(Error::input(format!("there is no policy and no file `{word}`"))
        .suggest(word, names)
        .hint(format!("policies that ship: {}; others are named by their file", names.join(", "))))
}
