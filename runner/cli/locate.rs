//! Where the store is, and opening it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use artifact_store::{ActionKey, Digest, Found, Options, SharedBytes, Store};
use tempfile::TempDir;

use crate::error::{Error, ErrorKind, Result};
use crate::exec::{KnownRecipe, LatestBuild};
use crate::recipe::EngineKind;
use crate::steps::{engine_of_run, runs_of_result};

use super::Global;
use super::ui::Ui;

const DIRECTORY: &str = ".astra-store";

/// The store's directory: the option, the environment, the nearest one upward, or a new one here.
fn directory(global: &Global) -> Result<PathBuf> {
    if let Some(dir) = &global.store {
        return Ok(dir.clone());
    }
    if let Some(dir) = of_environment() {
        return Ok(dir);
    }
    let here = std::env::current_dir()
        .map_err(|e| Error::new(ErrorKind::System, format!("the current directory cannot be read: {e}")))?;
    let found = here.ancestors().map(|dir| dir.join(DIRECTORY)).find(|dir| dir.is_dir());
    Ok(found.unwrap_or_else(|| here.join(DIRECTORY)))
}

/// The directory that the environment names, if it names one.
fn of_environment() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    variable("ASTRA_STORE").or_else(|| variable("ASTRA_CACHE_DIR").map(in_cache_directory))
}

/// The store in a directory that may be DeepFlow's cache too: beside files of others it lies in a directory of its own, so
/// that both can use the place.
fn in_cache_directory(dir: PathBuf) -> PathBuf {
    let own = dir.join(DIRECTORY);
    let is_store = |dir: &Path| ["FORMAT", "locks"].iter().any(|name| dir.join(name).exists());
    let holds_others = || std::fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some());
    if !is_store(&dir) && (own.is_dir() || holds_others()) { own } else { dir }
}

/// Whether the option or the environment names a store.
pub(super) fn is_named(global: &Global) -> bool {
    global.store.is_some() || of_environment().is_some()
}

/// The directory of the store, if there is one: neither missing nor empty.
pub(super) fn present(global: &Global) -> Result<Option<PathBuf>> {
    let dir = directory(global)?;
    // Opening says what is wrong with a directory that holds something else.
    let is_nothing = match std::fs::read_dir(&dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(e) => e.kind() == std::io::ErrorKind::NotFound,
    };
    Ok((!is_nothing).then_some(dir))
}

/// How every command opens a store.
pub(super) fn options(ui: &Ui, global: &Global) -> Options {
    let ui = *ui;
    Options {
        lock_timeout: Duration::from_secs(global.lock_timeout),
        untouched: global.read_only,
        force_network_fs: global.force_network_fs,
        on_notice: Arc::new(move |notice| ui.warn(notice.to_string())),
        ..Options::default()
    }
}

/// Opens the store; creates it when it is not there.
pub(super) fn open(ui: &Ui, global: &Global) -> Result<Store> {
    open_at(&directory(global)?, &options(ui, global))
}

/// Opens the store in a directory.
pub(super) fn open_at(dir: &Path, options: &Options) -> Result<Store> {
    Store::open(dir, options).map_err(|e| not_opened(&e, dir))
}

/// Why a store cannot be opened, with what this user may do about it.
pub(super) fn not_opened(e: &artifact_store::Error, dir: &Path) -> Error {
    let may_read = || std::fs::File::open(dir.join("FORMAT")).is_ok();
    if e.kind() != artifact_store::ErrorKind::Permission || !may_read() {
        return e.clone().into();
    }
    Error::new(ErrorKind::Store, e.message()).in_file(e.path().unwrap_or(dir).display()).hint(
        "this user may not write to it: --read-only uses what is in it; to add to it, ask its owner (docs/store.md says how a \
         group shares a store), or name another one",
    )
}

/// Opens the store for a command that must neither create nor change one: when it is not there, an empty one that
/// disappears with the returned directory.
pub(super) fn open_unchanged(ui: &Ui, global: &Global) -> Result<(Store, Option<TempDir>)> {
    if let Some(dir) = present(global)? {
        return Ok((open_at(&dir, &Options { read_only: true, ..options(ui, global) })?, None));
    }
    let (store, temporary) = open_temporary(ui, global)?;
    Ok((store, Some(temporary)))
}

/// Opens an empty store that disappears with the returned directory.
pub(super) fn open_temporary(ui: &Ui, global: &Global) -> Result<(Store, TempDir)> {
    let temporary = tempfile::tempdir()
        .map_err(|e| Error::new(ErrorKind::System, format!("no temporary directory can be made: {e}")))?;
    let options = Options { untouched: false, ..options(ui, global) };
    Ok((Store::open(temporary.path(), &options)?, temporary))
}

/// Opens the store for what comes from elsewhere; as [`open_unchanged`] when nothing is to change.
pub(super) fn open_to_receive(ui: &Ui, global: &Global, dry_run: bool) -> Result<(Store, Option<TempDir>)> {
    if dry_run { open_unchanged(ui, global) } else { Ok((open(ui, global)?, None)) }
}

