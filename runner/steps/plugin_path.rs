//! Where the library of a policy is looked for that a recipe calls by its name.
//!
//! In this order: directories that the user names, those of `ASTRA_STORE_PLUGIN_PATH`, the recipe's own, and what was added to
//! the store. The names of policies that are part of the program always mean those.

use std::collections::BTreeSet;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};

use artifact_store::{Blob, Digest, Store};

use crate::decision::BEST;
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::policy::{SHIPPED, Shipped, Source};
use crate::recipe::PolicyPlugin;

use super::added::added_plugins;

/// The variable that names directories of plugins, separated as those of `PATH`.
const VARIABLE: &str = "ASTRA_STORE_PLUGIN_PATH";

/// Where plugins are looked for, and which of those that came from elsewhere may run.
#[derive(Clone, Debug, Default)]
pub struct PluginPath {
    directories: Vec<PathBuf>,
    allowed: BTreeSet<Digest>,
}

/// A library that was found.
#[derive(Debug)]
pub(super) struct Library {
    /// What the user calls it.
    pub(super) name: String,
    /// Its bytes.
    pub(super) blob: Blob,
    /// Whether it may run. What is recorded of its decisions counts either way.
    pub(super) may_run: bool,
    /// What else has its name, for a reader.
    pub(super) shadowed: Option<String>,
}

impl Library {
    /// The error of running code that came as data; nothing when it may run. `besides` goes on with what holds in spite of it.
    pub(super) fn refused(&self, besides: &str) -> Option<Error> {
        if self.may_run {
            return None;
        }
        let digest = self.blob.digest();
        let message = format!(
            "the library {digest} came with content from elsewhere, and what comes as data does not run{besides}"
        );
        let hint = format!(
            "if you trust whoever made it: --allow-plugin {digest}, once, or `astra-store plugin add FILE` with the file"
        );
        Some(Error::failed(message).in_file(&self.name).hint(hint))
    }
}

impl PluginPath {
    /// These directories, then those of the environment; plugins that came from elsewhere run when they are allowed.
    pub fn new(directories: &[PathBuf], allowed: &[Digest]) -> Self {
        let variable = std::env::var_os(VARIABLE).unwrap_or_default();
        let of_environment = std::env::split_paths(&variable).filter(|dir| !dir.as_os_str().is_empty());
        Self {
            directories: directories.iter().cloned().chain(of_environment).collect(),
            allowed: allowed.iter().copied().collect(),
        }
    }

    /// The library of a policy; none of a policy that is part of the program, or that is nowhere.
    ///
    /// # Errors
    /// A file that cannot be read; two libraries of the name in one directory.
    pub(super) fn library(
        &self,
        plugin: &PolicyPlugin,
        beside: &Path,
        store: Option<&Store>,
    ) -> Result<Option<Library>> {
        match plugin {
            PolicyPlugin::File(file) => read(&beside.join(file)).map(Some),
            PolicyPlugin::Named(name) if is_part_of_program(name) => Ok(None),
            PolicyPlugin::Named(name) => {
                let added = store.map(|store| self.added(name, store)).transpose()?.flatten();
                let Some(path) = self.find(name, beside)? else { return Ok(added) };
                let library = read(&path)?;
                let other = added.filter(|added| added.blob.digest() != library.blob.digest());
                let shadowed = other.map(|added| {
                    format!(
                        "`{name}` is {}; the store has another one: {}",
                        library.name,
                        added.blob.digest()
                    )
                });
                Ok(Some(Library { shadowed, ..library }))
            }
        }
    }

