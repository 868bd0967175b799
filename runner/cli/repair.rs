//! `astra-store repair`.

use std::collections::BTreeSet;
use std::process::ExitCode;

use artifact_store::{Depth, Finding, Found, GcPolicy, Keeper, Needs, Repair, Store, Verification};
use clap::Args;
use serde_json::{Value, json};

use crate::error::Result;
use crate::exec::KnownRecipe;

use super::ui::{Ui, counted};
use super::verify::finding_json;
use super::{Global, locate};

/// Move aside what is damaged, and say which builds make it again.
///
/// Every blob is read. What is not what its name says goes to the directory `quarantine` of the store, from where it
/// may be deleted; from then on it is missing, and the next build that needs it makes it again.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  astra-store repair && astra-store build recipe.json

The exit code is that of `verify` for what is left: 2 when builds have to make something again.")]
pub(super) struct RepairArgs {}

pub(super) fn run(ui: &Ui, global: &Global, _args: &RepairArgs) -> Result<ExitCode> {
    let store = locate::open_existing(ui, global)?;
    let repair = store.repair(&store.verify(Depth::Full)?.findings)?;
    // What was removed is missing now, and may have led to more.
    let after = store.verify(Depth::Quick)?;
    let remedies = remedies(&store, &after)?;
    if ui.json() {
        ui.json_line(&described(&repair, &after, &remedies))?;
    } else {
        ui.data(|out| {
            for finding in &repair.removed {
                writeln!(out, "removed: {finding}")?;
            }
            for finding in &after.findings {
                writeln!(out, "{}: {finding}", finding.trouble().word())?;
            }
            let wrong = counted(after.findings.len(), "finding");
            writeln!(out, "removed {}; {wrong} left", counted(repair.removed.len(), "damaged thing"))
        })?;
        if let Some(directory) = repair.moved_aside.first().and_then(|path| path.parent()) {
            ui.say(format!("what was removed is in {}", directory.display()));
        }
        remedies.iter().for_each(|remedy| ui.say(format!("to make it again: {remedy}")));
    }
    Ok(after.code().into())
}

/// The commands that make again what is missing or cannot be read.
fn remedies(store: &Store, after: &Verification) -> Result<BTreeSet<String>> {
    if after.findings.is_empty() {
        return Ok(BTreeSet::new());
    }
    let plan = store.plan_collection(&GcPolicy::default())?;
    let mut roots = BTreeSet::new();
    for finding in &after.findings {
        match finding {
            Finding::Missing(_, Needs::Root(name)) | Finding::Root(name) => drop(roots.insert(name.clone())),
            Finding::Missing(_, Needs::Content(needs)) => roots.extend(root_behind(&plan, needs)?),
            _ => {}
        }
    }
    roots.extend(plan.unreadable.iter().map(|part| part.root().to_owned()));
    let known = KnownRecipe::all(store)?;
    let remedy = |root: &String| match known.iter().find(|recipe| recipe.owns(root)) {
        Some(recipe) if !recipe.file.is_empty() => format!("astra-store build {}", recipe.file),
        Some(recipe) => format!("build the recipe {recipe}"),
        None => format!("set the root {root} again, or `astra-store roots --remove {root}`"),
    };
    Ok(roots.iter().map(remedy).collect())
}

/// The root that keeps what needs something.
fn root_behind(plan: &artifact_store::GcPlan, needs: &Found) -> Result<Option<String>> {
    Ok(plan.why(needs)?.and_then(|why| match why.keeper {
        Keeper::Root(name) => Some(name),
        Keeper::Pin(name) => Some(format!("pin/{name}")),
        Keeper::Lease(_) | Keeper::Young => None,
    }))
}

fn described(repair: &Repair, after: &Verification, remedies: &BTreeSet<String>) -> Value {
    let list = |findings: &[Finding]| findings.iter().map(finding_json).collect::<Vec<Value>>();
    json!({
        "removed": list(&repair.removed),
        "moved_aside": repair.moved_aside,
        "left": list(&after.findings),
        "remedies": remedies,
        "code": after.code(),
    })
}
