//! `astra-store plugin new`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::policy::{self, Language};
use crate::steps::is_part_of_program;

use super::super::ui::Ui;

/// Write the beginnings of a policy: a directory that builds as it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store plugin new my-policy && make -C my-policy
  astra-store plugin new my-policy --language rust && cd my-policy && cargo build --release")]
pub(super) struct NewArgs {
    /// Name of the policy: lower-case letters, digits and dashes.
    name: String,
    /// Language to write it in.
    #[arg(long, short, value_name = "LANGUAGE", default_value = "c")]
    language: Spoken,
    /// Directory to make. Default: the name.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Spoken {
    C,
    Rust,
}

pub(super) fn run(ui: &Ui, args: &NewArgs) -> Result<()> {
    if !policy::is_fit(&args.name) {
        let message = format!("`{}` cannot be the name of a policy", args.name.escape_debug());
        return Err(Error::new(ErrorKind::Usage, message)
            .hint("a lower-case letter, then lower-case letters, digits and dashes, at most 64"));
    }
    if is_part_of_program(&args.name) {
        return Err(super::taken(&args.name).hint("choose another"));
    }
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    if dir.exists() {
        return Err(Error::new(ErrorKind::System, "is there already")
            .in_file(dir.display())
            .hint("name another directory with --dir; nothing was written"));
    }
    let (language, build) = match args.language {
        Spoken::C => (Language::C, "make"),
        Spoken::Rust => (Language::Rust, "cargo build --release"),
    };
    let (written, library) = policy::scaffold(&args.name, language);
    for (name, text) in &written {
        files::write(&dir.join(name), text.as_bytes())?;
    }
    if ui.json() {
        let files: Vec<&String> = written.iter().map(|(name, _)| name).collect();
        return ui.json_line(&json!({ "directory": dir, "files": files, "library": library }));
    }
    ui.say(format!("wrote {} files to {}", written.len(), dir.display()));
    ui.say(format!("next: cd {} && {build} && astra-store plugin check {library}", dir.display()));
    Ok(())
}
