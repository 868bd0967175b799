//! `astra-store export`.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use artifact_store::bundle::{ExportOptions, ExportReport, contents, export};
use artifact_store::{Closure, Store};
use clap::Args;
use serde_json::{Map, json};

use crate::error::{Error, ErrorKind, Result};
use crate::files::{self, NewFile};

use super::interrupt::leave_on_signal;
use super::selected::selected;
use super::transfer::{Bar, Transfer, failed};
use super::ui::{Ui, counted};
use super::{Global, locate};

/// What the file of an inventory begins with.
const INVENTORY: &[u8; 4] = b"clos";

/// What a bundle begins with.
const BUNDLE: &[u8; 4] = b"bndl";

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
    /// Leave out what the other side has: a bundle that it has imported, or its inventory; `-` is stdin.
    #[arg(long, value_name = "FILE")]
    have: Option<PathBuf>,
    /// Leave out who ran what, when and for how long.
    #[arg(long)]
    no_provenance: bool,
    /// Leave out the signatures of records.
    #[arg(long)]
    no_signatures: bool,
    /// Write a list of what this store has, for `--have` on another machine, and no bundle; `-` is stdout.
    #[arg(long, value_name = "FILE")]
    inventory: Option<PathBuf>,
    /// Say what would be written, and write nothing.
    #[arg(long, short = 'n')]
    dry_run: bool,
}

pub(super) fn run(ui: &Ui, global: &Global, args: &ExportArgs) -> Result<()> {
    let store = locate::open_existing(ui, global)?;
    if let Some(file) = &args.inventory {
        return inventory(ui, &store, file, args.dry_run);
    }
    let file = args.file.as_deref().unwrap_or(Path::new("-"));
    refuse_others(file, BUNDLE, "a bundle")?;
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
        there: report.actions_there,
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

/// Writes the list of what the store has.
fn inventory(ui: &Ui, store: &Store, file: &Path, dry_run: bool) -> Result<()> {
    refuse_others(file, INVENTORY, "an inventory")?;
    let list = store.inventory()?;
    let (actions, blobs) = (list.actions().len(), list.blobs().len());
    match (dry_run, is_stdout(file)) {
        (true, _) => {}
        (false, true) => ui.data(|out| out.write_all(&list.encode()))?,
        (false, false) => files::write(file, &list.encode())?,
    }
    let file_name = file.display().to_string();
    if ui.json() && (dry_run || !is_stdout(file)) {
        let value = json!({ "with": file_name, "actions": actions, "blobs": blobs, "dry_run": dry_run });
        return ui.json_line(&value);
    }
    let would_be = if dry_run { " would be" } else { "" };
    ui.say(format!("{} and {}{would_be} in {file_name}", counted(actions, "record"), counted(blobs, "blob")));
    Ok(())
}

/// Refuses to replace a file of another kind: most likely that is a recipe, and where to write was forgotten.
fn refuse_others(file: &Path, begins_with: &[u8; 4], what: &str) -> Result<()> {
    let is_file = std::fs::metadata(file).is_ok_and(|there| there.is_file() && there.len() > 0);
    if is_stdout(file) || !is_file || beginning(&mut files::open(file)?, file)? == begins_with {
        return Ok(());
    }
    let message = format!("there is a file already, which is not {what}");
    Err(Error::new(ErrorKind::Usage, message)
        .in_file(file.display())
        .hint("the file to write comes first, then what is to go into it; or remove this one"))
}

/// The bytes that say what a file is.
fn beginning(file: &mut dyn Read, name: &Path) -> Result<Vec<u8>> {
    let mut first = Vec::new();
    let read = file.take(BUNDLE.len() as u64).read_to_end(&mut first);
    read.map_err(|e| unreadable(name, &e))?;
    Ok(first)
}

fn unreadable(name: &Path, e: &io::Error) -> Error {
    Error::input(format!("cannot be read: {e}")).in_file(name.display())
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
    let mut file: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(files::open(path)?),
    };
    let first = beginning(&mut file, path)?;
    // What was read of a pipe is not there a second time.
    let mut whole = first.as_slice().chain(file);
    if first == INVENTORY {
        let mut list = Vec::new();
        whole.read_to_end(&mut list).map_err(|e| unreadable(path, &e))?;
        return Closure::decode(&list).map_err(wrong);
    }
    contents(io::BufReader::new(whole)).map_err(wrong)
}
