//! Simulating existing files, as the ASTRA-sim analytical binary does: without recipe and without store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use astra_engine::{
    Dialect, Network, NetworkModel, Observer, Options, RemoteMemory, Report, System, Workload,
};

use crate::Notice;
use crate::astrasim::{self, NetworkFile, SystemFile, SystemOptions};
use crate::custom;
use crate::error::{Error, Result};
use crate::et::lower_bundle;
use crate::files;
use crate::lint::{self, lint_files};
use crate::steps::simulation_error;
use crate::traces::TraceFiles;

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
    /// Whether to check the files against each other first.
    pub lint: bool,
}

/// What can be simulated: everything has been read and checked.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// The network.
    pub network: Network,
    /// The system.
    pub system: System,
    /// The traces and groups.
    pub workload: Workload,
}

impl Simulation {
    /// Simulates until every rank has finished.
    ///
    /// # Errors
    /// A simulation in which a rank does not finish.
    pub fn run(&self, options: &Options) -> Result<Report> {
        let stop = AtomicBool::new(false);
        astra_engine::simulate_with(options, &self.network, &self.system, &self.workload, &stop)
            .map_err(simulation_error)
    }

    /// Like [`Simulation::run`], with an observer that is told what happens; gives up soon after `stop` is set.
    ///
    /// # Errors
    /// As for [`Simulation::run`], and [`crate::ErrorKind::Interrupted`].
    pub fn observe(&self, stop: &AtomicBool, observer: &mut dyn Observer) -> Result<Report> {
        astra_engine::simulate_observed(&self.network, &self.system, &self.workload, stop, observer)
            .map_err(simulation_error)
    }
}

/// Reads the files and checks them against each other. `notice` is told what is worth saying about the files, also
/// when they turn out not to fit together: a misspelt key is often why.
///
/// # Errors
/// What is missing or wrong, with its file.
pub fn read(inputs: &SimInputs<'_>, notice: &mut dyn FnMut(Notice)) -> Result<Simulation> {
    let name = |path: &Path| path.display().to_string();
    let (network, notices) = NetworkFile::parse(&files::read(inputs.network)?, &name(inputs.network))?;
    notices.into_iter().for_each(&mut *notice);
    let network = network.network(inputs.network_model);
    let memory = match inputs.remote_memory {
        Some(path) => astrasim::read_remote_memory(&files::read(path)?, &name(path))?,
        None => RemoteMemory::None,
    };
    let (system, notices) = SystemFile::parse(&files::read(inputs.system)?, &name(inputs.system))?;
    notices.into_iter().for_each(&mut *notice);
    let ranks = network.check().map_err(|(dimension, problem)| {
        let place = dimension.map(|d| format!("dimension {d}: ")).unwrap_or_default();
        Error::input(format!("{place}{problem}")).in_file(name(inputs.network))
    })?;
    let custom_files = &system.custom;
    let system =
        system.system(inputs.dialect, &inputs.options, memory).map_err(|e| e.in_file(name(inputs.system)))?;
    // First what every rank must have: where the network has far too many, the first that has no trace says so.
    let mut workload = traces(inputs, ranks, notice)?;
    let system = System { custom: custom::load(custom_files, ranks)?, ..system };
    if let Some(path) = inputs.comm_groups {
        workload.groups = astrasim::read_groups(&files::read(path)?, &name(path))?;
    }
    if inputs.lint {
        let findings = lint::lint(&network, &system, &workload);
        let undefined = inputs.comm_groups.is_none() && lint::misses_groups(&findings);
        let refused = |error: Error| match undefined {
            true => error.hint("--comm-group-configuration names the file with the groups of these traces"),
            false => error,
        };
        lint::refuse(&findings).map_err(refused)?.into_iter().for_each(notice);
    }
    Ok(Simulation { network, system, workload })
}

/// The traces of all ranks; equal ones are kept and decoded once.
fn traces(inputs: &SimInputs<'_>, ranks: u32, notice: &mut dyn FnMut(Notice)) -> Result<Workload> {
    let TraceFiles { prefix, files, file_of_rank } = TraceFiles::of_ranks(inputs.workload_prefix, ranks)?;
    if inputs.lint {
        let linted = lint_files(&prefix, &files, &file_of_rank, &BTreeMap::new());
        if let Some(workload) = linted.workload {
            lint::refuse(&linted.findings)?.into_iter().for_each(notice);
            return Ok(workload);
        }
        // What is wrong is said with its file and where in it.
    }
    lower_bundle(&prefix, &files, &file_of_rank, &BTreeMap::new())
}
