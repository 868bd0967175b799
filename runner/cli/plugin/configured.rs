//! A policy on the command line, with its configuration.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::decision::BEST;
use crate::error::{Error, Result};
use crate::files;
use crate::policy::{Shipped, Source};

use super::super::ui::Ui;
use super::super::{Global, locate};
use super::PluginDirs;

/// A policy and its configuration.
#[derive(Debug, Args)]
pub(super) struct Configured {
    /// The name of a policy, or the file of a plugin.
    policy: String,
    /// Text of its configuration.
    #[arg(long, value_name = "TEXT")]
    config: Option<String>,
    /// File that holds its configuration.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    config_file: Option<PathBuf>,
    #[command(flatten)]
    plugins: PluginDirs,
}

impl Configured {
    /// The text of the configuration; empty when there is none.
    pub(super) fn config(&self) -> Result<String> {
        let Some(path) = &self.config_file else { return Ok(self.config.clone().unwrap_or_default()) };
        String::from_utf8(files::read(path)?)
            .map_err(|_| Error::input("is not UTF-8 text").in_file(path.display()))
    }

    /// The policy that is meant: one of the program's own, else a file, else a library that is looked for.
    pub(super) fn source(&self, ui: &Ui, global: &Global) -> Result<Source> {
        let word = self.policy.as_str();
        let plugins = self.plugins.path()?;
        if let Some(shipped) = Shipped::named(word) {
            return Ok(Source::Shipped(shipped));
        }
        if word == BEST.name {
            return Err(Error::input(format!(
                "`{word}` asks the engine, so it is no plugin that could be tried alone"
            ))
            .hint("name it in a recipe, or in `astra-store policy compare`"));
        }
        let path = Path::new(word);
        if path.is_file() || word.contains(['/', '.']) {
            return Ok(Source::Library { name: word.to_owned(), bytes: files::read(path)?.into() });
        }
        let store = locate::open_if_there(ui, global)?;
        let (source, shadowed) = plugins.named(word, store.as_ref())?;
        if let Some(shadowed) = shadowed {
            ui.warn(shadowed);
        }
        Ok(source)
    }
}
