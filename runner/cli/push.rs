//! `astra-store push`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use artifact_store::remote::{DryRun, MemoryRemote, PushOptions, Remote, Selection, push};
use artifact_store::{Digest, Store};
use clap::Args;

use crate::error::{Error, ErrorKind, Result};
use crate::exec::KnownRecipe;

use super::interrupt::leave_on_signal;
use super::selected::selected;
use super::transfer::{
    Bar, GOES_ON, Transfer, create_remote, failed, is_missing, open_remote, require_place,
};
use super::ui::Ui;
use super::{Global, locate};

/// Bring results to a directory that others share.
///
/// Only what is not there moves; what was pushed is never changed. A push that was interrupted goes on where it
/// stopped, and many may push to one directory at a time.
#[derive(Debug, Args)]
#[command(
    override_usage = "astra-store push [OPTIONS] [RECIPE|DIGEST]... <DEST>",
    after_help = "\
Examples:
  astra-store push /mnt/lab/results                  # everything
  astra-store push h100-allreduce /mnt/lab/results   # what one recipe's builds need
  astra-store push recipe.json /mnt/lab/results -n   # how much that would be
  astra-store build recipe.json --push /mnt/lab/results

The exit code is 1 when something was left out or is another result there; the rest is pushed all the same."
)]
pub(super) struct PushArgs {
    /// Recipes by name or file, or unique beginnings of digests; everything if there are none. Last the directory,
    /// which is made if it is not there.
    #[arg(required = true, value_name = "RECIPE|DIGEST|DEST")]
    what: Vec<String>,
    /// Say what would be pushed, and push nothing.
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Look for every blob there instead of relying on the entries: brings back what was lost.
    #[arg(long)]
    recheck: bool,
    /// Read every blob there, too, and replace what is damaged.
    #[arg(long)]
    verify: bool,
}

pub(super) fn run(ui: &Ui, global: &Global, args: &PushArgs) -> Result<()> {
    let (dest, what) = args.what.split_last().map_or(("", &[][..]), |(dest, what)| (dest.as_str(), what));
    let dest = PathBuf::from(dest);
    require_place(&dest)?;
    let store = locate::open_existing(ui, global)?;
    if what.is_empty() && is_missing(&dest) {
        refuse_subject(&store, &args.what[0])?;
    }
    // Nothing is to go between the choice and the push.
    let _session = store.session()?;
    let selection = selected(&store, what)?;
    let remote = destination(&dest, args.dry_run)?;
    leave_on_signal(*ui, None, GOES_ON)?;
    let options = PushOptions { recheck: args.recheck, verify: args.verify };
    let (mut transfer, mended) = push_to(ui, &store, &selection, remote.as_ref(), &options, &dest)?;
    transfer.dry_run = args.dry_run;
    let is = if args.dry_run { "would be" } else { "is" };
    for digest in &mended {
        ui.warn(format!("blob {digest} is damaged in {}; it {is} replaced", dest.display()));
    }
    let mended: Vec<String> = mended.iter().map(Digest::to_string).collect();
    transfer.tell(ui, [("mended".to_owned(), mended.into())].into_iter().collect())?;
    transfer.verdict()
}

/// Refuses to make a remote of a name that is rather what to push.
fn refuse_subject(store: &Store, name: &str) -> Result<()> {
    let is_file = Path::new(name).extension().is_some_and(|extension| extension == "json");
    if !is_file && KnownRecipe::find(store, name)?.is_none() {
        return Ok(());
    }
    let looks_like = if is_file { "looks like the file of a recipe" } else { "is a recipe of this store" };
    let message = format!("`{name}` {looks_like}, and there is no remote of that name");
    Err(Error::new(ErrorKind::Usage, message).hint(format!(
        "say where to push it: `astra-store push {name} DEST`; if it is to be a remote, make the directory first"
    )))
}

/// The remote; where nothing is to be written, one that is only asked.
fn destination(dest: &Path, dry_run: bool) -> Result<Box<dyn Remote>> {
    Ok(match (dry_run, is_missing(dest)) {
        (false, _) => Box::new(create_remote(dest)?),
        (true, false) => Box::new(DryRun::new(open_remote(dest)?)),
        (true, true) => Box::new(DryRun::new(MemoryRemote::new())),
    })
}

/// Pushes, with progress. Gives the blobs, too, that were damaged there and are replaced.
pub(super) fn push_to(
    ui: &Ui,
    store: &Store,
    selection: &Selection,
    remote: &dyn Remote,
    options: &PushOptions,
    dest: &Path,
) -> Result<(Transfer, Vec<Digest>)> {
    let started = Instant::now();
    let other = dest.display().to_string();
    let bar = Bar::new(ui);
    let report = push(store, selection, remote, options, &mut |progress| bar.show(progress))
        .map_err(|e| failed(e, store, &other))?;
    drop(bar);
    let transfer = Transfer {
        done: ("pushed", "to"),
        other,
        actions: report.actions,
        blobs: report.blobs,
        bytes: report.bytes,
        there: report.actions_there,
        disagreements: report.disagreements,
        left_out: report.left_out,
        elapsed: started.elapsed(),
        dry_run: false,
    };
    Ok((transfer, report.mended))
}
