//! `astra-store roots`.

use artifact_store::RootVersion;
use clap::Args;
use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::report::{Align, Table, format_bytes};

use super::ui::Ui;
use super::{Global, locate, moments};

/// List what keeps content from being dropped: roots of recipes, pins, and what each root was before.
///
/// The size is what a version needs, in stored bytes; what several need counts for each of them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store roots
  astra-store roots --json | jq '.roots[] | select(.bytes > 1e9)'
  astra-store roots --remove recipe/old-study/3f2a91c05b7e/complete")]
pub(super) struct RootsArgs {
    /// Remove the root of this name, damaged or not, with its history; what it needed goes with the next gc.
    #[arg(long, value_name = "NAME")]
    remove: Option<String>,
}

pub(super) fn run(ui: &Ui, global: &Global, args: &RootsArgs) -> Result<()> {
    let store = locate::open_existing(ui, global)?;
    if let Some(name) = &args.remove {
        if !store.remove_root(name)? {
            let roots = store.roots()?;
            return Err(Error::new(ErrorKind::Usage, format!("the store has no root `{name}`"))
                .suggest(name, roots.iter().map(|(name, _)| name.as_str()))
                .hint("`astra-store roots` lists them"));
        }
        ui.say(format!("removed the root {name}; `astra-store gc` drops what nothing else needs"));
        return Ok(());
    }
    let versions = store.root_versions()?;
    let sizes: Vec<u64> = store.sizes_of(&versions)?.iter().map(|content| content.bytes()).collect();
    if ui.json() {
        let roots: Vec<Value> = versions.iter().zip(&sizes).map(|(v, bytes)| described(v, *bytes)).collect();
        return ui.json_line(&json!({ "roots": roots }));
    }
    let mut table = Table::new([
        ("root", Align::Left),
        ("version", Align::Right),
        ("target", Align::Left),
        ("size", Align::Right),
        ("set", Align::Left),
        ("used", Align::Left),
        ("note", Align::Left),
    ]);
    for (version, bytes) in versions.iter().zip(sizes) {
        table.row([
            version.name.clone(),
            if version.back == 0 { "latest".to_owned() } else { format!("-{}", version.back) },
            version.root.target.to_string()[..12].to_owned(),
            format_bytes(bytes),
            moments::ago(version.root.updated_unix_ms),
            moments::ago(version.last_use_unix_ms),
            version.root.note.clone(),
        ]);
    }
    ui.data(|out| table.write(out))
}

fn described(version: &RootVersion, bytes: u64) -> Value {
    json!({
        "name": version.name,
        "back": version.back,
        "target": version.root.target.to_string(),
        "bytes": bytes,
        "set_unix_ms": version.root.updated_unix_ms,
        "last_use_unix_ms": version.last_use_unix_ms,
        "note": version.root.note,
    })
}
