//! Writing what a build gave as the cache directory of DeepFlow's library: its names, its places, and a `cache.json` with an entry
//! for each point that has a result.
//!
//! Names of the library do not tell apart everything that differs; where two points would need one name for two contents,
//! the later one gets the beginning of the content's digest behind it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use artifact_store::{Digest, Store};
use astra_engine::{Dialect, NetworkModel};
use serde_json::{Value, json};

use crate::astrasim::{ConfigRequest, Signature};
use crate::directory::NewDirectory;
use crate::error::Result;
use crate::et::build::size_label;
use crate::recipe::{Engine, Point, Policy, Recipe, Workload};
use crate::report::RunResult;
use crate::steps::{self, PointConfiguration, PointFiles, PointTraces};

use super::Outcome;
use super::materialise::directory_name;

const CACHE: &str = "cache.json";

/// How many digits of a digest tell two contents apart.
const DIGITS: usize = 8;

/// What the library calls the simulation of a graph.
const GRAPH: &str = "graph";

/// Writes the directory, whole or not at all. Paths in `cache.json` begin with `dir` as it is given. Returns the number of
/// files.
///
/// # Errors
/// The directory holds what was not written by this, the system refuses, or the store no longer holds what the build named.
pub fn write_astra_cache(store: &Store, recipe: &Recipe, outcome: &Outcome, dir: &Path) -> Result<usize> {
    // Collection waits until the files are written.
    let _session = store.session()?;
    let points = recipe.points()?;
    let mut tree = Tree::default();
    let mut entries = Vec::new();
    for (point, keys) in points.iter().zip(outcome.index.keys()) {
        let PointFiles { configuration, traces, result, run } = steps::point_files(store, point, &keys)?;
        let (Some(configuration), Some(traces), Some((_, result)), Some(run)) =
            (configuration, traces, result, run)
        else {
            continue;
        };
        let result = RunResult::decode(&steps::content(store, &result)?)?;
        let placed = tree.place(point, &configuration, &traces, points.len() == 1);
        entries.push(Entry::new(point, &configuration, run.to_string(), &result, placed));
    }
    let mut directory = NewDirectory::begin(dir)?;
    for (name, digest) in &tree.files {
        directory.write(name, &steps::content(store, digest)?)?;
    }
    directory.write(CACHE, &serde_json::to_vec_pretty(&cache(entries, dir)).expect("JSON always encodes"))?;
    let files = directory.files();
    directory.persist()?;
    Ok(files)
}

/// Which file has which content.
#[derive(Default)]
struct Tree {
    files: BTreeMap<String, Digest>,
    /// The prefix that bundles of traces have got, by their wanted prefix and their content.
    prefixes: HashMap<(String, Digest), String>,
}

/// Where the files of a point are.
struct Placed {
    network: String,
    system: String,
    /// In front of the rank.
    traces: String,
    manifest: Option<String>,
}

impl Tree {
    fn place(
        &mut self,
        point: &Point,
        configuration: &PointConfiguration,
        traces: &PointTraces,
        is_only: bool,
    ) -> Placed {
        let network = self.add(&configuration.network.0, configuration.network.1);
        let system = self.add(&configuration.system.0, configuration.system.1);
        self.add(&configuration.remote_memory.0, configuration.remote_memory.1);
        let content = content_of(traces);
        let wanted = match &*point.workload {
            Workload::Collective { collective, ranks, size } => {
                let label = size_label(size.0);
                format!("workload/{collective}/{ranks}npus_{label}/{collective}_{label}")
            }
            _ => {
                let name =
                    traces.ranks.first().and_then(|(name, _)| Some(name.rsplitn(3, '.').nth(2)?.to_owned()));
                let name = name.unwrap_or_default();
                if is_only { name } else { format!("{}/{name}", directory_name(&point.name)) }
            }
        };
        let is_microbenchmark = matches!(*point.workload, Workload::Collective { .. });
        let prefix = self.bundle(&wanted, content, traces);
        let manifest = (!is_microbenchmark).then(|| {
            let beside =
                prefix.rsplit_once('/').map(|(directory, _)| format!("{directory}/")).unwrap_or_default();
            let groups = traces.groups.iter();
            for (name, digest) in groups {
                self.files.insert(format!("{beside}{name}"), *digest);
            }
            let (name, digest) = &traces.manifest;
            self.files.insert(format!("{beside}{name}"), *digest);
            format!("{beside}{name}")
        });
        Placed { network, system, traces: prefix, manifest }
    }

    /// Adds a file under a name that no other content has.
    fn add(&mut self, name: &str, digest: Digest) -> String {
        let name = match self.files.get(name) {
            Some(other) if *other != digest => told_apart(name, &digest),
            _ => name.to_owned(),
        };
        self.files.insert(name.clone(), digest);
        name
    }

