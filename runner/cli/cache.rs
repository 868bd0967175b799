//! What a command may do with what is stored: the cache modes of DeepFlow's library, by option or by its environment variables.

use std::sync::Arc;

use artifact_store::remote::{Remote, StoreRemote};
use artifact_store::{Options, Store};
use clap::Args;
use tempfile::TempDir;

use crate::error::{Error, ErrorKind, Result};

use super::ui::Ui;
use super::{Global, locate};

/// The variables that say the mode, the newer spelling first.
const VARIABLES: [&str; 2] = ["RAPID_ASTRA_CACHE_MODE", "DEEPFLOW_ASTRA_CACHE_MODE"];

/// What may be done with what is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CacheMode {
    /// Nothing is read and nothing written.
    NoCache,
    /// Results are read; nothing at all is written.
    ReadOnly,
    /// Results are read and kept.
    #[default]
    ReadWrite,
}

impl CacheMode {
    const ALL: [(&str, Self); 3] = [
        ("NO_CACHE", Self::NoCache),
        ("CACHE_READONLY", Self::ReadOnly),
        ("CACHE_READWRITE", Self::ReadWrite),
    ];

    /// Blanks around a name and its case do not matter.
    fn parse(text: &str, said_by: &str) -> Result<Self> {
        let upper = text.trim().to_uppercase();
        let known = Self::ALL.into_iter().find(|(name, _)| *name == upper);
        known.map(|(_, mode)| mode).ok_or_else(|| {
            let [no, read, write] = Self::ALL.map(|(name, _)| name);
            let message = format!("unknown cache mode `{text}`, expected {no}, {read} or {write}");
            let names = Self::ALL.iter().map(|(name, _)| *name);
            Error::new(ErrorKind::Usage, message).key(said_by).suggest(&upper, names)
        })
    }

    /// The store as the mode allows to use it; none where nothing may be read, or nothing is there and nothing may be written.
    pub(super) fn open(self, ui: &Ui, global: &Global) -> Result<Option<Store>> {
        match self {
            Self::NoCache => Ok(None),
            Self::ReadOnly => open_untouched(ui, global),
            Self::ReadWrite => locate::open(ui, global).map(Some),
        }
    }

    /// The mode that the environment asks for; a variable that is empty says nothing.
    fn of_environment() -> Result<Self> {
        let mut said: Option<(&str, Self)> = None;
        for name in VARIABLES {
            let Some(text) = std::env::var_os(name).filter(|text| !text.is_empty()) else { continue };
            let mode = Self::parse(&text.to_string_lossy(), name)?;
            match said {
                Some((other, another)) if another != mode => {
                    let message = format!("says another cache mode than {other}");
                    return Err(Error::new(ErrorKind::Usage, message).key(name).hint("unset one of the two"));
                }
                _ => said = Some((name, mode)),
            }
        }
        Ok(said.map(|(_, mode)| mode).unwrap_or_default())
    }
}

/// The option that says the mode.
#[derive(Debug, Args)]
pub(super) struct CacheArgs {
    /// What to do with what is stored: NO_CACHE (read nothing, write nothing), CACHE_READONLY (read, write nothing at all) or
    /// CACHE_READWRITE. Default: $RAPID_ASTRA_CACHE_MODE, else $DEEPFLOW_ASTRA_CACHE_MODE, else CACHE_READWRITE.
    #[arg(long, value_name = "MODE")]
    cache: Option<String>,
}

impl CacheArgs {
    /// The mode; the option comes before the environment.
    pub(super) fn mode(&self) -> Result<CacheMode> {
        match &self.cache {
            Some(text) => CacheMode::parse(text, "--cache"),
            None => CacheMode::of_environment(),
        }
    }
}

/// A store to build in, as the mode allows.
pub(super) struct Workplace {
    /// Where steps are looked up and kept.
    pub(super) store: Store,
    /// What is asked first, and never written.
    pub(super) cached: Option<Arc<dyn Remote>>,
    /// Disappears with everything in it.
    temporary: Option<TempDir>,
}

impl Workplace {
    /// The store itself or, where nothing may be written to it, a temporary one that disappears at the end; `unchanged`
    /// when the command changes nothing anyway.
    pub(super) fn open(ui: &Ui, global: &Global, mode: CacheMode, unchanged: bool) -> Result<Self> {
        match mode {
            CacheMode::ReadWrite if unchanged => {
                let (store, temporary) = locate::open_unchanged(ui, global)?;
                Ok(Self { store, cached: None, temporary })
            }
            CacheMode::ReadWrite => {
                Ok(Self { store: locate::open(ui, global)?, cached: None, temporary: None })
            }
            CacheMode::ReadOnly if unchanged => match open_untouched(ui, global)? {
                Some(store) => Ok(Self { store, cached: None, temporary: None }),
                None => Self::open_temporary(ui, global, None),
            },
            CacheMode::ReadOnly => Self::open_temporary(ui, global, open_untouched(ui, global)?),
            CacheMode::NoCache => Self::open_temporary(ui, global, None),
        }
    }

    /// Whether the store disappears at the end.
    pub(super) fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    fn open_temporary(ui: &Ui, global: &Global, cached: Option<Store>) -> Result<Self> {
        let (store, temporary) = locate::open_temporary(ui, global)?;
        let cached = cached.map(|cached| Arc::new(StoreRemote::new(cached)) as Arc<dyn Remote>);
        Ok(Self { store, cached, temporary: Some(temporary) })
    }
}

/// The store, opened without a trace, if there is one.
fn open_untouched(ui: &Ui, global: &Global) -> Result<Option<Store>> {
    let Some(dir) = locate::present(global)? else { return Ok(None) };
    Ok(Some(Store::open(dir, &Options { untouched: true, ..locate::options(ui, global) })?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_read_with_blanks_and_in_any_case_and_never_guessed() {
        assert_eq!(CacheMode::parse(" no_cache ", "--cache").unwrap(), CacheMode::NoCache);
        assert_eq!(CacheMode::parse("CACHE_READONLY", "--cache").unwrap(), CacheMode::ReadOnly);
        for wrong in ["READONLY", "off", "NO CACHE", ""] {
            let error = CacheMode::parse(wrong, "--cache").unwrap_err();
            assert!(
                error.message().contains("expected NO_CACHE, CACHE_READONLY or CACHE_READWRITE"),
                "{error}"
            );
        }
    }
}
