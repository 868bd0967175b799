//! `astra-store pin` and `astra-store unpin`.

use artifact_store::{Closure, Digest, Found, OutputKind, Pinned, Store, Tree};
use clap::Args;

use crate::error::{Error, ErrorKind, Result};
use crate::exec::KnownRecipe;
use crate::steps::is_plugin_pin;

use super::ui::Ui;
use super::{Global, locate};

/// Keep a build, a result or any content, whatever gc is told, until it is unpinned.
///
/// Of a recipe the latest complete build is pinned, as it is now: later builds do not move the pin.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store pin h100-allreduce --name paper-figure-3 --reason 'submitted in May'
  astra-store pin 3f2a91c0
  astra-store roots          # lists pins, too")]
pub(super) struct PinArgs {
    /// Name of a recipe (NAME@PLACE where several have it), or a unique beginning of a digest.
    what: String,
    /// Name of the pin. Default: the recipe's name, or the beginning of the digest.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Why, for people.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// Remove a pin; what it kept goes with the next gc, unless something else needs it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  astra-store unpin paper-figure-3")]
pub(super) struct UnpinArgs {
    /// Name of the pin.
    name: String,
}

pub(super) fn run(ui: &Ui, global: &Global, args: &PinArgs) -> Result<()> {
    let store = locate::open_existing(ui, global)?;
    let (what, default_name) = target(&store, &args.what)?;
    let name = args.name.as_ref().unwrap_or(&default_name);
    check_name(name)?;
    if store.pins()?.iter().any(|(taken, _)| taken == name) {
        return Err(Error::new(ErrorKind::Usage, format!("there is a pin `{name}` already"))
            .hint(format!("choose another --name, or `astra-store unpin {name}` first")));
    }
    store.pin(name, what, &args.reason)?;
    ui.say(format!("pinned {} as {name}", args.what));
    Ok(())
}

/// # Errors
/// No name; one of those by which plugins are found.
fn check_name(name: &str) -> Result<()> {
    let error = match () {
        () if name.is_empty() => Error::new(ErrorKind::Usage, "a pin needs a name"),
        () if is_plugin_pin(name) => {
            Error::new(ErrorKind::Usage, format!("`{name}` would be the pin of a plugin"))
                .hint("choose another name; `astra-store plugin add` pins plugins")
        }
        () => return Ok(()),
    };
    Err(error.key("--name"))
}

/// What is to be pinned, and how the pin is called when nothing else is said.
fn target(store: &Store, what: &str) -> Result<(Pinned, String)> {
    if let Some(recipe) = KnownRecipe::find(store, what)? {
        let build = recipe.complete_build(store)?.ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("no build of `{recipe}` has a result for every point"))
                .hint("build it first, or pin a result by its digest")
        })?;
        return Ok((Pinned::Output(build.kind, build.target), recipe.name));
    }
    if !locate::is_digest(what) {
        return Err(locate::unknown_recipe(store, what)?);
    }
    let found = locate::find(store, what)?;
    let (pinned, digest) = match found {
        Found::Action(key) => (Pinned::Action(key), key.to_string()),
        Found::Blob(digest) => (Pinned::Output(kind_of(store, &digest)?, digest), digest.to_string()),
    };
    Ok((pinned, digest[..12].to_owned()))
}

/// What the bytes of a blob are, so that what they list is kept too.
pub(super) fn kind_of(store: &Store, digest: &Digest) -> Result<OutputKind> {
    let bytes = locate::blob(store, digest)?;
    Ok(if Tree::decode(&bytes).is_ok() {
        OutputKind::Tree
    } else if Closure::decode(&bytes).is_ok() {
        OutputKind::Closure
    } else {
        OutputKind::Blob
    })
}

pub(super) fn run_unpin(ui: &Ui, global: &Global, args: &UnpinArgs) -> Result<()> {
    let store = locate::open_existing(ui, global)?;
    if !store.unpin(&args.name)? {
        let pins = store.pins()?;
        return Err(Error::new(ErrorKind::Usage, format!("there is no pin `{}`", args.name))
            .suggest(&args.name, pins.iter().map(|(name, _)| name.as_str()))
            .hint("`astra-store roots` lists the pins"));
    }
    ui.say(format!("removed the pin {}", args.name));
    Ok(())
}
