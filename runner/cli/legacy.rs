//! What `import --cache-json` and `show --legacy` say of the `cache.json` of DeepFlow's library.

use std::path::Path;

use artifact_store::Store;
use astra_engine::{Dialect, NetworkModel};
use serde_json::{Value, json};

use crate::astrasim::SystemOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::legacy::{self, Comparison, LegacyCache, LegacyEntry};
use crate::report::{Align, Table, format_bytes, format_nanos};
use crate::sim::SimSettings;

use super::ui::Ui;
use super::{Global, locate};

/// How much of a key a table shows.
const SHOWN_DIGITS: usize = 12;

/// Imports a file, or with a dry run only reads it.
pub(super) fn import(ui: &Ui, global: &Global, file: &Path, dry_run: bool) -> Result<()> {
    // Before a store is made for nothing.
    let read = legacy::read(file)?;
    if !dry_run {
        legacy::keep(&locate::open(ui, global)?, &read)?;
    }
    let cache = read.cache;
    for (key, why) in &cache.left_out {
        ui.warn(format!("entry {key} cannot be compared: {why}"));
    }
    if ui.json() {
        return ui.json_line(&json!({
            "file": cache.file.display().to_string(),
            "digest": cache.digest.to_string(),
            "dry_run": dry_run,
            "entries": cache.entries.len(),
            "left_out": cache.left_out.iter().map(|(key, why)| json!({ "key": key, "why": why })).collect::<Vec<_>>(),
        }));
    }
    let entries = if cache.entries.len() == 1 {
        "1 entry".to_owned()
    } else {
        format!("{} entries", cache.entries.len())
    };
    ui.say(if dry_run {
        format!("would keep {entries} as unverified history; nothing was changed")
    } else {
        format!("kept {entries} as unverified history; `astra-store show --legacy` compares them with a run of their files")
    });
    Ok(())
}

/// Compares everything that was imported, by the rules of a dialect.
pub(super) fn show(ui: &Ui, store: &Store, dialect: Dialect) -> Result<()> {
    let settings = SimSettings {
        options: SystemOptions::default(),
        network_model: NetworkModel::CongestionAware,
        dialect,
    };
    let caches = legacy::imported(store)?;
    if caches.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "no cache.json was imported into this store")
            .hint("`astra-store import --cache-json FILE` does"));
    }
    let _session = store.session()?;
    let mut shown = Vec::new();
    for cache in &caches {
        let mut table = table();
        let mut entries = Vec::new();
        for entry in &cache.entries {
            let comparison = cache.compare(entry, store, settings)?;
            if ui.json() {
                entries.push(entry_json(entry, &comparison));
            } else {
                table.row(row(entry, &comparison));
            }
        }
        if ui.json() {
            shown.push(cache_json(cache, entries));
            continue;
        }
        ui.data(|out| {
            writeln!(out, "{} (now: dialect {dialect})", cache.file.display())?;
            table.write(out)
        })?;
        if !cache.left_out.is_empty() {
            ui.say(format!("{} more without times that could be compared", cache.left_out.len()));
        }
    }
    if ui.json() { ui.json_line(&json!({ "dialect": dialect.as_str(), "caches": shown })) } else { Ok(()) }
}

fn table() -> Table {
    Table::new([
        ("key", Align::Left),
        ("what", Align::Left),
        ("ranks", Align::Right),
        ("then", Align::Right),
        ("now", Align::Right),
        ("", Align::Left),
    ])
}

fn row(entry: &LegacyEntry, comparison: &Comparison) -> [String; 6] {
    let then = entry.longest_ns();
    let longest = |now: &[u64]| now.iter().copied().max().unwrap_or_default();
    let (now, verdict) = match comparison {
        Comparison::Same => (format_nanos(then), "same".to_owned()),
        Comparison::SameInAnotherOrder { now_ns } => {
            (format_nanos(longest(now_ns)), "same, ranks in another order".to_owned())
        }
        Comparison::Differs { now_ns } => {
            let now = longest(now_ns);
            let percent = (then as f64 / now as f64 - 1.0) * 100.0;
            (format_nanos(now), format!("was {percent:+.2} % off"))
        }
        Comparison::Unknown { why } => ("-".to_owned(), why.clone()),
    };
    let key = entry.key.chars().take(SHOWN_DIGITS).collect();
    [key, what(entry), entry.finish_ns.len().to_string(), format_nanos(then), now, verdict]
}

fn what(entry: &LegacyEntry) -> String {
    let comm = entry.comm.as_deref().unwrap_or("?");
    match entry.size_bytes {
        Some(size) if size > 0 => format!("{comm} {}", format_bytes(size)),
        _ => comm.to_owned(),
    }
}

fn entry_json(entry: &LegacyEntry, comparison: &Comparison) -> Value {
    let (verdict, now_ns, why) = match comparison {
        Comparison::Same => ("same", Some(&entry.finish_ns), None),
        Comparison::SameInAnotherOrder { now_ns } => ("same_in_another_order", Some(now_ns), None),
        Comparison::Differs { now_ns } => ("differs", Some(now_ns), None),
        Comparison::Unknown { why } => ("unknown", None, Some(why)),
    };
    json!({
        "key": entry.key,
        "comm": entry.comm,
        "size_bytes": entry.size_bytes,
        "then_ns": entry.finish_ns,
        "now_ns": now_ns,
        "verdict": verdict,
        "why": why,
    })
}

fn cache_json(cache: &LegacyCache, entries: Vec<Value>) -> Value {
    json!({
        "file": cache.file.display().to_string(),
        "digest": cache.digest.to_string(),
        "entries": entries,
        "left_out": cache.left_out.len(),
    })
}
