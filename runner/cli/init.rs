//! `astra-store init`.

use std::path::PathBuf;

use clap::Args;

use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::recipe::STARTER_FILES;

use super::ui::Ui;

/// Write a commented hardware file and a recipe to start from.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  astra-store init study && astra-store build study/recipe.json")]
pub(super) struct InitArgs {
    /// Directory to write to; created when it is not there.
    #[arg(default_value = ".")]
    dir: PathBuf,
}

pub(super) fn run(ui: &Ui, args: &InitArgs) -> Result<()> {
    let targets = STARTER_FILES.map(|(name, text)| (args.dir.join(name), text));
    if let Some((taken, _)) = targets.iter().find(|(path, _)| path.exists()) {
        return Err(Error::new(ErrorKind::System, "is there already")
            .in_file(taken.display())
            .hint("name another directory; nothing was written"));
    }
    for (path, text) in &targets {
        files::write(path, text.as_bytes())?;
        ui.say(format!("wrote {}", path.display()));
    }
    ui.say(format!("next: astra-store build {}", args.dir.join(STARTER_FILES[0].0).display()));
    Ok(())
}