    /// The library that a command calls by a name which is none of the program's own, and what else has that name, for a
    /// reader. It is looked for in the working directory instead of beside a recipe.
    ///
    /// # Errors
    /// A library that cannot be read, or two of the name in one directory; when there is none; when it came from elsewhere and is not allowed.
    pub fn named(&self, name: &str, store: Option<&Store>) -> Result<(Source, Option<String>)> {
        let plugin = PolicyPlugin::Named(name.to_owned());
        let found = self.library(&plugin, Path::new(""), store)?;
        let library = found.ok_or_else(|| self.unknown(name, "in the working directory"))?;
        if let Some(refused) = library.refused("") {
            return Err(refused);
        }
        let Library { name, blob, shadowed, .. } = library;
        Ok((Source::Library { name, bytes: blob.bytes().clone() }, shadowed))
    }

    /// The first directory that has a library of this name.
    fn find(&self, name: &str, beside: &Path) -> Result<Option<PathBuf>> {
        let here = if beside.as_os_str().is_empty() { Path::new(".") } else { beside };
        for directory in self.directories.iter().map(PathBuf::as_path).chain([here]) {
            let there: Vec<PathBuf> =
                file_names(name).map(|file| directory.join(file)).filter(|path| path.is_file()).collect();
            match there.as_slice() {
                [] => {}
                [one] => return Ok(Some(one.clone())),
                [one, other, ..] => {
                    let message = format!("`{name}` may be {} or {}", one.display(), other.display());
                    return Err(Error::input(message)
                        .hint("name the one that is meant by its path, or remove the other"));
                }
            }
        }
        Ok(None)
    }

    /// What was added to the store under this name; of two that which may run.
    fn added(&self, name: &str, store: &Store) -> Result<Option<Library>> {
        let Some(added) = added_plugins(store)?.into_iter().find(|added| added.name == name) else {
            return Ok(None);
        };
        let bytes = store.get(&added.digest)?.ok_or_else(|| {
            Error::new(ErrorKind::Store, format!("the library of the plugin `{name}` is damaged or gone"))
                .hint("`astra-store plugin add FILE` adds it again")
        })?;
        let may_run = added.may_run || self.allowed.contains(&added.digest);
        Ok(Some(Library { name: name.to_owned(), blob: Blob::new(bytes), may_run, shadowed: None }))
    }

    /// The error of a name that is none of a policy; `last` is where files are looked for last.
    pub(super) fn unknown(&self, name: &str, last: &str) -> Error {
        let files: Vec<String> = file_names(name).collect();
        let looked: Vec<String> = self.directories.iter().map(|dir| dir.display().to_string()).collect();
        let places = match looked.is_empty() {
            true => String::new(),
            false => format!("in {} or ", looked.join(", ")),
        };
        let message = format!(
            "there is no policy `{name}`: none that is part of the program, no {} {places}{last}, and none that was added to \
             the store",
            files.join(" or ")
        );
        let names: Vec<&str> = SHIPPED.iter().map(|shipped| shipped.name).chain([BEST.name]).collect();
        Error::new(ErrorKind::Input, message).suggest(name, names.iter().copied()).hint(format!(
            "`astra-store plugin ls` lists those that are known; name directories with --plugin-dir or ${VARIABLE}"
        ))
    }
}

fn read(path: &Path) -> Result<Library> {
    let bytes = files::read_or_hint(path, "paths in a recipe are relative to the recipe")?;
    let name = path.display().to_string();
    Ok(Library { name, blob: Blob::new(bytes), may_run: true, shadowed: None })
}

/// Whether a policy of this name needs no library.
pub fn is_part_of_program(name: &str) -> bool {
    Shipped::named(name).is_some() || name == BEST.name
}

/// What the library of a policy may be called; compilers of Rust write `_` for `-`.
fn file_names(name: &str) -> impl Iterator<Item = String> {
    let plain = [name.to_owned(), name.replace('-', "_")];
    let distinct = if plain[0] == plain[1] { 1 } else { 2 };
    plain
        .into_iter()
        .take(distinct)
        .flat_map(|name| [format!("{name}{DLL_SUFFIX}"), format!("{DLL_PREFIX}{name}{DLL_SUFFIX}")])
}
