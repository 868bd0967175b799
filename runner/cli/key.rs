//! `astra-store key`.

use std::path::PathBuf;

use artifact_store::trust::SecretKey;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::error::{Error, Result};

use super::ui::Ui;

/// Make keys to sign records with.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store key generate ~/.config/astra-store.key     # prints the public half, for others to trust
  astra-store build recipe.json --sign ~/.config/astra-store.key --push /mnt/lab/results
  astra-store trust add PUBLIC_KEY --name anna           # on their side")]
pub(super) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key: the secret half to a new file that only you can read, the public half to stdout.
    #[command(after_help = "Example:\n  astra-store key generate ~/.config/astra-store.key")]
    Generate {
        /// The file to make.
        file: PathBuf,
    },
    /// Print the public half of a key.
    #[command(after_help = "Example:\n  astra-store key show ~/.config/astra-store.key")]
    Show {
        /// The file of the secret key.
        file: PathBuf,
    },
}

pub(super) fn run(ui: &Ui, args: &KeyArgs) -> Result<()> {
    let outside = |e: artifact_store::Error| Error::outside_store(&e);
    let key = match &args.command {
        KeyCommand::Generate { file } => {
            let key = SecretKey::generate().map_err(outside)?;
            key.write_new(file).map_err(outside)?;
            ui.say(format!("wrote {}: whoever has this file can sign as you", file.display()));
            key
        }
        KeyCommand::Show { file } => SecretKey::read(file).map_err(outside)?,
    };
    if ui.json() {
        return ui.json_line(&json!({ "public_key": key.public().to_string() }));
    }
    ui.data(|out| writeln!(out, "{}", key.public()))
}
