//! How a point is simulated: policy, engine, layout and system sections, with their defaults.
//!
//! Names are checked here; what an algorithm can do on a network is judged where networks are known.

use astra_engine::{Bytes, Dialect, NetworkModel, System};
use astra_policy::Collective;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::document::Json;
use super::place::{Fault, Place};
use super::section::{Section, array, boolean, count_to, object, relative_path, size, span, text, word};
use crate::algorithm;
use crate::astrasim::{Algorithms, PolicyChoices, SystemOverrides, algorithm_key};
use crate::hw::Axis;
use crate::policy;

/// Which policy chooses collective algorithms, and what the recipe fixes for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// The policy that decides where nothing is fixed.
    pub plugin: PolicyPlugin,
    /// Its configuration.
    #[serde(flatten)]
    pub config: Option<PolicyConfig>,
    /// Algorithms fixed by the recipe; they win over those of the hardware file. Keyed by name: `all_reduce`, ….
    #[serde(serialize_with = "by_name")]
    pub collectives: PolicyChoices,
}

/// A policy, as a recipe names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum PolicyPlugin {
    /// By its name: one that ships, or a library in the places where plugins are looked for.
    Named(String),
    /// A library, relative to the recipe.
    File(String),
}

impl Default for PolicyPlugin {
    fn default() -> Self {
        Self::Named("topology".to_owned())
    }
}

impl PolicyPlugin {
    /// The name of a policy, or the path of a library: what has a `/` or a `.`, which no name has.
    pub fn of(text: &str) -> Self {
        if text.contains(['/', '.']) { Self::File(text.to_owned()) } else { Self::Named(text.to_owned()) }
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Named(text) | Self::File(text) => text,
        }
    }
}

/// The configuration of a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum PolicyConfig {
    /// The text itself.
    #[serde(rename = "config")]
    Text(String),
    /// A file that holds the text, relative to the recipe.
    #[serde(rename = "config_file")]
    File(String),
}

/// The simulator of a point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Engine {
    /// Which program simulates.
    pub kind: EngineKind,
    /// How the network treats messages that meet.
    #[serde(serialize_with = "network_name")]
    pub network: NetworkModel,
    /// Whose cycle counts are reproduced.
    #[serde(serialize_with = "dialect_name")]
    pub dialect: Dialect,
    /// Queues that share the active chunks of a dimension.
    #[serde(skip_serializing_if = "is_default_queues")]
    pub queues_per_dimension: u32,
    /// What concerns a simulator that is another program. Of this only the content of the executable decides anything.
    #[serde(skip)]
    pub external: External,
}

/// The simulator that is another program, and what it may use. Kept, without effect, where the built-in one simulates, so
/// that a sweep can change between the two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct External {
    /// The executable, relative to the recipe; where it is absent the environment names it.
    pub binary: Option<Arc<str>>,
    /// How long one simulation may take; as long as it likes when absent.
    pub timeout: Option<Duration>,
    /// The address space that each of its processes may have; no limit when absent.
    pub memory: Option<Bytes>,
}

/// Less than this no program can be started with.
const LEAST_MEMORY: Bytes = Bytes(64 << 20);

/// Queues per dimension where a recipe does not say: as many as the simulator has where nobody asks for more.
const QUEUES: u32 = 1;

/// Which program simulates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// The simulator that is part of this program.
    #[default]
    Builtin,
    /// An executable of ASTRA-sim's analytical simulator.
    #[serde(rename = "astra-sim")]
    AstraSim,
}

impl Default for Engine {
    fn default() -> Self {
        let (network, dialect) = (NetworkModel::CongestionAware, Dialect::AstraSim);
        let external = External::default();
        Self { kind: EngineKind::Builtin, network, dialect, queues_per_dimension: QUEUES, external }
    }
}

/// Which part of the hardware's network is simulated, and in which shape.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LayoutOptions {
    /// Only these parallelism axes count (in the order in which ranks are matched); all of them when absent.
    pub axes: Option<Vec<Axis>>,
    /// Write a two-dimensional topology as one dimension of the same size.
    pub flatten_2d: bool,
}

pub(super) const POLICY_KEYS: &[&str] = &["plugin", "config", "config_file", "collectives"];
pub(super) const ENGINE_KEYS: &[&str] =
    &["kind", "network", "dialect", "queues_per_dimension", "binary", "timeout", "memory"];
