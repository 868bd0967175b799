//! `astra-store ls`.

use clap::Args;
use serde_json::{Value, json};

use crate::error::Result;
use crate::exec::LatestBuild;
use crate::report::{Align, Table, format_bytes};

use super::ui::Ui;
use super::{Global, locate};

/// List the recipes whose builds the store holds, and how large it is.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  astra-store ls\n  astra-store ls --json | jq '.recipes[].name'")]
pub(super) struct LsArgs {}

pub(super) fn run(ui: &Ui, global: &Global, _args: &LsArgs) -> Result<()> {
    let store = locate::open_existing(ui, global)?;
    let builds = LatestBuild::all(&store)?;
    let stats = store.stats()?;
    if ui.json() {
        let recipes: Vec<Value> = builds.iter().map(|(name, build)| described(name, build)).collect();
        return ui.json_line(&json!({
            "recipes": recipes,
            "store": {
                "blobs": stats.blobs,
                "actions": stats.actions,
                "logical_bytes": stats.logical_bytes,
                "file_bytes": stats.file_bytes,
            },
        }));
    }
    let mut table = Table::new([("recipe", Align::Left), ("points", Align::Right), ("report", Align::Left)]);
    for (name, build) in &builds {
        let (points, report) = match build {
            Ok(Some(b)) => (b.report.points.len().to_string(), b.digest.to_string()[..12].to_owned()),
            Ok(None) => ("-".to_owned(), "no build has come to its end".to_owned()),
            Err(_) => ("-".to_owned(), "damaged; build it again".to_owned()),
        };
        table.row([name.clone(), points, report]);
    }
    ui.data(|out| table.write(out))?;
    ui.say(format!(
        "{} blobs ({}), {} records; {} on disk",
        stats.blobs,
        format_bytes(stats.logical_bytes),
        stats.actions,
        format_bytes(stats.file_bytes),
    ));
    Ok(())
}

fn described(name: &str, build: &Result<Option<LatestBuild>>) -> Value {
    match build {
        Ok(Some(b)) => json!({
            "name": name,
            "points": b.report.points.len(),
            "steps": b.report.steps,
            "report": b.digest.to_string(),
            "built_unix_ms": b.built_unix_ms,
        }),
        Ok(None) => json!({ "name": name }),
        Err(e) => json!({ "name": name, "error": e.to_string() }),
    }
}
