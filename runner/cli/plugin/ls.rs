//! `astra-store plugin ls`.

use clap::Args;
use serde_json::{Value, json};

use crate::decision::BEST;
use crate::error::Result;
use crate::policy::SHIPPED;
use crate::report::{Align, Table};

use super::super::ui::Ui;

/// List the policies that are part of this program.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  astra-store plugin ls")]
pub(super) struct LsArgs {}

pub(super) fn run(ui: &Ui, _args: &LsArgs) -> Result<()> {
    if ui.json() {
        let described: Vec<Value> = part_of_program()
            .map(|[name, version, description]| {
                json!({ "name": name, "version": version, "description": description })
            })
            .collect();
        return ui.json_line(&json!({ "policies": described }));
    }
    let mut table =
        Table::new([("policy", Align::Left), ("version", Align::Right), ("description", Align::Left)]);
    for words in part_of_program() {
        table.row(words.map(str::to_owned));
    }
    ui.data(|out| table.write(out))
}

/// Name, version and description of the policies that are part of this program.
fn part_of_program() -> impl Iterator<Item = [&'static str; 3]> {
    let shipped = SHIPPED.into_iter().map(|shipped| [shipped.name, shipped.version, shipped.description]);
    shipped.chain([[BEST.name, BEST.version, BEST.description]])
}
