//! What can be asked, as lines say it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::astrasim::SystemOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::Engine;
use crate::sim::SimSettings;

/// Raised when a request means something else than before.
pub const PROTOCOL: u32 = 1;

/// A question. Paths are relative to the directory in which the program was started.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Request {
    /// Who answers.
    Hello {},
    /// Simulates files.
    Simulate(Box<Simulate>),
    /// Simulates a workload on a hardware.
    Point(Box<PointRequest>),
    /// Writes the configuration files of a run on a hardware.
    Configs(Box<Configs>),
    /// Writes traces.
    Traces(Box<Traces>),
}

/// The files of a simulation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Simulate {
    pub(super) workload: PathBuf,
    pub(super) system: PathBuf,
    pub(super) network: PathBuf,
    pub(super) remote_memory: Option<PathBuf>,
    pub(super) comm_groups: Option<PathBuf>,
    #[serde(default)]
    pub(super) engine: EngineChoice,
}

/// A workload on a hardware.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PointRequest {
    pub(super) hardware: Hardware,
    pub(super) workload: Workload,
    #[serde(flatten)]
    pub(super) part: Part,
    #[serde(default)]
    pub(super) engine: EngineChoice,
}

/// A hardware description.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Hardware {
    /// Path of a hardware YAML.
    File(PathBuf),
    /// The document itself, as a hardware YAML has it.
    Document(Value),
}

/// Which part of a hardware is used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Part {
    /// How many ranks.
    pub(super) ranks: u32,
    /// Only these parallelism axes count; all of them when absent.
    pub(super) axes: Option<Vec<String>>,
    /// Write a two-dimensional topology as one dimension of the same size.
    #[serde(default)]
    pub(super) flatten_2d: bool,
    /// Take one dimension of two ranks, the first that carries one of these axes.
    pub(super) synthetic_pair: Option<Vec<String>>,
}

/// What ranks do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Workload {
    /// One collective over all ranks.
    Collective { collective: String, size_bytes: u64 },
    /// One message from rank 0 to rank 1.
    Transfer { size_bytes: u64 },
    /// Existing traces.
    Et { traces: PathBuf, comm_groups: Option<PathBuf> },
}

/// Configuration files.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Configs {
    pub(super) hardware: Hardware,
    #[serde(flatten)]
    pub(super) part: Part,
    #[serde(default)]
    pub(super) engine: EngineChoice,
    /// Directory to write to.
    pub(super) out: PathBuf,
    /// Put into the names of the files, so that nobody else writes to them.
    pub(super) unique: Option<String>,
}

/// Traces to write.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Traces {
    /// Rank r gets `<prefix>.<r>.et`.
    pub(super) prefix: PathBuf,
    pub(super) ranks: u32,
    pub(super) content: Content,
}

/// What traces to write say.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Content {
    /// One node of that name, with the rank as its id, as DeepFlow writes it.
    Collective { collective: String, name: String, size_bytes: u64 },
    /// One message from rank 0 to rank 1, whatever `ranks` is, as DeepFlow writes it.
    Transfer { size_bytes: u64 },
    /// Collectives that start after delays.
    Sequence { items: Vec<Item> },
}

/// A collective of a sequence.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Item {
    pub(super) collective: String,
    /// In front of the position.
    pub(super) name: String,
    pub(super) size_bytes: u64,
    #[serde(default)]
    pub(super) delay_us: Option<u64>,
}

/// How is simulated; what is absent is as in a recipe.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct EngineChoice {
    dialect: Option<String>,
    network: Option<String>,
    queues_per_dimension: Option<u32>,
    injection_scale: Option<f64>,
    rendezvous: Option<bool>,
}

impl EngineChoice {
    pub(super) fn settings(&self) -> Result<SimSettings> {
        let usual = Engine::default();
        let wrong = |key: &str, e: &astra_engine::UnknownName| {
            Error::new(ErrorKind::Usage, e.to_string()).key(format!("engine.{key}"))
        };
        let dialect = self.dialect.as_deref().map(|name| name.parse().map_err(|e| wrong("dialect", &e)));
        let network = self.network.as_deref().map(|name| name.parse().map_err(|e| wrong("network", &e)));
        let options = SystemOptions::default();
        Ok(SimSettings {
            options: SystemOptions {
                queues_per_dimension: self.queues_per_dimension.unwrap_or(options.queues_per_dimension),
                injection_scale: self.injection_scale.unwrap_or(options.injection_scale),
                rendezvous: self.rendezvous.unwrap_or(options.rendezvous),
            },
            network_model: network.transpose()?.unwrap_or(usual.network),
            dialect: dialect.transpose()?.unwrap_or(usual.dialect),
        })
    }
}

impl Request {
    /// Reads a line.
    pub(super) fn parse(value: Value) -> Result<Self> {
        serde_json::from_value(value).map_err(|e| {
            Error::new(ErrorKind::Usage, e.to_string()).hint("docs/interop.md lists the requests")
        })
    }
}
