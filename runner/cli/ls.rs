//! `astra-store ls`.

use clap::Args;
use serde_json::{Value, json};

use crate::error::Result;
use crate::exec::{KnownRecipe, LatestBuild};
use crate::report::{Align, Table, format_bytes};

use super::ui::Ui;
use super::{Global, locate};

/// List the recipes whose builds the store holds, and how large it is.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  astra-store ls\n  astra-store ls --json | jq '.recipes[].name'")]
pub(super) struct LsArgs {}

pub(super) fn run(ui: &Ui, global: &Global, _args: &LsArgs) -> Result<()> {
    let store = locate::open_existing(ui, global)?;
    let builds: Vec<_> = KnownRecipe::all(&store)?
        .into_iter()
        .map(|recipe| {
            let build = LatestBuild::load(&store, &recipe);
            (recipe, build)
        })
        .collect();
    let stats = store.stats()?;
    if ui.json() {
        let recipes: Vec<Value> = builds.iter().map(|(recipe, build)| described(recipe, build)).collect();
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
    let mut table = Table::new([
        ("recipe", Align::Left),
        ("place", Align::Left),
        ("points", Align::Right),
        ("report", Align::Left),
        ("file", Align::Left),
    ]);
    for (recipe, build) in &builds {
        let (points, report) = match build {
            Ok(Some(b)) => (b.report.points.len().to_string(), b.digest.to_string()[..12].to_owned()),
            Ok(None) => ("-".to_owned(), "no build has come to its end".to_owned()),
            Err(_) => ("-".to_owned(), "damaged; build it again".to_owned()),
        };
        let place = if recipe.place.is_empty() { "-" } else { &recipe.place };
        table.row([recipe.name.clone(), place.to_owned(), points, report, recipe.file.clone()]);
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

fn described(recipe: &KnownRecipe, build: &Result<Option<LatestBuild>>) -> Value {
    let KnownRecipe { name, place, file } = recipe;
    let mut value = json!({ "name": name, "place": place, "file": file });
    match build {
        Ok(Some(b)) => {
            value["points"] = b.report.points.len().into();
            value["steps"] = b.report.steps.into();
            value["report"] = b.digest.to_string().into();
            value["built_unix_ms"] = b.built_unix_ms.into();
        }
        Ok(None) => {}
        Err(e) => value["error"] = e.to_string().into(),
    }
    value
}
