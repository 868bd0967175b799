//! Which files a point consists of, under the names that ASTRA-sim's users know.

use std::sync::Arc;

use artifact_store::{ActionKey, Digest, Store, Tree};

use crate::astrasim::{self, ConfigRequest, Layout};
use crate::derivation::{PerStep, StepKind};
use crate::error::{Error, ErrorKind, Result};
use crate::hw::NetworkSpec;
use crate::recipe::Point;

use super::placement::{self, Placement};
use super::{Inputs, configs, et, hw, run};

/// A file of a point: its name and its content.
pub type PointFile = (String, Digest);

/// The files of a point, as far as its steps succeeded.
#[derive(Debug, Default)]
pub struct PointFiles {
    /// The configuration.
    pub configuration: Option<PointConfiguration>,
    /// The traces.
    pub traces: Option<PointTraces>,
    /// The times, `result.json`.
    pub result: Option<PointFile>,
    /// The key of the run.
    pub run: Option<ActionKey>,
}

/// The configuration files of a point, and what they were made from.
#[derive(Debug)]
pub struct PointConfiguration {
    /// The network file.
    pub network: PointFile,
    /// The system file.
    pub system: PointFile,
    /// The remote memory file.
    pub remote_memory: PointFile,
    /// The hardware.
    pub spec: Arc<NetworkSpec>,
    /// What is asked of it.
    pub request: ConfigRequest,
    /// The network.
    pub layout: Layout,
}

/// The traces of a point.
#[derive(Debug)]
pub struct PointTraces {
    /// One file for each rank.
    pub ranks: Vec<PointFile>,
    /// `manifest.json`.
    pub manifest: PointFile,
    /// `comm_groups.json`.
    pub groups: Option<PointFile>,
}

impl PointFiles {
    /// All of them.
    pub fn into_all(self) -> Vec<PointFile> {
        let configuration =
            self.configuration.into_iter().flat_map(|c| [c.network, c.system, c.remote_memory]);
        let traces = self
            .traces
            .into_iter()
            .flat_map(|traces| traces.ranks.into_iter().chain([traces.manifest]).chain(traces.groups));
        configuration.chain(traces).chain(self.result).collect()
    }
}

/// Names and contents of a point's files, from the keys of its `hw`, `et`, `configs` and `run` steps. Files of steps
/// that did not succeed are left out.
///
/// # Errors
/// When the store does not hold what a record names.
pub fn point_files(store: &Store, point: &Point, keys: &PerStep<Option<ActionKey>>) -> Result<PointFiles> {
    let mut records = Inputs::default();
    for kind in StepKind::ALL {
        if let Some(record) = keys[kind].map(|key| store.hit(&key)).transpose()?.flatten() {
            records.insert(kind, Arc::new(record));
        }
    }
    let file = |kind, name: &str| Ok::<_, Error>((name.to_owned(), records.output(kind, name)?));
    let optional = |kind, name: &str| Some((name.to_owned(), records.optional(kind, name)?));
    let mut files = PointFiles { result: optional(StepKind::Run, run::OUTPUT), ..PointFiles::default() };
    files.run = keys[StepKind::Run].filter(|_| files.result.is_some());
    if let (Some(spec), Some(network)) =
        (records.optional(StepKind::Hw, hw::OUTPUT), records.optional(StepKind::Configs, configs::NETWORK))
    {
        let spec = Arc::new(NetworkSpec::from_bytes(&content(store, &spec)?)?);
        let placement = records.optional(StepKind::Et, et::PLACEMENT);
        let placement = placement.map(|digest| Placement::decode(&content(store, &digest)?)).transpose()?;
        let request = placement::request(&spec, point, placement.as_ref())?;
        let layout = placement::layout(&spec, point, &request)?;
        let names = astrasim::config_names(&layout);
        files.configuration = Some(PointConfiguration {
            network: (names.network, network),
            system: (names.system, records.output(StepKind::Configs, configs::SYSTEM)?),
            remote_memory: file(StepKind::Configs, configs::REMOTE_MEMORY)?,
            spec,
            request,
            layout,
        });
    }
    if let Some(tree) = records.optional(StepKind::Et, et::TREE) {
        let tree = Tree::decode(&content(store, &tree)?)?;
        files.traces = Some(PointTraces {
            ranks: tree.entries().iter().map(|entry| (entry.name.clone(), entry.digest)).collect(),
            manifest: file(StepKind::Et, et::MANIFEST)?,
            groups: optional(StepKind::Et, et::GROUPS),
        });
    }
    Ok(files)
}

/// The bytes of a blob that a record names.
pub(crate) fn content(store: &Store, digest: &Digest) -> Result<Arc<[u8]>> {
    store.get(digest)?.ok_or_else(|| gone(digest))
}

/// The error of a blob that a record names and that is not to be had.
pub(super) fn gone(digest: &Digest) -> Error {
    Error::new(ErrorKind::Missing, format!("blob {digest} is damaged or gone"))
        .hint("build the recipe again: the step that wrote it will be executed again")
}
