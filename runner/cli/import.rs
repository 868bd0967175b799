//! `astra-store import`.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use artifact_store::Store;
use artifact_store::bundle::{ImportOptions, import, import_dir};
use artifact_store::remote::PullOptions;
use clap::Args;
use tempfile::TempDir;

use crate::error::Result;
use crate::exec::{Adopted, adopt};
use crate::files;
use crate::steps::plugin_pin_when_received;

use super::interrupt::leave_on_signal;
use super::received::received;
use super::transfer::{Bar, Transfer, failed, trust};
use super::ui::Ui;
use super::{Global, legacy, locate};

/// Take over results from a bundle or from another store's directory.
///
/// Of a bundle everything is checked before any of its records is used. Where two stores disagree about what an action
/// gives, both sides are reported and this store stays as it is. Plugins come as data: they run only when they are allowed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store import results.bundle
  astra-store import results.bundle -n          # what is in it, and whether it is whole
  astra-store import /mnt/usb/.astra-store      # merges a store; roots of the same name stay as they are here
  ssh lab astra-store export - | astra-store import -
  astra-store import --cache-json astra_cache/cache.json

The exit code is 1 when something was left out or is another result here; the rest is imported all the same.
3 is a bundle that is damaged or none.")]
pub(super) struct ImportArgs {
    /// A bundle, `-` for one from stdin, or the directory of a store.
    #[arg(required_unless_present = "cache_json")]
    from: Option<PathBuf>,
    /// Keep a cache.json of DeepFlow's library as unverified history: no build and no simulation uses it, and `show --legacy`
    /// compares it with what a run of its files gives.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "require_signed"])]
    cache_json: Option<PathBuf>,
    /// Use no record that no key of `astra-store trust` has signed.
    #[arg(long)]
    require_signed: bool,
    /// Say what would come, and change nothing. A file is read and checked to its end.
    #[arg(long, short = 'n')]
    dry_run: bool,
}

pub(super) fn run(ui: &Ui, global: &Global, args: &ImportArgs) -> Result<()> {
    if let Some(file) = &args.cache_json {
        return legacy::import(ui, global, file, args.dry_run);
    }
    let from = args.from.as_deref().unwrap_or(Path::new("-"));
    // Before a store is made for nothing.
    let input: Option<Box<dyn Read>> = match () {
        () if from == Path::new("-") => Some(Box::new(std::io::stdin().lock())),
        () if from.is_dir() => None,
        () => Some(Box::new(BufReader::new(files::open(from)?))),
    };
    let (store, temporary) = locate::open_to_receive(ui, global, args.dry_run)?;
    let hint =
        "no record of a bundle is used before all of it has come; of a store's directory what came stays";
    leave_on_signal(*ui, temporary.as_ref().map(TempDir::path), hint)?;
    let trust = trust(&store, args.require_signed)?;
    let started = Instant::now();
    let _session = store.session()?;
    let (mut transfer, adopted) = match input {
        Some(input) => bundle(
            ui,
            &store,
            input,
            ImportOptions { trust, dry_run: args.dry_run, ..ImportOptions::default() },
            from,
        )?,
        None => directory(
            ui,
            &store,
            PullOptions { trust, dry_run: args.dry_run, ..PullOptions::default() },
            from,
        )?,
    };
    transfer.elapsed = started.elapsed();
    transfer.dry_run = args.dry_run;
    received(ui, &transfer, &adopted)
}

const DONE: (&str, &str) = ("imported", "from");

fn bundle(
    ui: &Ui,
    store: &Store,
    input: Box<dyn Read>,
    options: ImportOptions,
    from: &Path,
) -> Result<(Transfer, Adopted)> {
    let other = from.display().to_string();
    let bar = Bar::new(ui);
    let report = import(store, input, &options, &mut |progress| bar.show(progress))
        .map_err(|e| failed(e, store, &other))?;
    let adopted = if options.dry_run { Adopted::default() } else { adopt(store, &report.selection, &other)? };
    // Blobs that were here come along in a bundle, and are not news.
    let is_news = report.actions > 0 || adopted.roots > 0;
    let transfer = Transfer {
        done: DONE,
        other,
        actions: report.actions,
        blobs: if is_news { report.blobs } else { 0 },
        bytes: if is_news { report.bytes } else { 0 },
        there: report.actions_here,
        disagreements: report.disagreements,
        left_out: report.left_out,
        ..Transfer::default()
    };
    Ok((transfer, adopted))
}

fn directory(ui: &Ui, store: &Store, options: PullOptions, from: &Path) -> Result<(Transfer, Adopted)> {
    let other = from.display().to_string();
    let bar = Bar::new(ui);
    let merged =
        import_dir(store, from, &options, &plugin_pin_when_received, &mut |progress| bar.show(progress))
            .map_err(|e| failed(e, store, &other))?;
    drop(bar);
    for name in &merged.roots_kept {
        ui.warn(format!("root {name} is another build there; it stays as it is here"));
    }
    let pulled = merged.pulled;
    let transfer = Transfer {
        done: DONE,
        other,
        actions: pulled.actions,
        blobs: pulled.blobs,
        bytes: pulled.bytes,
        there: pulled.actions_here,
        disagreements: pulled.disagreements,
        left_out: pulled.left_out,
        ..Transfer::default()
    };
    Ok((transfer, Adopted { roots: merged.roots.len() as u64, ..Adopted::default() }))
}
