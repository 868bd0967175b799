//! `astra-store gc`.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use artifact_store::{Amount, Content, GcPolicy};

use crate::error::Result;
use crate::report::format_bytes;

use super::ui::Ui;
use super::{Global, locate};

/// Drop what no recipe's latest build needs.
///
/// Kept is everything the latest build of every recipe needs, and what running builds rely on.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  astra-store gc --dry-run   # what would be dropped\n  astra-store gc")]
pub(super) struct GcArgs {
    /// Print what would be dropped, and drop nothing.
    #[arg(long, short = 'n')]
    dry_run: bool,
}

/// What nothing needs goes, however young it is: builds under way hold leases.
const POLICY: GcPolicy =
    GcPolicy { grace: Duration::ZERO, keep_last: NonZeroUsize::MIN, older_than: None, max_bytes: None };

pub(super) fn run(ui: &Ui, global: &Global, args: &GcArgs) -> Result<()> {
    let store = locate::open_existing(ui, global)?;
    let plan = store.plan_collection(&POLICY)?;
    for part in &plan.unreadable {
        ui.warn(format!(
            "{part}: nothing is dropped before what `{}` stands for has been built again",
            part.root()
        ));
    }
    let (live, missing) = (plan.live, plan.missing);
    let unreadable: Vec<String> = plan.unreadable.iter().map(ToString::to_string).collect();
    let dead = if args.dry_run { plan.dead } else { store.collect(plan)?.removed };
    let amount = |a: Amount| json!({ "count": a.count, "bytes": a.bytes });
    let content = |c: Content| json!({ "blobs": amount(c.blobs), "actions": amount(c.actions) });
    if ui.json() {
        return ui.json_line(&json!({
            "dry_run": args.dry_run,
            "live": content(live),
            "dead": content(dead),
            "broken": missing,
            "unreadable": unreadable,
        }));
    }
    let text = |content: Content| {
        let bytes = format_bytes(content.bytes());
        format!("{} blobs and {} records ({bytes})", content.blobs.count, content.actions.count)
    };
    let verb = if args.dry_run { "would drop" } else { "dropped" };
    ui.data(|out| {
        writeln!(out, "{verb} {}", text(dead))?;
        writeln!(out, "kept {}", text(live))
    })
}