pub(super) const ENGINES: [(&str, EngineKind); 2] =
    [("builtin", EngineKind::Builtin), ("astra-sim", EngineKind::AstraSim)];
pub(super) const LAYOUT_KEYS: &[&str] = &["axes", "flatten_2d"];

fn by_name<S: Serializer>(collectives: &PolicyChoices, serializer: S) -> Result<S::Ok, S::Error> {
    let named: BTreeMap<_, _> = collectives.iter().map(|(c, a)| (c.name(), a)).collect();
    named.serialize(serializer)
}

fn network_name<S: Serializer>(network: &NetworkModel, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(network.as_str())
}

/// The key came later than recipes: those without it keep their canonical form.
const fn is_default_queues(queues: &u32) -> bool {
    *queues == QUEUES
}

fn dialect_name<S: Serializer>(dialect: &Dialect, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(dialect.as_str())
}

/// Reads the `policy` section.
pub(super) fn policy(json: &Json, place: &Place<'_>) -> Result<Policy, Fault> {
    let section = Section::open(json, place, POLICY_KEYS)?;
    let config_text = |json: &Json, place: &Place<'_>| text(json, place).map(PolicyConfig::Text);
    let config_file = |json: &Json, place: &Place<'_>| relative_path(json, place).map(PolicyConfig::File);
    let config = section.optional("config", config_text)?;
    let file = section.optional("config_file", config_file)?;
    if config.is_some() && file.is_some() {
        return Err(place
            .key("config_file")
            .fault("`config` gives the configuration already; keep one of them"));
    }
    Ok(Policy {
        plugin: section.optional("plugin", plugin)?.unwrap_or_default(),
        config: config.or(file),
        collectives: section.optional("collectives", collectives)?.unwrap_or_default(),
    })
}

/// A policy by its name or its path.
fn plugin(json: &Json, place: &Place<'_>) -> Result<PolicyPlugin, Fault> {
    let found = text(json, place)?;
    let plugin = PolicyPlugin::of(&found);
    if matches!(plugin, PolicyPlugin::File(_)) {
        relative_path(json, place)?;
    } else if !policy::is_fit(&found) {
        let message =
            format!("`{}` is neither the name of a policy nor the path of a library", found.escape_debug());
        return Err(place.fault(message).hint(
            "a name is a lower-case letter, then lower-case letters, digits and dashes; a path ends in .so",
        ));
    }
    Ok(plugin)
}

fn collectives(json: &Json, place: &Place<'_>) -> Result<PolicyChoices, Fault> {
    let known = Collective::ALL.map(Collective::name);
    let section = Section::open(json, place, &known)?;
    let mut chosen = PolicyChoices::new();
    for collective in Collective::ALL {
        if let Some(algorithms) = section.optional(collective.name(), algorithms)? {
            chosen.insert(collective, algorithms);
        }
    }
    Ok(chosen)
}

fn algorithms(json: &Json, place: &Place<'_>) -> Result<Algorithms, Fault> {
    match json {
        Json::String(_) => algorithm_name(json, place).map(Algorithms::Everywhere),
        Json::Array(items) if !items.is_empty() => items
            .iter()
            .enumerate()
            .map(|(i, item)| algorithm_name(item, &place.index(i)))
            .collect::<Result<_, _>>()
            .map(Algorithms::PerDimension),
        other => Err(place.fault(format!(
            "expected an algorithm such as \"ring\" or a list with one for each network dimension, found {}",
            if matches!(other, Json::Array(_)) { "an empty list" } else { other.kind() }
        ))),
    }
}

/// The name of an algorithm that exists; whether it can do what is asked depends on the network.
fn algorithm_name(json: &Json, place: &Place<'_>) -> Result<String, Fault> {
    let name = text(json, place)?;
    algorithm::parse(&name).map_err(|error| place.adopt(&error))?;
    Ok(name)
}

