//! `astra-store export`.

use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use artifact_store::bundle::{ExportOptions, ExportReport, contents, export};
use artifact_store::{Closure, Store};
use clap::Args;
use serde_json::Map;

use crate::error::{Error, Result};
use crate::files::{self, NewFile};

use super::interrupt::leave_on_signal;
use super::selected::selected;
use super::transfer::{Bar, Transfer, failed};
use super::ui::Ui;
use super::{Global, locate};

/// What the file of an inventory begins with.
const INVENTORY: &[u8; 4] = b"clos";

/// Write results to one file that `import` reads elsewhere.
///
/// The file holds everything that is behind the results, checks itself, and says nothing of this machine but what
/// provenance and signatures say. Equal results without those give equal bytes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store export results.bundle                        # everything
  astra-store export paper.bundle fig3 --no-provenance     # one recipe, without who ran it and when
  astra-store export more.bundle --have results.bundle     # only what the first one lacks
  astra-store export --inventory here.list                 # for `--have` on another machine
  astra-store export results.bundle -n                     # how much that would be

The exit code is 1 when something is not whole here and was left out.")]
pub(super) struct ExportArgs {
    /// The bundle to write; `-` is stdout.
    #[arg(required_unless_present = "inventory", conflicts_with = "inventory")]
    file: Option<PathBuf>,
    /// Recipes by name or file, or unique beginnings of digests; everything if there are none.
    #[arg(value_name = "RECIPE|DIGEST")]
    what: Vec<String>,
    /// Leave out what the other side has: a bundle that it has imported, or its inventory.
    #[arg(long, value_name = "FILE")]
    have: Option<PathBuf>,
    /// Leave out who ran what, when and for how long.
    #[arg(long)]
    no_provenance: bool,
    /// Leave out the signatures of records.
    #[arg(long)]
    no_signatures: bool,
    /// Write a list of what this store has, for `--have` on another machine, and no bundle.
    #[arg(long, value_name = "FILE")]
    inventory: Option<PathBuf>,
    /// Say what would be written, and write nothing.
    #[arg(long, short = 'n')]
    dry_run: bool,
}

pub(super) fn run(ui: &Ui, global: &Global, args: &ExportArgs) -> Result<()> {
    let store = locate::open_existing(ui, global)?;
    if let Some(file) = &args.inventory {
        let list = store.inventory()?;
        files::write(file, &list.encode())?;
        ui.say(format!(
            "{} records and {} blobs in {}",
            list.actions().len(),
            list.blobs().len(),
            file.display()
        ));
        return Ok(());
    }
    let file = args.file.as_deref().unwrap_or(Path::new("-"));
    let started = Instant::now();
    let _session = store.session()?;
    let selection = selected(&store, &args.what)?;
    let have = args.have.as_deref().map(read_have).transpose()?;
    let options = ExportOptions {
        have: have.as_ref(),
        provenance: !args.no_provenance,
        signatures: !args.no_signatures,
    };
    let report = write(ui, file, args.dry_run, &store, &mut |out| {
        let bar = Bar::new(ui);
        export(&store, &selection, out, &options, &mut |progress| bar.show(progress))
    })?;
    let transfer = Transfer {
        done: ("exported", "to"),
        other: file.display().to_string(),
        actions: report.actions,
        blobs: report.blobs,
        bytes: report.bytes,
        left_out: report.left_out,
        elapsed: started.elapsed(),
        dry_run: args.dry_run,
        ..Transfer::default()
    };
    if is_stdout(file) && !args.dry_run {
        transfer.tell_on_stderr(ui);
    } else {
        transfer.tell(ui, Map::new())?;
    }
    transfer.verdict()
}

fn is_stdout(file: &Path) -> bool {
    file == Path::new("-")
}

/// Writes the bundle where it is to go: a file gets its name when it is whole.
fn write(
    ui: &Ui,
    file: &Path,
    dry_run: bool,
    store: &Store,
    export: &mut dyn FnMut(&mut dyn Write) -> artifact_store::Result<ExportReport>,
) -> Result<ExportReport> {
    let named = file.display().to_string();
    let failed = |e| failed(e, store, &named);
    if dry_run {
        return export(&mut std::io::sink()).map_err(failed);
    }
    if is_stdout(file) {
        leave_on_signal(*ui, None, "what was written is no whole bundle, and is refused by `import`")?;
        return export(&mut std::io::stdout().lock()).map_err(failed);
    }
    let mut out = NewFile::create(file)?;
    leave_on_signal(*ui, out.unfinished(), "no bundle was written")?;
    let report = export(&mut out).map_err(failed)?;
    out.persist()?;
    Ok(report)
}

/// What the other side has, from a bundle or an inventory.
fn read_have(path: &Path) -> Result<Closure> {
    let wrong = |e: artifact_store::Error| Error::outside_store(&e).in_file(path.display()).key("--have");
    let unreadable = |e: std::io::Error| Error::input(format!("cannot be read: {e}")).in_file(path.display());
    let mut file = files::open(path)?;
    let mut first = Vec::new();
    (&mut file).take(INVENTORY.len() as u64).read_to_end(&mut first).map_err(unreadable)?;
    if first == INVENTORY {
        return Closure::decode(&files::read(path)?).map_err(wrong);
    }
    file.rewind().map_err(unreadable)?;
    contents(std::io::BufReader::new(file)).map_err(wrong)
}
