//! `astra-store gc`.

use clap::Args;
use serde_json::json;

use artifact_store::{Amount, GcMode};

use crate::error::Result;
use crate::report::format_bytes;

use super::ui::Ui;
use super::{Global, locate};

/// Drop what no recipe's latest build needs.
///
/// Kept is everything the latest build of every recipe needs. Waits for running builds to end.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  astra-store gc --dry-run   # what would be dropped\n  astra-store gc")]
pub(super) struct GcArgs {
    /// Print what would be dropped, and drop nothing.
    #[arg(long, short = 'n')]
    dry_run: bool,
}

pub(super) fn run(ui: &Ui, global: &Global, args: &GcArgs) -> Result<()> {
    let store = locate::open_existing(ui, global)?;
    let mode = if args.dry_run { GcMode::Plan } else { GcMode::Execute };
    let report = store.gc(mode)?;
    for part in &report.unreadable {
        ui.warn(format!(
            "{part}: nothing is dropped before what `{}` stands for has been built again",
            part.root()
        ));
    }
    let amount = |a: Amount| json!({ "count": a.count, "bytes": a.bytes });
    if ui.json() {
        return ui.json_line(&json!({
            "dry_run": !report.executed,
            "live": { "blobs": amount(report.live_blobs), "actions": amount(report.live_actions) },
            "dead": { "blobs": amount(report.dead_blobs_amount), "actions": amount(report.dead_actions_amount) },
            "broken": report.broken,
            "unreadable": report.unreadable.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }));
    }
    let text = |blobs: Amount, actions: Amount| {
        let bytes = format_bytes(blobs.bytes + actions.bytes);
        format!("{} blobs and {} records ({bytes})", blobs.count, actions.count)
    };
    let verb = if report.executed { "dropped" } else { "would drop" };
    ui.data(|out| {
        writeln!(out, "{verb} {}", text(report.dead_blobs_amount, report.dead_actions_amount))?;
        writeln!(out, "kept {}", text(report.live_blobs, report.live_actions))
    })
}
