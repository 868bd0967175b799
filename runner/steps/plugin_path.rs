//! Where the library of a policy is looked for that a recipe calls by its name.
//!
//! In this order: directories that the user names, those of `ASTRA_STORE_PLUGIN_PATH`, and the recipe's own. The names of
//! policies that ship always mean those.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};

use artifact_store::Blob;

use crate::decision::BEST;
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::policy::{SHIPPED, Shipped};
use crate::recipe::PolicyPlugin;

/// The variable that names directories of plugins, separated as those of `PATH`.
const VARIABLE: &str = "ASTRA_STORE_PLUGIN_PATH";

/// Where plugins are looked for.
#[derive(Clone, Debug, Default)]
pub struct PluginPath {
    directories: Vec<PathBuf>,
}

impl PluginPath {
    /// These directories, then those of the environment.
    pub fn new(directories: &[PathBuf]) -> Self {
        let variable = std::env::var_os(VARIABLE).unwrap_or_default();
        let of_environment = std::env::split_paths(&variable).filter(|dir| !dir.as_os_str().is_empty());
        Self { directories: directories.iter().cloned().chain(of_environment).collect() }
    }

    /// The library of a policy, with what the user calls it; none of a policy that ships, or that is nowhere.
    ///
    /// # Errors
    /// A file that cannot be read; two libraries of the name in one directory.
    pub(super) fn library(&self, plugin: &PolicyPlugin, beside: &Path) -> Result<Option<(String, Blob)>> {
        let path = match plugin {
            PolicyPlugin::File(file) => beside.join(file),
            PolicyPlugin::Named(name) if is_part_of_program(name) => return Ok(None),
            PolicyPlugin::Named(name) => match self.find(name, beside)? {
                Some(path) => path,
                None => return Ok(None),
            },
        };
        let bytes = files::read_or_hint(&path, "paths in a recipe are relative to the recipe")?;
        Ok(Some((path.display().to_string(), Blob::new(bytes))))
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

    /// The error of a name that is none of a policy.
    pub(super) fn unknown(&self, name: &str) -> Error {
        let files: Vec<String> = file_names(name).collect();
        let looked: Vec<String> = self.directories.iter().map(|dir| dir.display().to_string()).collect();
        let places = match looked.is_empty() {
            true => String::new(),
            false => format!(" in {} or", looked.join(", ")),
        };
        let message = format!(
            "there is no policy `{name}`: none that ships, and no {}{places} beside the recipe",
            files.join(" or ")
        );
        let names: Vec<&str> = SHIPPED.iter().map(|shipped| shipped.name).chain([BEST.name]).collect();
        Error::new(ErrorKind::Input, message).suggest(name, names.iter().copied()).hint(format!(
            "those that ship are {}; name directories with --plugin-dir or ${VARIABLE}",
            names.join(", ")
        ))
    }
}

/// Whether a policy of this name needs no library.
pub(super) fn is_part_of_program(name: &str) -> bool {
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
