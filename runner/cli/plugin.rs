//! `astra-store plugin`.

mod add;
mod check;
mod configured;
mod ls;
mod new;
mod show;
mod table;

use std::path::PathBuf;

use artifact_store::Digest;
use clap::{Args, Subcommand};

use crate::error::{Error, ErrorKind, Result};
use crate::steps::PluginPath;

use super::Global;
use super::ui::Ui;

/// Policies: the plugins that choose the algorithm of a collective.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store plugin new by-size && make -C by-size
  astra-store plugin check by-size/by-size.so
  astra-store plugin add by-size/by-size.so     # recipes can say \"plugin\": \"by-size\"
  astra-store plugin ls")]
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
        Command::Show(args) => show::run(ui, global, args),
        Command::Check(args) => check::run(ui, global, args),
        Command::New(args) => new::run(ui, args),
        Command::Table(args) => table::run(ui, global, args),
    }
}

/// Why a policy of one's own cannot have a name: it would never be found.
fn taken(name: &str) -> Error {
    let message = format!("`{name}` is the name of a policy that is part of this program");
    Error::new(ErrorKind::Usage, message)
}

/// Where policies are looked for that are called by name.
#[derive(Debug, Args)]
pub(super) struct PluginDirs {
    /// Look for policies that are called by name in this directory first; may be given several times.
    ///
    /// Then in those of $ASTRA_STORE_PLUGIN_PATH, then beside the recipe (without one in the working directory), then among
    /// those added to the store.
    #[arg(long = "plugin-dir", value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// Let the plugin with this digest run, which came with pulled or imported content; may be given several times.
    #[arg(long = "allow-plugin", value_name = "DIGEST")]
    allowed: Vec<Digest>,
}

impl PluginDirs {
    /// Where that is.
    ///
    /// # Errors
    /// A directory that is none.
    pub(super) fn path(&self) -> Result<PluginPath> {
        if let Some(none) = self.directories.iter().find(|directory| !directory.is_dir()) {
            let error = Error::new(ErrorKind::Usage, "--plugin-dir: there is no such directory");
            return Err(error.in_file(none.display()));
        }
        Ok(PluginPath::new(&self.directories, &self.allowed))
    }
}
