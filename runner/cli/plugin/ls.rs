//! `astra-store plugin ls`.

use clap::Args;
use serde_json::json;

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
        let described = SHIPPED.map(|shipped| {
            json!({ "name": shipped.name, "version": shipped.version, "description": shipped.description })
        });
        return ui.json_line(&json!({ "policies": described }));
    }
    let mut table =
        Table::new([("policy", Align::Left), ("version", Align::Right), ("description", Align::Left)]);
    for shipped in SHIPPED {
        table.row([shipped.name, shipped.version, shipped.description].map(str::to_owned).to_vec());
    }
    ui.data(|out| table.write(out))
}
