//! `astra-store plugin ls`.

use artifact_store::Store;
use clap::Args;
use serde_json::{Value, json};

use crate::decision::BEST;
use crate::error::Result;
use crate::policy::{Platform, SHIPPED};
use crate::report::{Align, Table};
use crate::steps::{AddedPlugin, added_plugins};

use super::super::ui::Ui;
use super::super::{Global, locate};

/// List the policies that are part of this program, and those that were added to the store.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  astra-store plugin ls")]
pub(super) struct LsArgs {}

pub(super) fn run(ui: &Ui, global: &Global, _args: &LsArgs) -> Result<()> {
    let added = match locate::open_if_there(ui, global)? {
        Some(store) => added(&store)?,
        None => Vec::new(),
    };
    if ui.json() {
        let described: Vec<Value> = part_of_program()
            .map(|[name, version, description]| {
                json!({ "name": name, "version": version, "description": description })
            })
            .collect();
        let added: Vec<Value> = added
            .iter()
            .map(|(plugin, platform)| {
                json!({
                    "name": plugin.name,
                    "digest": plugin.digest.to_string(),
                    "platform": platform,
                    "may_run": plugin.may_run,
                    "note": plugin.note,
                })
            })
            .collect();
        return ui.json_line(&json!({ "policies": described, "added": added }));
    }
    let mut table =
        Table::new([("policy", Align::Left), ("version", Align::Right), ("description", Align::Left)]);
    for words in part_of_program() {
        table.row(words.map(str::to_owned));
    }
    for (plugin, platform) in &added {
        let digest = plugin.digest.to_string();
        let may_run = if plugin.may_run { "" } else { ", runs only when allowed" };
        let description = format!("library for {platform}{may_run}: {}", plugin.note);
        table.row([plugin.name.clone(), digest[..12].to_owned(), description]);
    }
    ui.data(|out| table.write(out))
}

/// The plugins that a store holds by name, and what each is made for.
fn added(store: &Store) -> Result<Vec<(AddedPlugin, String)>> {
    let described = |plugin: AddedPlugin| {
        let bytes = locate::blob(store, &plugin.digest)?;
        let platform = Platform::of(&bytes).map_or_else(|| "no known platform".to_owned(), |p| p.to_string());
        Ok((plugin, platform))
    };
    added_plugins(store)?.into_iter().map(described).collect()
}

/// Name, version and description of the policies that are part of this program.
fn part_of_program() -> impl Iterator<Item = [&'static str; 3]> {
    let shipped = SHIPPED.into_iter().map(|shipped| [shipped.name, shipped.version, shipped.description]);
    shipped.chain([[BEST.name, BEST.version, BEST.description]])
}
