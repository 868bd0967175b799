//! What a recipe names on disk: hardware files, graphs, existing traces and their groups, policies with their configuration;
//! read once when a build begins.
//!
//! Afterwards only these bytes count, whatever happens to the files. Paths are for messages; nothing keyed depends on them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use artifact_store::{Blob, Digest, Store, Tree, TreeEntry};

use crate::error::{Error, Result};
use crate::et::Bundle;
use crate::external::{self, Executable};
use crate::files;
use crate::hw::Document;
use crate::recipe::{ExistingTraces, Policy, Recipe, Workload};
use crate::traces::{NamesOnDisk, TraceFiles};

use super::context::Memo;
use super::lone::GIVEN;
use super::plugin_path::PluginPath;
use super::policies::{self, FoundPolicy, Named};
use super::run::rank_of;

/// Where a store remembers hashes of executables: a disposable directory.
const EXECUTABLES: &str = "mat/executables";

/// A file that a recipe names.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its path as the user can open it, for messages only: it differs between machines.
    pub path: String,
    /// The bytes.
    pub blob: Blob,
}

/// Existing traces that a recipe names.
#[derive(Debug)]
pub struct TraceSource {
    /// What the files are called, for messages only.
    pub names: NamesOnDisk,
    /// The distinct files.
    pub files: Vec<Blob>,
    /// For each rank the index of its file.
    pub file_of_rank: Vec<u32>,
    /// The tree that names the files of all ranks; its digest stands for the bundle in keys.
    pub tree: Blob,
}

/// A recipe and the files it names, as they were when they were read.
#[derive(Debug)]
pub struct Sources {
    /// The recipe in canonical form.
    pub recipe: Blob,
    /// What sets the keys of this build apart, if anything does.
    pub salt: Option<String>,
    /// Hardware files, graphs and group files, under the names by which the recipe calls them.
    pub files: BTreeMap<String, Source>,
    /// Existing traces, likewise.
    pub traces: BTreeMap<String, TraceSource>,
    policies: Vec<(Named, FoundPolicy)>,
    /// The simulators of points that another program simulates, by how the recipe names them, in the order of the points.
    executables: Vec<(Option<Arc<str>>, Executable)>,
    documents: Memo<String, Document>,
}

impl Sources {
    /// Reads the files a recipe names; policies that it calls by name are looked for, in the end in a store, beside which
    /// hashes of executables are remembered.
    ///
    /// # Errors
    /// When one cannot be read or found.
    pub fn read(recipe: &Recipe, plugins: &PluginPath, store: Option<&Store>) -> Result<Self> {
        let beside = Path::new(recipe.file()).parent().unwrap_or(Path::new(""));
        let workloads = recipe.workloads_with_files();
        let mut sources = BTreeMap::new();
        let beside_traces = workloads.iter().filter_map(|workload| match workload {
            Workload::Et(existing) => existing.groups.clone(),
            Workload::Graph(file) => Some(file.graph.clone()),
            _ => None,
        });
        for name in recipe.sources().into_iter().chain(beside_traces) {
            if sources.contains_key(&name) {
                continue;
            }
            let path = beside.join(&name);
            let bytes = files::read_or_hint(&path, "paths in a recipe are relative to the recipe")?;
            sources.insert(name, Source { path: path.display().to_string(), blob: Blob::new(bytes) });
        }
        let mut traces = BTreeMap::new();
        for workload in workloads {
            let Workload::Et(ExistingTraces { traces: name, .. }) = workload else { continue };
            if let Entry::Vacant(entry) = traces.entry(name) {
                let source = TraceSource::read(&beside.join(entry.key()))?;
                entry.insert(source);
            }
        }
        let policies = policies::read_all(recipe, plugins, store)?;
        let remembered = store.filter(|store| !store.is_read_only()).map(|s| s.directory().join(EXECUTABLES));
        let mut executables = Vec::new();
        for binary in recipe.binaries() {
            let path = path_of_binary(binary.as_deref(), beside)?;
            executables.push((binary, Executable::find(&path, remembered.as_deref())?));
        }
        let (salt, recipe) = (recipe.salt().map(str::to_owned), Blob::new(recipe.canonical()));
        Ok(Self { recipe, salt, files: sources, traces, policies, executables, documents: Memo::new(64) })
    }

    /// The executables that simulate, in the order of the points: their content decides results, wherever they lie.
    pub fn executables(&self) -> impl Iterator<Item = Digest> {
        self.executables.iter().map(|(_, executable)| executable.digest)
    }

    /// Adds a simulator that the recipe does not name.
    pub fn add_executable(&mut self, name: Arc<str>, executable: Executable) {
        self.executables.push((Some(name), executable));
    }

    /// The executable that the recipe names so; nothing stands for the one that the environment names.
    pub(super) fn executable(&self, binary: Option<&str>) -> Result<&Executable> {
        let known = self.executables.iter().find(|(name, _)| name.as_deref() == binary);
        known
            .map(|(_, executable)| executable)
            .ok_or_else(|| not_a_source(binary.unwrap_or(external::VARIABLE)))
    }

