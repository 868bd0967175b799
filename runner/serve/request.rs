//! What can be asked, as lines say it.

use std::path::PathBuf;

use astra_engine::System;
use serde::Serialize;
use serde_json::Value;

use crate::astrasim::SystemOptions;
use crate::error::Result;
use crate::recipe::Engine;
use crate::sim::SimSettings;

use super::fields::{Fields, boolean, count, list, number, owned, path, usage, whole, word};

/// Raised when a request means something else than before.
pub const PROTOCOL: u32 = 1;

/// A question. Paths are relative to the directory in which the program was started.
#[derive(Debug)]
pub(super) enum Request {
    /// Who answers.
    Hello,
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
#[derive(Debug)]
pub(super) struct Simulate {
    pub(super) workload: PathBuf,
    pub(super) system: PathBuf,
    pub(super) network: PathBuf,
    pub(super) remote_memory: Option<PathBuf>,
    pub(super) comm_groups: Option<PathBuf>,
    pub(super) engine: EngineChoice,
}

/// A workload on a hardware.
#[derive(Debug, Serialize)]
pub(super) struct PointRequest {
    pub(super) hardware: Hardware,
    pub(super) workload: Workload,
    #[serde(flatten)]
    pub(super) part: Part,
    pub(super) engine: EngineChoice,
}

/// A hardware description.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Hardware {
    /// Path of a hardware YAML.
    File(PathBuf),
    /// The document itself, as a hardware YAML has it.
    Document(Value),
}

/// Which part of a hardware is used.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Part {
    /// How many ranks.
    pub(super) ranks: u32,
    /// Only these parallelism axes count; all of them when absent.
    pub(super) axes: Option<Vec<String>>,
    /// Write a two-dimensional topology as one dimension of the same size.
    pub(super) flatten_2d: bool,
    /// Take one dimension of two ranks, the first that carries one of these axes.
    pub(super) synthetic_pair: Option<Vec<String>>,
}

/// What ranks do.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Workload {
    /// One collective over all ranks.
    Collective { collective: String, size_bytes: u64 },
    /// One message from rank 0 to rank 1.
    Transfer { size_bytes: u64 },
    /// Existing traces.
    Et { traces: PathBuf, comm_groups: Option<PathBuf> },
}

/// Configuration files.
#[derive(Debug)]
pub(super) struct Configs {
    pub(super) hardware: Hardware,
    pub(super) part: Part,
    pub(super) engine: EngineChoice,
    /// Directory to write to.
    pub(super) out: PathBuf,
    /// Put into the names of the files, so that nobody else writes to them.
    pub(super) unique: Option<String>,
}

/// Traces to write.
#[derive(Debug)]
pub(super) struct Traces {
    /// Rank r gets `<prefix>.<r>.et`.
    pub(super) prefix: PathBuf,
    pub(super) ranks: u32,
    pub(super) content: Content,
}

/// What traces to write say.
#[derive(Debug)]
pub(super) enum Content {
    /// One node of that name, with the rank as its id, as DeepFlow writes it.
    Collective { collective: String, name: String, size_bytes: u64 },
    /// One message from rank 0 to rank 1, whatever `ranks` is, as DeepFlow writes it.
    Transfer { size_bytes: u64 },
    /// Collectives that start after delays.
    Sequence { items: Vec<Item> },
}

/// A collective of a sequence.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) collective: String,
    /// In front of the position.
    pub(super) name: String,
    pub(super) size_bytes: u64,
    pub(super) delay_us: Option<u64>,
}

/// How is simulated; what is absent is as in a recipe.
#[derive(Debug, Default, Serialize)]
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
        let wrong =
            |key: &str, e: &astra_engine::UnknownName| usage(e.to_string()).key(format!("engine.{key}"));
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

/// The most bytes that a trace can say.
const MAX_BYTES: u64 = i64::MAX as u64;

const PART: [&str; 4] = ["ranks", "axes", "flatten_2d", "synthetic_pair"];

impl Request {
    /// Reads a line.
    pub(super) fn parse(value: &Value) -> Result<Self> {
        Self::read(value).map_err(|error| error.hint("docs/interop.md lists the requests"))
    }

    fn read(value: &Value) -> Result<Self> {
        match word(value, "do", &["hello", "simulate", "point", "configs", "traces"])? {
            "hello" => Fields::open(value, &["do"]).map(|_| Self::Hello),
            "simulate" => Simulate::read(value).map(|files| Self::Simulate(files.into())),
            "point" => PointRequest::read(value).map(|point| Self::Point(point.into())),
            "configs" => Configs::read(value).map(|configs| Self::Configs(configs.into())),
            _ => Traces::read(value).map(|files| Self::Traces(files.into())),
        }
    }
}

impl Simulate {
    fn read(value: &Value) -> Result<Self> {
        let known = ["do", "workload", "system", "network", "remote_memory", "comm_groups", "engine"];
        let fields = Fields::open(value, &known)?;
        Ok(Self {
            workload: fields.required("workload", path)?,
            system: fields.required("system", path)?,
            network: fields.required("network", path)?,
            remote_memory: fields.optional("remote_memory", path)?,
            comm_groups: fields.optional("comm_groups", path)?,
            engine: EngineChoice::of(&fields)?,
        })
    }
}

