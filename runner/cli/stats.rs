//! `astra-store stats`.

use artifact_store::GcPolicy;
use clap::Args;
use serde_json::json;

use crate::error::Result;
use crate::report::{Align, Table, format_bytes};

use super::ui::Ui;
use super::{Global, locate};

/// Say how much the store holds, what sharing and compression save, and how often work was known already.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  astra-store stats\n  astra-store stats --json | jq .hit_rate")]
pub(super) struct StatsArgs {}

pub(super) fn run(ui: &Ui, global: &Global, _args: &StatsArgs) -> Result<()> {
    let store = locate::open_existing(ui, global)?;
    let stats = store.stats()?;
    let usage = store.usage()?;
    let uses = store.uses();
    let live = store.plan_collection(&GcPolicy::default())?.live.bytes();
    let dedup = ratio(usage.referenced_bytes, usage.distinct_bytes);
    let compression = ratio(stats.logical_bytes, stats.stored_bytes);
    let hit_rate = ratio(uses.hits, uses.hits + uses.runs);
    if ui.json() {
        return ui.json_line(&json!({
            "blobs": stats.blobs,
            "actions": stats.actions,
            "roots": stats.roots,
            "referenced_bytes": usage.referenced_bytes,
            "distinct_bytes": usage.distinct_bytes,
            "logical_bytes": stats.logical_bytes,
            "stored_bytes": stats.stored_bytes,
            "live_bytes": live,
            "file_bytes": stats.file_bytes,
            "free_bytes": usage.free_bytes,
            "dedup_ratio": dedup,
            "compression_ratio": compression,
            "hits": uses.hits,
            "runs": uses.runs,
            "hit_rate": hit_rate,
        }));
    }
    let times =
        |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2} times"));
    let mut table = Table::new([("what", Align::Left), ("how much", Align::Right), ("", Align::Left)]);
    let mut row = |what: &str, value: String, note: String| table.row([what.to_owned(), value, note]);
    row("blobs", stats.blobs.to_string(), String::new());
    row("records", stats.actions.to_string(), String::new());
    row("roots", stats.roots.to_string(), String::new());
    row("outputs", format_bytes(usage.referenced_bytes), "if each were a file of its own".to_owned());
    row("distinct", format_bytes(usage.distinct_bytes), format!("shared {}", times(dedup)));
    row("content", format_bytes(stats.logical_bytes), "with sources and lists".to_owned());
    row("stored", format_bytes(stats.stored_bytes), format!("compressed {}", times(compression)));
    row("needed", format_bytes(live), "what `gc` keeps".to_owned());
    row("file", format_bytes(stats.file_bytes), String::new());
    row("free in it", usage.free_bytes.map_or_else(|| "-".to_owned(), format_bytes), String::new());
    let rate = hit_rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
    row("hit rate", rate, format!("{} known, {} run", uses.hits, uses.runs));
    ui.data(|out| table.write(out))
}

/// `None` where there is nothing to divide by.
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
