//! `astra-store gc`.

use std::num::NonZeroUsize;
use std::time::Duration;

use artifact_store::{Amount, Because, Compaction, Content, Found, GcPlan, GcPolicy, GcReport, Store};
use clap::Args;
use serde_json::{Value, json};

use crate::error::Result;
use crate::report::format_bytes;
use crate::units::{NotAQuantity, parse_size, parse_span};

use super::ui::Ui;
use super::{Global, locate};

/// Drop what no recipe needs.
///
/// Kept is what running builds rely on, what is pinned, what the latest build of every recipe needs, and what was
/// written within the grace window. Builds may go on meanwhile.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store gc --dry-run                      # what would be dropped
  astra-store gc --grace 0                      # also what was written lately
  astra-store gc --keep-last 3 --older-than 90d # three builds per recipe, and no recipe unused for 90 days
  astra-store gc --max-size '20 GiB'            # the least recently used recipes go first
  astra-store gc --why 3f2a91c0                 # what keeps this blob or action")]
pub(super) struct GcArgs {
    /// Print what would be dropped, and drop nothing.
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Keep what was written within this time, needed or not (s, min, h, d, w).
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = span)]
    grace: Duration,
    /// How many of its latest builds each recipe keeps.
    #[arg(long, value_name = "N", default_value = "1")]
    keep_last: NonZeroUsize,
    /// Give up recipes that have not been used for so long (s, min, h, d, w).
    #[arg(long, value_name = "TIME", value_parser = span)]
    older_than: Option<Duration>,
    /// Give up the least recently used recipes until what is kept takes no more (stored bytes, "20 GiB").
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
    /// Say what keeps a blob or action, by a unique beginning of its digest, and drop nothing.
    #[arg(long, value_name = "DIGEST", conflicts_with = "dry_run")]
    why: Option<String>,
}

fn span(text: &str) -> Result<Duration, String> {
    let span = parse_span(text).map_err(in_words)?;
    // Who means days gives up everything when seconds are read.
    match text.trim().ends_with(|c: char| c.is_ascii_alphabetic()) || span.is_zero() {
        true => Ok(span),
        false => {
            Err(format!("`{text}` has no unit, expected one of s, min, h, d, w, as in `{}d`", text.trim()))
        }
    }
}

fn size(text: &str) -> Result<u64, String> {
    parse_size(text).map(|bytes| bytes.0).map_err(in_words)
}

fn in_words(e: NotAQuantity) -> String {
    e.hint.map_or(e.message.clone(), |hint| format!("{}; {hint}", e.message))
}

pub(super) fn run(ui: &Ui, global: &Global, args: &GcArgs) -> Result<()> {
    let store = locate::open_existing(ui, global)?;
    let policy = GcPolicy {
        grace: args.grace,
        keep_last: args.keep_last,
        older_than: args.older_than,
        max_bytes: args.max_size,
    };
    let plan = store.plan_collection(&policy)?;
    if let Some(beginning) = &args.why {
        return why(ui, &plan, &locate::find(&store, beginning)?);
    }
    for part in &plan.unreadable {
        ui.warn(format!("{part}, and nothing is dropped before: {}", part.remedy()));
    }
    if let Some(over) = plan.over_max {
        ui.warn(format!(
            "what running builds, pins, the grace window and the recipe used last keep is {} more than --max-size",
            format_bytes(over)
        ));
    }
    let mut summary = Summary::of(&plan, args.dry_run);
    if !args.dry_run {
        let report = store.collect(plan)?;
        summary.dropped = report.removed;
        summary.compaction = compact(ui, global, store, &report)?;
    }
    if ui.json() { ui.json_line(&summary.json()) } else { summary.print(ui) }
}

/// Rewrites the file when enough of it has become free; says so when somebody prevents it.
fn compact(ui: &Ui, global: &Global, store: Store, report: &GcReport) -> Result<Option<Compaction>> {
    if !report.is_worth_compacting(store.stats()?.file_bytes) {
        return Ok(None);
    }
    let directory = store.directory().to_owned();
    drop(store);
    let compaction = Store::compact(&directory, &locate::options(ui, global))?;
    if let Compaction::InUse(holder) = &compaction {
        let who = holder.as_deref().unwrap_or("somebody");
        ui.warn(format!(
            "the store's file keeps its size, because {who} has the store open; the next gc that frees as much tries again"
        ));
    }
    Ok(Some(compaction))
}