impl PointRequest {
    fn read(value: &Value) -> Result<Self> {
        let fields = Fields::open(value, &[&["do", "hardware", "workload", "engine"], &PART[..]].concat())?;
        Ok(Self {
            hardware: fields.required("hardware", Hardware::read)?,
            workload: fields.required("workload", Workload::read)?,
            part: Part::of(&fields)?,
            engine: EngineChoice::of(&fields)?,
        })
    }
}

impl Hardware {
    fn read(value: &Value) -> Result<Self> {
        Ok(match value {
            Value::String(path) => Self::File(path.into()),
            document => Self::Document(document.clone()),
        })
    }
}

impl Part {
    fn of(fields: &Fields<'_>) -> Result<Self> {
        let axes = |value| list(value, owned);
        Ok(Self {
            ranks: fields.required("ranks", ranks)?,
            axes: fields.optional("axes", axes)?,
            flatten_2d: fields.optional("flatten_2d", boolean)?.unwrap_or_default(),
            synthetic_pair: fields.optional("synthetic_pair", axes)?,
        })
    }
}

impl Workload {
    fn read(value: &Value) -> Result<Self> {
        Ok(match word(value, "kind", &["collective", "transfer", "et"])? {
            "collective" => {
                let fields = Fields::open(value, &["kind", "collective", "size_bytes"])?;
                Self::Collective {
                    collective: fields.required("collective", owned)?,
                    size_bytes: fields.required("size_bytes", size)?,
                }
            }
            "transfer" => {
                let fields = Fields::open(value, &["kind", "size_bytes"])?;
                Self::Transfer { size_bytes: fields.required("size_bytes", size)? }
            }
            _ => {
                let fields = Fields::open(value, &["kind", "traces", "comm_groups"])?;
                Self::Et {
                    traces: fields.required("traces", path)?,
                    comm_groups: fields.optional("comm_groups", path)?,
                }
            }
        })
    }
}

impl Configs {
    fn read(value: &Value) -> Result<Self> {
        let known = [&["do", "hardware", "engine", "out", "unique"], &PART[..]].concat();
        let fields = Fields::open(value, &known)?;
        Ok(Self {
            hardware: fields.required("hardware", Hardware::read)?,
            part: Part::of(&fields)?,
            engine: EngineChoice::of(&fields)?,
            out: fields.required("out", path)?,
            unique: fields.optional("unique", owned)?,
        })
    }
}

impl Traces {
    fn read(value: &Value) -> Result<Self> {
        let fields = Fields::open(value, &["do", "prefix", "ranks", "content"])?;
        Ok(Self {
            prefix: fields.required("prefix", path)?,
            ranks: fields.required("ranks", ranks)?,
            content: fields.required("content", Content::read)?,
        })
    }
}

impl Content {
    fn read(value: &Value) -> Result<Self> {
        Ok(match word(value, "kind", &["collective", "transfer", "sequence"])? {
            "collective" => {
                let fields = Fields::open(value, &["kind", "collective", "name", "size_bytes"])?;
                Self::Collective {
                    collective: fields.required("collective", owned)?,
                    name: fields.required("name", owned)?,
                    size_bytes: fields.required("size_bytes", size)?,
                }
            }
            "transfer" => {
                let fields = Fields::open(value, &["kind", "size_bytes"])?;
                Self::Transfer { size_bytes: fields.required("size_bytes", size)? }
            }
            _ => {
                let fields = Fields::open(value, &["kind", "items"])?;
                Self::Sequence { items: fields.required("items", |items| list(items, Item::read))? }
            }
        })
    }
}

impl Item {
    fn read(value: &Value) -> Result<Self> {
        let fields = Fields::open(value, &["collective", "name", "size_bytes", "delay_us"])?;
        Ok(Self {
            collective: fields.required("collective", owned)?,
            name: fields.required("name", owned)?,
            size_bytes: fields.required("size_bytes", size)?,
            delay_us: fields.optional("delay_us", |value| whole(0, u64::MAX, value))?,
        })
    }
}

impl EngineChoice {
    fn of(fields: &Fields<'_>) -> Result<Self> {
        Ok(fields.optional("engine", Self::read)?.unwrap_or_default())
    }

    fn read(value: &Value) -> Result<Self> {
        let known = ["dialect", "network", "queues_per_dimension", "injection_scale", "rendezvous"];
        let fields = Fields::open(value, &known)?;
        let queues = |value| count(1, System::MAX_QUEUES_PER_DIMENSION, value);
        Ok(Self {
            dialect: fields.optional("dialect", owned)?,
            network: fields.optional("network", owned)?,
            queues_per_dimension: fields.optional("queues_per_dimension", queues)?,
            injection_scale: fields.optional("injection_scale", number)?,
            rendezvous: fields.optional("rendezvous", boolean)?,
        })
    }
}

fn ranks(value: &Value) -> Result<u32> {
    count(0, u32::MAX, value)
}

fn size(value: &Value) -> Result<u64> {
    whole(0, MAX_BYTES, value)
}