    /// Adds the traces of all ranks under a prefix whose directory no other traces have.
    fn bundle(&mut self, wanted: &str, content: Digest, traces: &PointTraces) -> String {
        if let Some(prefix) = self.prefixes.get(&(wanted.to_owned(), content)) {
            return prefix.clone();
        }
        let is_taken = self.files.contains_key(&format!("{wanted}.0.et"));
        let prefix = match wanted.rsplit_once('/').filter(|_| is_taken) {
            Some((directory, name)) => format!("{directory}_{}/{name}", beginning(&content)),
            None => wanted.to_owned(),
        };
        for (rank, digest) in traces.ranks.iter().filter_map(|(name, digest)| Some((rank_of(name)?, digest)))
        {
            self.files.insert(format!("{prefix}.{rank}.et"), *digest);
        }
        self.prefixes.insert((wanted.to_owned(), content), prefix.clone());
        prefix
    }
}

/// What stands for the traces of all ranks and their groups.
fn content_of(traces: &PointTraces) -> Digest {
    let mut bytes = Vec::new();
    for (name, digest) in traces.ranks.iter().chain(&traces.groups) {
        bytes.extend(name.as_bytes());
        bytes.extend(digest.as_bytes());
    }
    Digest::of(&bytes)
}

/// The rank in `<prefix>.<rank>.et`.
fn rank_of(name: &str) -> Option<&str> {
    name.rsplit('.').nth(1)
}

fn beginning(digest: &Digest) -> String {
    let mut text = digest.to_string();
    text.truncate(DIGITS);
    text
}

/// `network_analytical_4.yml` as `network_analytical_4_0123abcd.yml`.
fn told_apart(name: &str, digest: &Digest) -> String {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    format!("{stem}_{}.{extension}", beginning(digest))
}

/// An entry of `cache.json`, before it is known whether the library's key for it is its own.
struct Entry {
    /// The library's signature, where the library would simulate the same.
    theirs: Option<Signature>,
    ours: Option<Signature>,
    seconds: Vec<f64>,
    longest: f64,
    placed: Placed,
}

impl Entry {
    fn new(
        point: &Point,
        configuration: &PointConfiguration,
        run: String,
        result: &RunResult,
        placed: Placed,
    ) -> Self {
        let (comm, size_bytes) = match &*point.workload {
            Workload::Collective { collective, size, .. } => (collective.name(), size.0),
            _ => (GRAPH, 0),
        };
        let PointConfiguration { spec, layout, request, .. } = configuration;
        let signature = |run| Signature::new(spec, layout, request, comm, size_bytes, run);
        let seconds: Vec<f64> = result.rank_finish_ns.iter().map(|ns| *ns as f64 * 1e-9).collect();
        Self {
            theirs: if is_theirs(point, request) { signature(None) } else { None },
            ours: signature(Some(&run)),
            longest: seconds.iter().copied().fold(0.0, f64::max),
            seconds,
            placed,
        }
    }
}

/// Whether the library, asked for this collective on this hardware, would simulate just that.
fn is_theirs(point: &Point, request: &ConfigRequest) -> bool {
    let its_simulator =
        Engine { network: NetworkModel::CongestionAware, dialect: Dialect::DeepFlow, ..Engine::default() };
    matches!(*point.workload, Workload::Collective { .. })
        && point.engine == its_simulator
        && point.edits.is_empty()
        && *point.policy == Policy::default()
        && point.system.entries().is_empty()
        && request.synthetic_pair.is_none()
}

/// The entries by key. The library has one key for some runs that differ; none of them gets it then, so that nobody is
/// handed the time of another.
fn cache(entries: Vec<Entry>, dir: &Path) -> Value {
    let mut times: HashMap<String, Vec<&[f64]>> = HashMap::new();
    for entry in &entries {
        if let Some(theirs) = &entry.theirs {
            times.entry(theirs.key()).or_default().push(&entry.seconds);
        }
    }
    let is_unambiguous = |signature: &&Signature| {
        times.get(&signature.key()).is_some_and(|all| all.windows(2).all(|two| two[0] == two[1]))
    };
    let path = |name: &str| dir.join(name).display().to_string();
    let mut cache = serde_json::Map::new();
    for entry in &entries {
        let signature = entry.theirs.as_ref().filter(is_unambiguous).or(entry.ours.as_ref());
        // A network without a dimension is one rank alone, of which the library keeps nothing.
        let Some(signature) = signature else { continue };
        let mut value = json!({
            "signature": serde_json::from_str::<Value>(&signature.canonical).unwrap_or_default(),
            "canonical": signature.canonical,
            "per_node_sec": entry.seconds,
            "max_sec": entry.longest,
            "workload_prefix": path(&entry.placed.traces),
            "system_json": path(&entry.placed.system),
            "network_yaml": path(&entry.placed.network),
        });
        if let Some(manifest) = &entry.placed.manifest {
            value["manifest_path"] = path(manifest).into();
        }
        cache.insert(signature.key(), value);
    }
    cache.into()
}
