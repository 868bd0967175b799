//! Simulating existing files, as the ASTRA-sim analytical binary does: without recipe. Files are read once and checked
//! against each other; what is simulated, and what a key is made of, are the bytes that were read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use astra_engine::{
    Dialect, Network, NetworkModel, Observer, Options, RemoteMemory, Report, System, Workload,
};

use crate::Notice;
use crate::astrasim::{self, NetworkFile, SystemFile, SystemOptions};
use crate::custom::CustomSources;
use crate::error::{Error, Result};
use crate::et::lower_bundle;
use crate::files;
use crate::lint::{self, lint_files};
use crate::steps::simulation_error;
use crate::traces::TraceFiles;

/// The files of a simulation, by path.
#[derive(Clone, Debug)]
pub struct SimPaths {
    /// Prefix P of the traces: rank r reads `P.<r>.et`.
    pub workload_prefix: PathBuf,
    /// System JSON.
    pub system: PathBuf,
    /// Network YAML.
    pub network: PathBuf,
    /// Remote memory JSON; none means no remote memory.
    pub remote_memory: Option<PathBuf>,
    /// Communicator groups JSON.
    pub comm_groups: Option<PathBuf>,
}

/// The word that stands for no file of groups.
pub const NO_GROUPS: &str = "empty";

/// The file of groups that the original takes a name for: it looks for [`NO_GROUPS`] anywhere in it.
pub fn comm_groups_named(name: &str) -> Option<PathBuf> {
    (!name.contains(NO_GROUPS)).then(|| PathBuf::from(name))
}

/// How files are simulated: what the original says with its options and with the choice of its binary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimSettings {
    /// Queues per dimension and the other options that act on the system layer.
    pub options: SystemOptions,
    /// Whether messages compete for links.
    pub network_model: NetworkModel,
    /// Whose rules.
    pub dialect: Dialect,
}

/// A file as it was when it was read.
#[derive(Clone, Debug)]
pub struct SimFile {
    /// What it is called, for messages.
    pub name: String,
    /// The bytes.
    pub bytes: artifact_store::SharedBytes,
}

impl SimFile {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(Self { name: path.display().to_string(), bytes: files::read(path)?.into() })
    }
}

/// The configuration of a simulation.
#[derive(Clone, Debug)]
pub struct SimConfiguration {
    /// Network YAML.
    pub network: SimFile,
    /// System JSON.
    pub system: SimFile,
    /// Remote memory JSON.
    pub remote_memory: Option<SimFile>,
}

/// All files of a simulation, of which the configuration has been checked.
#[derive(Clone, Debug)]
pub struct SimFiles {
    /// The configuration.
    pub configuration: SimConfiguration,
    /// The traces of all ranks.
    pub traces: TraceFiles,
    /// Communicator groups JSON.
    pub comm_groups: Option<SimFile>,
    /// What the system file names.
    pub custom: CustomSources,
    /// How it is simulated.
    pub settings: SimSettings,
    network: Network,
    /// Without the custom collectives.
    system: System,
}

impl SimFiles {
    /// Reads the files and checks the configuration. `notice` is told what is worth saying about it, also when it turns out
    /// to be wrong: a misspelt key is often why.
    ///
    /// # Errors
    /// What is missing or wrong, with its file.
    pub fn read(paths: &SimPaths, settings: SimSettings, notice: &mut dyn FnMut(Notice)) -> Result<Self> {
        let configuration = SimConfiguration {
            network: SimFile::read(&paths.network)?,
            system: SimFile::read(&paths.system)?,
            remote_memory: paths.remote_memory.as_deref().map(SimFile::read).transpose()?,
        };
        let traces = |ranks| TraceFiles::of_ranks(&paths.workload_prefix, ranks);
        let groups = || paths.comm_groups.as_deref().map(SimFile::read).transpose();
        Self::of(configuration, settings, traces, groups, notice)
    }

    /// The same of a configuration that has been read. `traces` is asked for the traces of so many ranks once it is known
    /// how many there are, and after that `comm_groups` for the groups.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub fn of(
        configuration: SimConfiguration,
        settings: SimSettings,
        traces: impl FnOnce(u32) -> Result<TraceFiles>,
        comm_groups: impl FnOnce() -> Result<Option<SimFile>>,
        notice: &mut dyn FnMut(Notice),
    ) -> Result<Self> {
        let SimConfiguration { network: network_file, system: system_file, remote_memory } = &configuration;
        let mut tell = |file: &SimFile, notices: Vec<Notice>| {
            let named = |n: Notice| Notice::new(format!("{}: {}", file.name, n.key), n.message);
            notices.into_iter().map(named).for_each(&mut *notice);
        };
        let (network, notices) = NetworkFile::parse(&network_file.bytes, &network_file.name)?;
        tell(network_file, notices);
        let network = network.network(settings.network_model);
        let memory = match remote_memory {
            Some(file) => astrasim::read_remote_memory(&file.bytes, &file.name)?,
            None => RemoteMemory::None,
        };
        let (system, notices) = SystemFile::parse(&system_file.bytes, &system_file.name)?;
        tell(system_file, notices);
        let ranks = network.check().map_err(|(dimension, problem)| {
            let place = dimension.map(|d| format!("dimension {d}: ")).unwrap_or_default();
            Error::input(format!("{place}{problem}")).in_file(&network_file.name)
        })?;
        let named = &system.custom;
        let system = system
            .system(settings.dialect, &settings.options, memory)
            .map_err(|e| e.in_file(&system_file.name))?;
        // First what every rank must have: where the network has far too many, the first that has no trace says so.
        let traces = traces(ranks)?;
        let custom = CustomSources::read(named, ranks)?;
        let comm_groups = comm_groups()?;
        Ok(Self { configuration, traces, comm_groups, custom, settings, network, system })
    }

    /// Whether ranks have memory elsewhere.
    pub fn has_remote_memory(&self) -> bool {
        self.system.remote_memory != RemoteMemory::None
    }

    /// What can be simulated, everything decoded; with `check`, after checking the files against each other.
    ///
    /// # Errors
    /// What is wrong, with its file.
    pub fn simulation(&self, check: bool, notice: &mut dyn FnMut(Notice)) -> Result<Simulation> {
        let mut workload = self.workload(check, notice)?;
        let system = System { custom: self.custom.load()?, ..self.system.clone() };
        if let Some(file) = &self.comm_groups {
            workload.groups = astrasim::read_groups(&file.bytes, &file.name)?;
        }
        if check {
            let findings = lint::lint(&self.network, &system, &workload);
            let undefined = self.comm_groups.is_none() && lint::misses_groups(&findings);
            let refused = |error: Error| match undefined {
                true => {
                    error.hint("--comm-group-configuration names the file with the groups of these traces")
                }
                false => error,
            };
            lint::refuse(&findings).map_err(refused)?.into_iter().for_each(notice);
        }
        Ok(Simulation { network: self.network.clone(), system, workload })
    }

    /// The traces decoded, without groups; equal ones once.
    fn workload(&self, check: bool, notice: &mut dyn FnMut(Notice)) -> Result<Workload> {
        let TraceFiles { names, files, file_of_rank } = &self.traces;
        if check {
            let linted = lint_files(names, files, file_of_rank, &BTreeMap::new());
            if let Some(workload) = linted.workload {
                lint::refuse(&linted.findings)?.into_iter().for_each(notice);
                return Ok(workload);
            }
            // What is wrong is said with its file and where in it.
        }
        lower_bundle(names, files, file_of_rank, &BTreeMap::new())
    }
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
