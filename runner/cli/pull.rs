//! `astra-store pull`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use artifact_store::remote::{DirectoryRemote, PullOptions, PullReport, Remote, Selection, pull};
use artifact_store::{ActionKey, Digest, Store};
use clap::Args;
use tempfile::TempDir;

use crate::error::{Error, ErrorKind, Result};
use crate::exec::{Adopted, adopt, build_key};
use crate::recipe::Recipe;
use crate::steps::PluginPath;

use super::build::salted;
use super::interrupt::leave_on_signal;
use super::received::received;
use super::transfer::{Bar, GOES_ON, Transfer, failed, open_remote, trust};
use super::ui::Ui;
use super::{Global, locate};

/// Bring results from a directory that others share.
///
/// Everything is checked as it comes: blobs by their hash, records by the description that their key is made of. Only
/// what is not here moves.
#[derive(Debug, Args)]
#[command(
    override_usage = "astra-store pull [OPTIONS] [RECIPE|DIGEST]... <SRC>",
    after_help = "\
Examples:
  astra-store pull /mnt/lab/results                  # everything
  astra-store pull recipe.json /mnt/lab/results      # the build of this recipe as its files are now
  astra-store pull recipe.json /mnt/lab/results -n   # how much that would be
  astra-store pull DIGEST /mnt/lab/results           # 64 digits of a blob or an action
  astra-store build recipe.json --upstream /mnt/lab/results   # what of it is there, and the rest executed

The exit code is 1 when something was left out or is another result here; the rest is pulled all the same."
)]
pub(super) struct PullArgs {
    /// Files of recipes, or whole digests; everything if there are none. Last the directory.
    #[arg(required = true, value_name = "RECIPE|DIGEST|SRC")]
    what: Vec<String>,
    /// The salt that the builds of these recipes were made with, if it is not in the recipe.
    #[arg(long, value_name = "TEXT")]
    salt: Option<String>,
    /// Use no record that no key of `astra-store trust` has signed.
    #[arg(long)]
    require_signed: bool,
    /// Compare records that are here already, too.
    #[arg(long)]
    compare: bool,
    /// Say what would come, and change nothing. Records and lists are checked; of other blobs it is asked whether they are
    /// there.
    #[arg(long, short = 'n')]
    dry_run: bool,
}

pub(super) fn run(ui: &Ui, global: &Global, args: &PullArgs) -> Result<()> {
    let (source, what) =
        args.what.split_last().map_or(("", &[][..]), |(source, what)| (source.as_str(), what));
    let source = PathBuf::from(source);
    let remote = open_remote(&source)?;
    let known = locate::open_if_there(ui, global)?;
    let selection = wanted(known.as_ref(), &remote, what, args.salt.as_deref(), &source)?;
    drop(known);
    let (store, temporary) = locate::open_to_receive(ui, global, args.dry_run)?;
    leave_on_signal(*ui, temporary.as_ref().map(TempDir::path), GOES_ON)?;
    let options = PullOptions {
        trust: trust(&store, args.require_signed)?,
        compare_all: args.compare,
        dry_run: args.dry_run,
        ..PullOptions::default()
    };
    let started = Instant::now();
    let _session = store.session()?;
    let (report, adopted) = pull_from(ui, &store, &selection, &remote, &options, &source)?;
    let transfer = Transfer {
        done: ("pulled", "from"),
        other: source.display().to_string(),
        actions: report.actions,
        blobs: report.blobs,
        bytes: report.bytes,
        there: report.actions_here,
        disagreements: report.disagreements,
        left_out: report.left_out,
        elapsed: started.elapsed(),
        dry_run: args.dry_run,
    };
    received(ui, &transfer, &adopted)
}

fn pull_from(
    ui: &Ui,
    store: &Store,
    selection: &Selection,
    remote: &DirectoryRemote,
    options: &PullOptions,
    source: &Path,
) -> Result<(PullReport, Adopted)> {
    let other = source.display().to_string();
    let bar = Bar::new(ui);
    let report = pull(store, selection, remote, options, &mut |progress| bar.show(progress))
        .map_err(|e| failed(e, store, &other))?;
    let adopted = if options.dry_run { Adopted::default() } else { adopt(store, selection, &other)? };
    Ok((report, adopted))
}

/// What these names stand for in a remote, which knows digests only.
fn wanted(
    store: Option<&Store>,
    remote: &DirectoryRemote,
    names: &[String],
    salt: Option<&str>,
    source: &Path,
) -> Result<Selection> {
    let outside = |e: artifact_store::Error| Error::outside_store(&e);
    if names.is_empty() {
        let all = remote.list_actions().map_err(outside)?;
        return Ok(Selection::actions(all.unwrap_or_default()));
    }
    let mut selection = Selection::default();
    for name in names {
        if Path::new(name).is_file() {
            let recipe = salted(Recipe::load(Path::new(name))?, salt)?;
            let key = build_key(store, &recipe, &PluginPath::new(&[], &[]))?;
            if !remote.has_actions(&[key]).map_err(outside)?[0] {
                return Err(no_build(name, source));
            }
            selection.actions.push(key);
        } else if let (Ok(key), Ok(digest)) = (name.parse::<ActionKey>(), name.parse::<Digest>()) {
            // One name may stand for both; whichever is there is meant.
            if remote.has_actions(&[key]).map_err(outside)?[0] {
                selection.actions.push(key);
            } else if remote.has_many(&[digest]).map_err(outside)?[0] {
                selection.outputs.extend(Selection::blobs(&[digest]).outputs);
            } else {
                return Err(
                    Error::input(format!("it has no action and no blob {name}")).in_file(source.display())
                );
            }
        } else {
            return Err(no_name(name));
        }
    }
    Ok(selection)
}

fn no_build(name: &str, source: &Path) -> Error {
    Error::input(format!("it has no build of `{name}` as that and the files it names are now"))
        .in_file(source.display())
        .hint(format!("`astra-store build {name} --upstream {}` takes what of it is there", source.display()))
}

fn no_name(name: &str) -> Error {
    let message = format!("`{name}` is neither the file of a recipe nor a digest of 64 digits");
    Error::new(ErrorKind::Usage, message).hint(
        "a remote knows no names of recipes: give the recipe's file, a whole digest, or pull everything",
    )
}