    /// Names and digests of everything that was read beside the recipe.
    pub fn digests(&self) -> impl Iterator<Item = (&str, Digest)> {
        let files = self.files.iter().map(|(name, source)| (name.as_str(), source.blob.digest()));
        files.chain(self.traces.iter().map(|(name, source)| (name.as_str(), source.tree.digest())))
    }

    /// What identifies each policy that the recipe names, in its order: text for keys.
    pub fn policies(&self) -> impl Iterator<Item = String> {
        self.policies.iter().map(|(_, found)| found.identity())
    }

    /// What is worth saying about where policies were found.
    pub fn policy_notices(&self) -> impl Iterator<Item = &String> {
        self.policies.iter().filter_map(|(_, found)| found.notice())
    }

    pub(super) fn policy(&self, policy: &Policy) -> Result<&FoundPolicy> {
        let is_it = |((plugin, config), _): &&(Named, FoundPolicy)| {
            *plugin == policy.plugin && *config == policy.config
        };
        let found = self.policies.iter().find(is_it);
        found.map(|(_, found)| found).ok_or_else(|| not_a_source(policy.plugin.as_str()))
    }

    /// Recipe and files, to be kept in the store.
    pub fn blobs(&self) -> Vec<Blob> {
        let traces = self.traces.values().flat_map(|source| source.files.iter().chain([&source.tree]));
        let files = self.files.values().map(|source| &source.blob);
        let policies = self.policies.iter().flat_map(|(_, found)| found.blobs());
        std::iter::once(&self.recipe).chain(files).chain(traces).chain(policies).cloned().collect()
    }

    /// Of no recipe: what the store has of sources is added.
    pub(super) fn of_no_recipe() -> Self {
        let recipe = Blob::new([]);
        Self {
            recipe,
            salt: None,
            files: BTreeMap::new(),
            traces: BTreeMap::new(),
            policies: Vec::new(),
            executables: Vec::new(),
            documents: Memo::new(1),
        }
    }

    /// Adds a file whose content the store has; says whether it has.
    pub(super) fn add_stored_file(&mut self, store: &Store, name: &str, digest: Digest) -> Result<bool> {
        let Some(bytes) = store.get(&digest)? else { return Ok(false) };
        let source = Source { path: name.to_owned(), blob: Blob::new(bytes) };
        self.files.insert(name.to_owned(), source);
        Ok(true)
    }

    /// Adds traces by their tree; says whether the store has it and all files.
    pub(super) fn add_stored_traces(&mut self, store: &Store, name: &str, tree: Digest) -> Result<bool> {
        let Some(bytes) = store.get(&tree)? else { return Ok(false) };
        let tree = Tree::decode(&bytes)?;
        let ranks = tree.entries().len();
        let of_rank = tree.entries().iter().map(|entry| Ok((rank_of(&entry.name, ranks)?.1, entry.digest)));
        let mut known = BTreeMap::new();
        let (mut files, mut file_of_rank) = (Vec::new(), Vec::new());
        for digest in of_rank.collect::<Result<BTreeMap<usize, Digest>>>()?.into_values() {
            let next = files.len() as u32;
            let file = *known.entry(digest).or_insert(next);
            if file == next {
                let Some(bytes) = store.get(&digest)? else { return Ok(false) };
                files.push(Blob::new(bytes));
            }
            file_of_rank.push(file);
        }
        let tree = Blob::new(bytes);
        self.traces.insert(name.to_owned(), TraceSource { names: name.into(), files, file_of_rank, tree });
        Ok(true)
    }

    pub(super) fn file(&self, name: &str) -> Result<&Source> {
        self.files.get(name).ok_or_else(|| not_a_source(name))
    }

    pub(super) fn bundle(&self, name: &str) -> Result<&TraceSource> {
        self.traces.get(name).ok_or_else(|| not_a_source(name))
    }

    pub(super) fn document(&self, name: &str) -> Result<Arc<Document>> {
        self.documents.get_or(name.to_owned(), || {
            let Source { path, blob } = self.file(name)?;
            Document::parse(blob.bytes(), path)
        })
    }
}

/// Where a simulator lies: beside the recipe, or where the environment says.
fn path_of_binary(binary: Option<&str>, beside: &Path) -> Result<PathBuf> {
    match binary {
        Some(binary) => Ok(beside.join(binary)),
        None => external::from_environment(),
    }
}

fn not_a_source(name: &str) -> Error {
    Error::failed(format!("`{name}` is not among the sources of the recipe"))
}

impl TraceSource {
    fn read(path: &Path) -> Result<Self> {
        let TraceFiles { names, files, file_of_rank } =
            TraceFiles::find(path).map_err(|e| e.hint("paths in a recipe are relative to the recipe"))?;
        let files: Vec<Blob> = files.into_iter().map(Blob::new).collect();
        let entry = |(rank, &file): (u32, &u32)| {
            let blob = &files[file as usize];
            TreeEntry { name: Bundle::file_name(GIVEN, rank), digest: blob.digest(), len: blob.len() }
        };
        let tree = Tree::new((0..).zip(&file_of_rank).map(entry).collect())?;
        Ok(Self { names, files, file_of_rank, tree: Blob::new(tree.encode()) })
    }
}
