//! `astra-store init`.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::recipe::{Recipe, STARTER_FILES};

use super::ui::Ui;

/// Write a commented hardware file and a recipe to start from.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  astra-store init study && astra-store build study/recipe.json")]
pub(super) struct InitArgs {
    /// Directory to write to; created when it is not there.
    #[arg(default_value = ".")]
    dir: PathBuf,
}

/// The text with the recipe's name that of the directory, where that can be the name of a recipe: recipes of one name
/// replace each other's results in a store.
fn named_after<'a>(dir: &Path, text: &'a str) -> Cow<'a, str> {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let Some(name) = dir.file_name().and_then(|name| name.to_str()) else { return text.into() };
    let named =
        text.replace("\"name\": \"starter\"", &format!("\"name\": {}", serde_json::Value::from(name)));
    match Recipe::parse(named.as_bytes(), STARTER_FILES[0].0) {
        Ok(_) => named.into(),
        Err(_) => text.into(),
    }
}

pub(super) fn run(ui: &Ui, args: &InitArgs) -> Result<()> {
    let targets = STARTER_FILES.map(|(name, text)| (args.dir.join(name), text));
    if let Some((taken, _)) = targets.iter().find(|(path, _)| path.exists()) {
        return Err(Error::new(ErrorKind::System, "is there already")
            .in_file(taken.display())
            .hint("name another directory; nothing was written"));
    }
    for (path, text) in &targets {
        files::write(path, named_after(&args.dir, text).as_bytes())?;
        ui.say(format!("wrote {}", path.display()));
    }
    ui.say(format!("next: astra-store build {}", args.dir.join(STARTER_FILES[0].0).display()));
    Ok(())
}
