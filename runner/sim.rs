//! Simulating existing files, as the ASTRA-sim analytical binary does: without recipe and without store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use astra_engine::{Dialect, NetworkModel, Options, RemoteMemory, Report};

use crate::Notice;
use crate::astrasim::{self, NetworkFile, SystemFile, SystemOptions};
use crate::error::{Error, Result};
use crate::et::{Bundle, lower_bundle};
use crate::files;
use crate::lint;
use crate::steps::simulation_error;

/// The files and options of a simulation.
#[derive(Debug)]
pub struct SimInputs<'a> {
    /// Prefix P of the traces: rank r reads `P.<r>.et`.
    pub workload_prefix: &'a Path,
    /// System JSON.
    pub system: &'a Path,
    /// Network YAML.
    pub network: &'a Path,
    /// Remote memory JSON; none means no remote memory.
    pub remote_memory: Option<&'a Path>,
    /// Communicator groups JSON.
    pub comm_groups: Option<&'a Path>,
    /// Queues per dimension and the other options that act on the system layer.
    pub options: SystemOptions,
    /// Whether messages compete for links.
    pub network_model: NetworkModel,
    /// Whose rules.
    pub dialect: Dialect,
    /// Simulate every rank even where one can stand for all; the results are the same.
    pub no_shortcuts: bool,
}

/// Reads the files, checks them against each other and simulates.
///
/// # Errors
/// What is missing or wrong, with its file; a simulation in which a rank does not finish.
pub fn simulate(inputs: &SimInputs<'_>) -> Result<(Report, Vec<Notice>)> {
    let name = |path: &Path| path.display().to_string();
    let (network, mut notices) = NetworkFile::parse(&files::read(inputs.network)?, &name(inputs.network))?;
    let network = network.network(inputs.network_model).map_err(|e| e.in_file(name(inputs.network)))?;
    let memory = match inputs.remote_memory {
        Some(path) => astrasim::read_remote_memory(&files::read(path)?, &name(path))?,
        None => RemoteMemory::None,
    };
    let (system, about_system) = SystemFile::parse(&files::read(inputs.system)?, &name(inputs.system))?;
    let system =
        system.system(inputs.dialect, &inputs.options, memory).map_err(|e| e.in_file(name(inputs.system)))?;
    let ranks = network.check().and(Ok(network.ranks())).map_err(|(dimension, problem)| {
        let place = dimension.map(|d| format!("dimension {d}: ")).unwrap_or_default();
        Error::input(format!("{place}{problem}")).in_file(name(inputs.network))
    })?;
    let mut workload = traces(inputs.workload_prefix, ranks.unwrap_or(0))?;
    if let Some(path) = inputs.comm_groups {
        workload.groups = astrasim::read_groups(&files::read(path)?, &name(path))?;
    }
    notices.extend(lint::refuse(&lint::lint(&network, &system, &workload))?);
    notices.extend(about_system);
    let options = Options { shortcuts: !inputs.no_shortcuts };
    let report = astra_engine::simulate_with(&options, &network, &system, &workload, &AtomicBool::new(false))
        .map_err(simulation_error)?;
    Ok((report, notices))
}

/// The traces of all ranks; equal ones are kept and decoded once.
fn traces(prefix: &Path, ranks: u32) -> Result<astra_engine::Workload> {
    let prefix = prefix.display().to_string();
    let mut known: BTreeMap<Arc<[u8]>, u32> = BTreeMap::new();
    let mut files = Vec::new();
    let mut file_of_rank = Vec::with_capacity(ranks as usize);
    for rank in 0..ranks {
        let bytes: Arc<[u8]> = files::read(&PathBuf::from(Bundle::file_name(&prefix, rank)))?.into();
        let next = files.len() as u32;
        let file = *known.entry(Arc::clone(&bytes)).or_insert(next);
        if file == next {
            files.push(bytes);
        }
        file_of_rank.push(file);
    }
    lower_bundle(&prefix, &files, &file_of_rank, &BTreeMap::new())
}
