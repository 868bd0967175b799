//! `astra-store repair`.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use artifact_store::{
    ActionKey, Depth, Finding, Found, GcPolicy, Keeper, Needs, Rebuilt, Repair, Store, Verification,
};
use clap::Args;
use serde_json::{Value, json};

use crate::error::{ErrorKind, Result};
use crate::exec::KnownRecipe;
use crate::steps;

use super::interrupt::stop_on_signal;
use super::ui::{Ui, counted};
use super::verify::finding_json;
use super::{Global, locate};

/// Move aside what is damaged, make again what can be, and say which builds make the rest again.
///
/// Every blob is read. What is not what its name says goes to the directory `quarantine` of the store, from where it
/// may be deleted. What steps gave is made again at once where what they read is there; the rest is missing until the next
/// build that needs it.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  astra-store repair && astra-store build recipe.json

The exit code is that of `verify` for what is left: 2 when builds have to make something again.")]
pub(super) struct RepairArgs {
    /// First copy whatever can be read of the store's file to a new one: for a file whose pages are damaged. Nobody else
    /// may have the store open; the old file goes to `quarantine`, too.
    #[arg(long)]
    rebuild: bool,
}

pub(super) fn run(ui: &Ui, global: &Global, args: &RepairArgs) -> Result<ExitCode> {
    let rebuilt = args.rebuild.then(|| rebuild(ui, global)).transpose()?;
    let store = locate::open_existing(ui, global)?;
    let cancel = stop_on_signal(*ui, "stopping: what is repaired stays repaired")?;
    let found = store.verify(Depth::Full)?.findings;
    // With a damaged record its description goes, so what can be made again is made before, and what that reads before that.
    let (records, others): (Vec<Finding>, Vec<Finding>) =
        found.into_iter().partition(|finding| matches!(finding, Finding::Record(_)));
    let mut repair = store.repair(&others)?;
    let again = make_all_again(ui, &store, &cancel)?;
    let Repair { removed, left, moved_aside } = store.repair(&records)?;
    repair.removed.extend(removed);
    repair.left.extend(left);
    repair.moved_aside.extend(moved_aside);
    let mut after = store.verify(Depth::Quick)?;
    // What only a full look finds.
    let is_page =
        |finding: &&Finding| matches!(finding, Finding::Table(..)) && !after.findings.contains(finding);
    let pages: Vec<Finding> = repair.left.iter().filter(is_page).cloned().collect();
    after.findings.extend(pages);
    let remedies = remedies(&store, &after)?;
    if ui.json() {
        let mut line = described(&repair, &again, &after, &remedies);
        line["rebuilt"] = rebuilt.as_ref().map_or(Value::Null, |rebuilt| {
            let Rebuilt { rows, unreadable, moved_aside } = rebuilt;
            json!({ "rows": rows, "gaps": unreadable, "old_file": moved_aside.display().to_string() })
        });
        ui.json_line(&line)?;
    } else {
        ui.data(|out| {
            for finding in &repair.removed {
                writeln!(out, "removed: {finding}")?;
            }
            for key in &again {
                writeln!(out, "made again: action {key}")?;
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

/// Copies whatever can be read of the store's file to a new one.
fn rebuild(ui: &Ui, global: &Global) -> Result<Rebuilt> {
    let directory = locate::existing_directory(global)?;
    let rebuilt = Store::rebuild(&directory, &locate::options(ui, global))
        .map_err(|e| locate::not_opened(&e, &directory))?;
    let Rebuilt { rows, unreadable, moved_aside } = &rebuilt;
    ui.say(format!(
        "copied {rows} rows to a new file, with {unreadable} gaps; the old one is {}",
        moved_aside.display()
    ));
    Ok(rebuilt)
}

/// Makes again whatever can be, as long as that gives something that was missing; says which.
fn make_all_again(ui: &Ui, store: &Store, cancel: &AtomicBool) -> Result<BTreeSet<ActionKey>> {
    let mut again = BTreeSet::new();
    loop {
        let made = make_again(ui, store, &store.verify(Depth::Quick)?.findings, cancel)?;
        let before = again.len();
        again.extend(made);
        if again.len() == before {
            return Ok(again);
        }
    }
}

/// Makes again what the descriptions of steps suffice for; says which.
fn make_again(
    ui: &Ui,
    store: &Store,
    findings: &[Finding],
    cancel: &AtomicBool,
) -> Result<BTreeSet<ActionKey>> {
    let wanted: BTreeSet<ActionKey> = findings
        .iter()
        .filter_map(|finding| match finding {
            Finding::Record(key) | Finding::Missing(Found::Action(key), _) => Some(*key),
            Finding::Missing(_, Needs::Content(Found::Action(key))) => Some(*key),
            _ => None,
        })
        .collect();
    let mut made = BTreeSet::new();
    for key in wanted {
        match steps::make_again(store, &key, cancel) {
            Ok(true) => drop(made.insert(key)),
            Ok(false) => {}
            Err(e) if e.kind() == ErrorKind::Failed => ui.warn(format!("action {key}: {e}")),
            Err(e) => return Err(e),
        }
    }
    Ok(made)
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
    let is_unreadable = after.findings.iter().any(|finding| matches!(finding, Finding::Table(..)));
    let everything = GcPolicy { keep_last: NonZeroUsize::MAX, ..GcPolicy::default() };
    let unreadable = store.plan_collection(&everything)?.unreadable;
    let (now, before): (Vec<_>, Vec<_>) = unreadable.iter().partition(|part| part.back() == 0);
    roots.extend(now.iter().map(|part| part.root().to_owned()));
    // What a root was before is not built by its recipe as it is now.
    let give_up = before.iter().map(|part| part.back()).min();
    let give_up = give_up.map(|back| format!("astra-store gc --keep-last {back}"));
    let known = KnownRecipe::all(store)?;
    let remedy = |root: &String| match known.iter().find(|recipe| recipe.owns(root)) {
        Some(recipe) if !recipe.file.is_empty() => format!("astra-store build {}", recipe.file),
        Some(recipe) => format!("build the recipe {recipe}"),
        None => format!("set the root {root} again, or `astra-store roots --remove {root}`"),
    };
    let rebuild = is_unreadable.then(|| "astra-store repair --rebuild".to_owned());
    Ok(roots.iter().map(remedy).chain(rebuild).chain(give_up).collect())
}

/// The root that keeps what needs something.
fn root_behind(plan: &artifact_store::GcPlan, needs: &Found) -> Result<Option<String>> {
    Ok(plan.why(needs)?.and_then(|why| match why.keeper {
        Keeper::Root(name) => Some(name),
        Keeper::Pin(name) => Some(format!("pin/{name}")),
        Keeper::Lease(_) | Keeper::Young => None,
    }))
}

fn described(
    repair: &Repair,
    again: &BTreeSet<ActionKey>,
    after: &Verification,
    remedies: &BTreeSet<String>,
) -> Value {
    let list = |findings: &[Finding]| findings.iter().map(finding_json).collect::<Vec<Value>>();
    json!({
        "removed": list(&repair.removed),
        "moved_aside": repair.moved_aside,
        "made_again": again.iter().map(ActionKey::to_string).collect::<Vec<String>>(),
        "left": list(&after.findings),
        "remedies": remedies,
        "code": after.code(),
    })
}