fn why(ui: &Ui, plan: &GcPlan, what: &Found) -> Result<()> {
    let why = plan.why(what)?;
    if ui.json() {
        let path = |found: &Found| match found {
            Found::Blob(digest) => json!({ "blob": digest.to_string() }),
            Found::Action(key) => json!({ "action": key.to_string() }),
        };
        let why = why.map(|why| {
            json!({
                "keeper": why.keeper.to_string(),
                "path": why.path.iter().map(path).collect::<Vec<Value>>(),
            })
        });
        return ui.json_line(&json!({ "kept_by": why }));
    }
    ui.data(|out| match why {
        None => writeln!(out, "nothing keeps {what}"),
        Some(why) => {
            writeln!(out, "{what} is kept by {}", why.keeper)?;
            why.path.iter().try_for_each(|found| writeln!(out, "  needs {found}"))
        }
    })
}

/// What is printed of a collection, planned or done.
struct Summary {
    dry_run: bool,
    live: Content,
    dropped: Content,
    kept: [(&'static str, Content); 4],
    given_up: Vec<(String, usize, &'static str)>,
    roots: u64,
    missing: u64,
    unreadable: Vec<String>,
    over_max: Option<u64>,
    compaction: Option<Compaction>,
}

impl Summary {
    fn of(plan: &GcPlan, dry_run: bool) -> Self {
        let kept = &plan.kept;
        let because = |because| match because {
            Because::Superseded => "superseded",
            Because::Unused => "unused",
            Because::TooLarge => "too large",
        };
        let given_up =
            plan.given_up.iter().map(|g| (g.version.name.clone(), g.version.back, because(g.because)));
        Self {
            dry_run,
            live: plan.live,
            dropped: plan.dead,
            kept: [
                ("running builds", kept.leases),
                ("pins", kept.pins),
                ("roots", kept.roots),
                ("the grace window", kept.grace),
            ],
            given_up: given_up.collect(),
            // A root that is given up keeps nothing any more; what it was before is none of its own.
            roots: plan.roots
                - plan.given_up.iter().filter(|given_up| given_up.version.back == 0).count() as u64,
            missing: plan.missing,
            unreadable: plan.unreadable.iter().map(ToString::to_string).collect(),
            over_max: plan.over_max,
            compaction: None,
        }
    }

    fn json(&self) -> Value {
        let amount = |a: Amount| json!({ "count": a.count, "bytes": a.bytes });
        let content = |c: Content| json!({ "blobs": amount(c.blobs), "actions": amount(c.actions) });
        let [leases, pins, roots, grace] = self.kept.map(|(_, kept)| content(kept));
        let given_up = self
            .given_up
            .iter()
            .map(|(root, back, because)| json!({ "root": root, "back": back, "because": because }));
        let compaction = self.compaction.as_ref().map(|compaction| match compaction {
            Compaction::Done { before, after } => json!({ "before_bytes": before, "after_bytes": after }),
            Compaction::InUse(holder) => json!({ "prevented_by": holder }),
        });
        json!({
            "dry_run": self.dry_run,
            "live": content(self.live),
            "dead": content(self.dropped),
            "kept": { "leases": leases, "pins": pins, "roots": roots, "grace": grace },
            "given_up": given_up.collect::<Vec<Value>>(),
            "broken": self.missing,
            "unreadable": self.unreadable,
            "over_max_bytes": self.over_max,
            "compaction": compaction,
        })
    }

    fn print(&self, ui: &Ui) -> Result<()> {
        let text = |content: Content| {
            let bytes = format_bytes(content.bytes());
            format!("{} blobs and {} records ({bytes})", content.blobs.count, content.actions.count)
        };
        let (drop, give_up) =
            if self.dry_run { ("would drop", "would give up") } else { ("dropped", "gave up") };
        ui.data(|out| {
            writeln!(out, "{drop} {}", text(self.dropped))?;
            for (root, back, because) in &self.given_up {
                let version = if *back == 0 { String::new() } else { format!(", {back} before the latest") };
                writeln!(out, "{give_up} {root}{version}: {because}")?;
            }
            writeln!(out, "kept {} for {} roots", text(self.live), self.roots)?;
            for (keeper, content) in self.kept {
                if content != Content::default() {
                    writeln!(out, "  {} for {keeper}", text(content))?;
                }
            }
            if let Some(Compaction::Done { before, after }) = self.compaction {
                let [before, after] = [before, after].map(format_bytes);
                writeln!(out, "the store's file went from {before} to {after}")?;
            }
            Ok(())
        })
    }
}