/// Reads the `engine` section.
pub(super) fn engine(json: &Json, place: &Place<'_>) -> Result<Engine, Fault> {
    let section = Section::open(json, place, ENGINE_KEYS)?;
    let networks: Vec<_> = NetworkModel::ALL.iter().map(|n| (n.as_str(), *n)).collect();
    let dialects: Vec<_> = Dialect::ALL.iter().map(|d| (d.as_str(), *d)).collect();
    let default = Engine::default();
    let kind = section.optional("kind", |j, p| word(j, p, "engine", &ENGINES))?;
    let binary = section.optional("binary", text)?;
    if binary.is_some() && kind.is_none() {
        let fault = place.key("binary").fault("an executable, and nothing says that it is to simulate");
        return Err(fault.hint("add `\"kind\": \"astra-sim\"`, or \"builtin\" to leave the executable out"));
    }
    Ok(Engine {
        kind: kind.unwrap_or(default.kind),
        network: section
            .optional("network", |j, p| word(j, p, "network model", &networks))?
            .unwrap_or(default.network),
        dialect: section
            .optional("dialect", |j, p| word(j, p, "dialect", &dialects))?
            .unwrap_or(default.dialect),
        queues_per_dimension: section
            .optional("queues_per_dimension", queues)?
            .unwrap_or(default.queues_per_dimension),
        external: External {
            binary: binary.map(Arc::from),
            timeout: section.optional("timeout", timeout)?,
            memory: section.optional("memory", memory)?,
        },
    })
}

fn timeout(json: &Json, place: &Place<'_>) -> Result<Duration, Fault> {
    let timeout = span(json, place)?;
    if timeout.is_zero() {
        return Err(place.fault("no time at all, expected at least 1 s; leave the key out for no limit"));
    }
    Ok(timeout)
}

fn memory(json: &Json, place: &Place<'_>) -> Result<Bytes, Fault> {
    let memory = size(json, place)?;
    if memory < LEAST_MEMORY {
        let message = format!("{} bytes, expected at least 64 MiB: with less no program starts", memory.0);
        return Err(place.fault(message));
    }
    Ok(memory)
}

fn queues(json: &Json, place: &Place<'_>) -> Result<u32, Fault> {
    count_to(System::MAX_QUEUES_PER_DIMENSION, json, place)
}

/// Reads the `layout` section.
pub(super) fn layout(json: &Json, place: &Place<'_>) -> Result<LayoutOptions, Fault> {
    let section = Section::open(json, place, LAYOUT_KEYS)?;
    Ok(LayoutOptions {
        axes: section.optional("axes", axes)?,
        flatten_2d: section.optional("flatten_2d", boolean)?.unwrap_or(false),
    })
}

/// A set of axes: its order has no meaning, so it is brought into the one order.
fn axes(json: &Json, place: &Place<'_>) -> Result<Vec<Axis>, Fault> {
    let words = Axis::ALL.map(|axis| (axis.name(), axis));
    let items = array(json, place)?;
    if items.is_empty() {
        return Err(
            place.fault("an empty list, expected at least one axis; leave the key out to use all axes")
        );
    }
    let mut chosen = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let place = place.index(i);
        let axis = word(item, &place, "axis", &words)?;
        if chosen.contains(&axis) {
            return Err(place.fault(format!("the axis `{}` is there twice", axis.name())));
        }
        chosen.push(axis);
    }
    chosen.sort_unstable();
    Ok(chosen)
}

/// Reads the `system` section. Keys are judged one by one, so that each is reported where it stands.
pub(super) fn system(json: &Json, place: &Place<'_>) -> Result<SystemOverrides, Fault> {
    let judge = |overrides: Map<String, Value>, place: &Place<'_>| {
        SystemOverrides::new(overrides).map_err(|error| place.adopt(&error))
    };
    let mut overrides = Map::new();
    for (key, value) in object(json, place)? {
        let value = value.to_value();
        judge(Map::from_iter([(key.clone(), value.clone())]), &place.key(key))?;
        overrides.insert(key.clone(), value);
    }
    judge(overrides, place)
}

/// Refuses a collective whose algorithms both sections fix: one of them would silently win.
pub(super) fn fixed_once(policy: &Policy, system: &SystemOverrides) -> Result<(), Fault> {
    let twice = |collective: &&Collective| system.entries().contains_key(algorithm_key(**collective));
    let Some(collective) = policy.collectives.keys().find(twice) else { return Ok(()) };
    let (section, key) = (Place::ROOT.key("system"), algorithm_key(*collective));
    let message = format!(
        "`policy.collectives.{collective}` and `system.{key}` both fix the algorithms of {collective}; keep one of them"
    );
    Err(section.key(key).fault(message))
}
