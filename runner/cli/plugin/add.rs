//! `astra-store plugin add`.

use std::path::Path;

use artifact_store::{Blob, Found, Store};
use astra_policy::raw::SYMBOL;
use clap::Args;
use serde_json::json;

use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::policy::{Platform, is_fit};
use crate::steps::{Origin, add_plugin, is_part_of_program};

use super::super::ui::Ui;
use super::super::{Global, locate};

/// Put a plugin into the store by name, so that recipes can name it wherever this store is.
///
/// A file is copied and may run here. A digest names a library that came with pulled or imported content: recipes can
/// name it, and what is recorded of its decisions is used; it runs only with `build --allow-plugin DIGEST`. The plugin is kept
/// as a pin; `astra-store unpin plugin/NAME` lets go of it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store plugin add ./libby_size.so               # recipes can say \"plugin\": \"by-size\"
  astra-store plugin add 3f2a91c0 --name by-size       # one that came with a pull
  astra-store plugin add ./tuner-2.so --name tuner --replace --dry-run")]
pub(super) struct AddArgs {
    /// The library, or a unique beginning of the digest of one that is in the store.
    library: String,
    /// What recipes call it. Default: the file's name without `lib` and ending, `-` for `_`.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Put it in the place of another plugin of that name.
    #[arg(long)]
    replace: bool,
    /// Say what would be added, and add nothing.
    #[arg(long, short = 'n')]
    dry_run: bool,
}

pub(super) fn run(ui: &Ui, global: &Global, args: &AddArgs) -> Result<()> {
    let path = Path::new(&args.library);
    let is_file = path.exists() || !locate::is_digest(&args.library);
    let store = match (is_file, args.dry_run) {
        (true, false) => locate::open(ui, global)?,
        (true, true) => return tell(ui, &of_file(args, path)?, true),
        (false, _) => locate::open_existing(ui, global)?,
    };
    let (name, origin, platform) = match is_file {
        true => of_file(args, path)?,
        false => of_store(args, &store)?,
    };
    if args.dry_run {
        return tell(ui, &(name, origin, platform), true);
    }
    let note =
        if is_file { format!("from {}", path.display()) } else { "came with other content".to_owned() };
    add_plugin(&store, &name, &origin, &note, args.replace)?;
    tell(ui, &(name, origin, platform), false)
}

/// The name, where the library comes from, and what it is made for.
type Plan = (String, Origin, Platform);

fn of_file(args: &AddArgs, path: &Path) -> Result<Plan> {
    let library = Blob::new(files::read(path)?);
    let platform = platform(library.bytes(), &args.library)?;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = stem.strip_prefix("lib").unwrap_or(&stem).replace('_', "-");
    let name = fit(args.name.clone().unwrap_or(plain))?;
    Ok((name, Origin::File(library), platform))
}

fn of_store(args: &AddArgs, store: &Store) -> Result<Plan> {
    let Found::Blob(digest) = locate::find(store, &args.library)? else {
        return Err(Error::new(ErrorKind::Usage, format!("`{}` is an action, and no library", args.library)));
    };
    let platform = platform(&locate::blob(store, &digest)?, &args.library)?;
    let missing = || {
        Error::new(ErrorKind::Usage, "a library of the store has no name yet").hint("give it one with --name")
    };
    let name = fit(args.name.clone().ok_or_else(missing)?)?;
    Ok((name, Origin::Store(digest), platform))
}

/// What a library is made for. It is not loaded: it may be for another platform, or not be trusted.
fn platform(library: &[u8], called: &str) -> Result<Platform> {
    let platform = Platform::of(library).ok_or_else(|| {
        Error::input("is no shared library: it begins as none of ELF, Mach-O and PE does").in_file(called)
    })?;
    let symbol = SYMBOL.as_bytes();
    if !library.windows(symbol.len()).any(|bytes| bytes == symbol) {
        let message = format!("is no policy: it has no symbol `{SYMBOL}`");
        return Err(Error::input(message).in_file(called));
    }
    Ok(platform)
}

fn fit(name: String) -> Result<String> {
    if !is_fit(&name) {
        let message = format!("`{}` cannot be the name of a policy", name.escape_debug());
        return Err(Error::new(ErrorKind::Usage, message).hint(
            "give it one with --name: a lower-case letter, then lower-case letters, digits and dashes, at most 64",
        ));
    }
    if is_part_of_program(&name) {
        return Err(super::taken(&name).hint("give it another with --name"));
    }
    Ok(name)
}

fn tell(ui: &Ui, (name, origin, platform): &Plan, dry_run: bool) -> Result<()> {
    let (digest, may_run) = match origin {
        Origin::File(library) => (library.digest(), true),
        Origin::Store(digest) => (*digest, false),
    };
    if ui.json() {
        return ui.json_line(&json!({
            "name": name,
            "digest": digest.to_string(),
            "platform": platform.to_string(),
            "may_run": may_run,
            "dry_run": dry_run,
        }));
    }
    let verb = if dry_run { "would add" } else { "added" };
    let how = if may_run { "" } else { "; it runs only with --allow-plugin" };
    ui.say(format!("{verb} `{name}`, a library for {platform}: {digest}{how}"));
    Ok(())
}
