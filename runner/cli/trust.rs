//! `astra-store trust`.

use artifact_store::trust::{PublicKey, TrustList, Trusted};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::report::{Align, Table};

use super::ui::Ui;
use super::{Global, locate};

/// Say whose records this store believes, for `--require-signed`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store trust add 3f2a91c0… --name anna
  astra-store trust ls
  astra-store trust rm anna
  astra-store build recipe.json --upstream /mnt/lab/results --require-signed")]
pub(super) struct TrustArgs {
    #[command(subcommand)]
    command: TrustCommand,
}

#[derive(Debug, Subcommand)]
enum TrustCommand {
    /// Believe what a key signs.
    #[command(after_help = "Example:\n  astra-store trust add PUBLIC_KEY --name anna")]
    Add {
        /// The public key: 64 hex digits, as `key generate` printed them.
        key: String,
        /// Whose it is.
        #[arg(long, default_value = "")]
        name: String,
    },
    /// Believe a key no longer. What it has signed and is here stays.
    #[command(after_help = "Example:\n  astra-store trust rm anna")]
    Rm {
        /// The key or its name.
        key: String,
    },
    /// List the keys that are believed.
    #[command(after_help = "Example:\n  astra-store trust ls --json")]
    Ls,
}

pub(super) fn run(ui: &Ui, global: &Global, args: &TrustArgs) -> Result<()> {
    let outside = |e: artifact_store::Error| Error::outside_store(&e);
    match &args.command {
        TrustCommand::Add { key, name } => {
            let key: PublicKey = key.parse().map_err(|e| outside(e).key("KEY"))?;
            writable(global)?;
            let store = locate::open(ui, global)?;
            let mut list = TrustList::read(store.directory()).map_err(outside)?;
            list.add(key, name).map_err(outside)?;
            ui.say(format!("records that {key} has signed are believed"));
            told(ui, &key)
        }
        TrustCommand::Rm { key } => {
            writable(global)?;
            let mut list = TrustList::read(&locate::existing_directory(global)?).map_err(outside)?;
            let names: Vec<String> = list.entries().iter().map(|entry| entry.name.clone()).collect();
            let unknown = |e| {
                outside(e)
                    .suggest(key, names.iter().map(String::as_str))
                    .hint("`astra-store trust ls` lists the keys")
            };
            let removed = list.remove(key).map_err(unknown)?;
            ui.say(format!("{removed} is believed no longer"));
            told(ui, &removed)
        }
        TrustCommand::Ls => {
            let list = TrustList::read(&locate::existing_directory(global)?).map_err(outside)?;
            print(ui, list.entries())
        }
    }
}

/// The key that was added or removed, for scripts.
fn told(ui: &Ui, key: &PublicKey) -> Result<()> {
    if ui.json() { ui.json_line(&json!({ "key": key.to_string() })) } else { Ok(()) }
}

fn writable(global: &Global) -> Result<()> {
    if global.read_only {
        return Err(
            Error::new(ErrorKind::Usage, "the list of trusted keys is part of the store").key("--read-only")
        );
    }
    Ok(())
}

fn print(ui: &Ui, entries: &[Trusted]) -> Result<()> {
    if ui.json() {
        let keys: Vec<Value> =
            entries.iter().map(|e| json!({ "key": e.key.to_string(), "name": e.name })).collect();
        return ui.json_line(&json!({ "keys": keys }));
    }
    let mut table = Table::new([("key", Align::Left), ("name", Align::Left)]);
    entries.iter().for_each(|entry| table.row([entry.key.to_string(), entry.name.clone()]));
    ui.data(|out| table.write(out))
}