/// Opens a store that has to be there, for commands that only read.
pub(super) fn open_existing(ui: &Ui, global: &Global) -> Result<Store> {
    let dir = directory(global)?;
    require_store(&dir)?;
    open_at(&dir, &options(ui, global))
}

/// Opens the store, unless there is none, for commands that only look whether it knows something.
pub(super) fn open_if_there(ui: &Ui, global: &Global) -> Result<Option<Store>> {
    let dir = directory(global)?;
    if !is_store(&dir) {
        return Ok(None);
    }
    Ok(Some(open_at(&dir, &Options { read_only: true, ..options(ui, global) })?))
}

/// The directory of a store that has to be there.
pub(super) fn existing_directory(global: &Global) -> Result<PathBuf> {
    let dir = directory(global)?;
    require_store(&dir)?;
    Ok(dir)
}

fn require_store(dir: &Path) -> Result<()> {
    if !is_store(dir) {
        return Err(Error::new(ErrorKind::Store, "there is no store here")
            .in_file(dir.display())
            .hint("build a recipe first, or name a store with --store DIR"));
    }
    Ok(())
}

/// Also when it cannot be looked at: opening it says why.
fn is_store(dir: &Path) -> bool {
    dir.join("FORMAT").try_exists().unwrap_or(true)
}

/// The one blob or action whose digest begins so.
pub(super) fn find(store: &Store, beginning: &str) -> Result<Found> {
    store.find(beginning).map_err(|e| match e.kind() {
        artifact_store::ErrorKind::Invalid => Error::new(ErrorKind::Usage, e.message())
            .hint("`astra-store ls` lists the recipes; digests are in their tables with --json"),
        _ => e.into(),
    })
}

/// The latest build of the recipe that is meant, if one is that had a result to show.
pub(super) fn latest_build(store: &Store, what: &str) -> Result<Option<LatestBuild>> {
    match KnownRecipe::find(store, what)? {
        Some(recipe) => LatestBuild::load(store, &recipe),
        None => Ok(None),
    }
}

/// Whether this may be the beginning of a digest.
pub(super) fn is_digest(what: &str) -> bool {
    what.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The run that is meant by a recipe with one result, a result, or the run itself. Where two engines gave a result, the
/// run of the one that is asked for.
pub(super) fn run(store: &Store, what: &str, engine: EngineKind) -> Result<ActionKey> {
    if let Some(recipe) = KnownRecipe::find(store, what)?
        && LatestBuild::load(store, &recipe)?.is_some()
    {
        return only_run(store, &recipe, what);
    }
    if !is_digest(what) {
        return Err(unknown_recipe(store, what)?);
    }
    let result = match find(store, what)? {
        Found::Action(key) => return Ok(key),
        Found::Blob(digest) => digest,
    };
    let mut runs = runs_of_result(store, &result)?;
    if runs.len() > 1 {
        let by_engine =
            runs.iter().filter(|run| matches!(engine_of_run(store, run), Ok(Some(kind)) if kind == engine));
        let by_engine: Vec<ActionKey> = by_engine.copied().collect();
        runs = if by_engine.is_empty() { runs } else { by_engine };
    }
    match &runs[..] {
        [run] => Ok(*run),
        [] => Err(Error::new(ErrorKind::Usage, format!("blob {result} is not the result of a run that is recorded here"))
            .hint("`astra-store show RECIPE --json` lists the digests of results; build the recipe again if it was dropped")),
        several => {
            let names: Vec<String> = several.iter().map(ActionKey::to_string).collect();
            let message = format!("{} runs gave the result {result}", several.len());
            Err(Error::new(ErrorKind::Usage, message).hint(format!(
                "name one of them, of which `astra-store show` says what it was made of: {}",
                names.join(", ")
            )))
        }
    }
}

/// The run of a recipe that has one. Other runs may have given the same result: it is not looked for by that.
fn only_run(store: &Store, recipe: &KnownRecipe, called: &str) -> Result<ActionKey> {
    match LatestBuild::runs(store, recipe)?[..] {
        [run] => Ok(run),
        [] => Err(Error::new(ErrorKind::Usage, format!("no point of `{called}` has a result"))),
        ref several => Err(Error::new(ErrorKind::Usage, format!("`{called}` has {} results", several.len()))
            .hint(format!("name one by its digest: `astra-store show {called} --json` lists them"))),
    }
}

/// The error of a name that is neither a recipe nor a digest.
pub(super) fn unknown_recipe(store: &Store, name: &str) -> Result<Error> {
    let known = KnownRecipe::all(store)?;
    let message = format!("the store has no recipe `{name}`, and that is not a digest");
    Ok(Error::new(ErrorKind::Usage, message)
        .suggest(name, known.iter().map(|recipe| recipe.name.as_str()))
        .hint("`astra-store ls` lists the recipes"))
}

/// The bytes of a blob that is known to be in the store.
pub(super) fn blob(store: &Store, digest: &Digest) -> Result<SharedBytes> {
    store.get(digest)?.ok_or_else(|| {
        Error::new(ErrorKind::Store, format!("blob {digest} is damaged or gone"))
            .hint("build the recipe again: the step that wrote it will be executed again")
    })
}
