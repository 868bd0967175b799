//! What the ranks do: the workload of a point, with units and defaults resolved.
//!
//! A workload serialises canonically (sizes in bytes, times in nanoseconds, defaults filled), because that text enters the
//! key of the step that makes the traces. Knows nothing of traces, networks and files.

use std::collections::BTreeSet;

use astra_engine::{Bytes, Nanos};
use astra_policy::Collective;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::document::Json;
use super::place::{Fault, Place};
use super::section::{
    MAX_COUNT, Section, array, boolean, count, list, relative_path, size, text, trace_time, word,
};
use crate::decision::{Demand, Question};
use crate::et::graph::{ConvertOptions, Mends};

/// The workload of one point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Workload {
    /// One collective over all ranks.
    Collective {
        /// Which one.
        #[serde(serialize_with = "collective_name", deserialize_with = "named_collective")]
        collective: Collective,
        /// How many ranks take part.
        ranks: u32,
        /// ASTRA-sim's `comm_size`; of an all-gather, what one rank contributes.
        #[serde(rename = "size_bytes", serialize_with = "bytes", deserialize_with = "size_of_key")]
        size: Bytes,
    },
    /// Several collectives over all ranks, which overlap unless delayed or made to wait.
    Sequence {
        /// How many ranks take part.
        ranks: u32,
        /// The collectives, in the order in which every rank issues them.
        items: Vec<Item>,
    },
    /// A chain of stages, one rank each: microbatches flow from rank 0 to the last.
    Pipeline {
        /// Stages, one rank each.
        ranks: u32,
        /// How many microbatches flow through.
        microbatches: u32,
        /// Time one stage computes on one microbatch; a whole number of microseconds.
        #[serde(rename = "compute_ns", serialize_with = "nanos", deserialize_with = "time_of_key")]
        compute: Nanos,
        /// What a stage sends to the next one for each microbatch.
        #[serde(rename = "size_bytes", serialize_with = "bytes", deserialize_with = "size_of_key")]
        size: Bytes,
    },
    /// A bundle that is there already.
    #[serde(skip_deserializing)]
    Et(ExistingTraces),
    /// A graph of computation and communication, which becomes traces.
    #[serde(skip_deserializing)]
    Graph(GraphFile),
}

/// A graph on disk, and how it becomes traces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GraphFile {
    /// The file, relative to the recipe.
    pub graph: String,
    /// What is done differently from DeepFlow.
    pub convert: ConvertOptions,
    /// Which form of manifest is written.
    pub manifest: ManifestForm,
}

/// A form of `manifest.json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManifestForm {
    /// This program's own, which describes the traces as they are.
    #[default]
    Native,
    /// DeepFlow's.
    Df,
}

/// A bundle of execution traces on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExistingTraces {
    /// How many ranks it has.
    pub ranks: u32,
    /// Prefix or directory, relative to the recipe.
    pub traces: String,
    /// The file of its communicator groups, relative to the recipe.
    pub groups: Option<String>,
    /// What counts as the same bundle.
    pub key: TraceKey,
}

/// When two bundles are the same for everything that is derived from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceKey {
    /// When their uncompressed files are equal.
    Content,
    /// When their files are equal in normal form: up to the order of nodes in the file and to gaps in ids.
    Canonical,
}

/// One collective of a sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Unique within the sequence; `<collective>_<index>` unless given.
    pub name: String,
    /// Which collective.
    #[serde(serialize_with = "collective_name", deserialize_with = "named_collective")]
    pub collective: Collective,
    /// ASTRA-sim's `comm_size`; of an all-gather, what one rank contributes.
    #[serde(rename = "size_bytes", serialize_with = "bytes", deserialize_with = "size_of_key")]
    pub size: Bytes,
    /// Computation on every rank before the collective is issued; a whole number of microseconds.
    #[serde(rename = "delay_ns", serialize_with = "nanos", deserialize_with = "time_of_key")]
    pub delay: Nanos,
    /// Indices of earlier items that must be complete first, ascending.
    pub after: Vec<usize>,
}

impl Workload {
    /// What the ranks ask of the network, where the recipe says so: of existing traces and graphs it is known when they
    /// have been read.
    pub fn demand(&self) -> Option<Demand> {
        let mut demand = Demand::default();
        match self {
            Self::Collective { collective, ranks, size } => {
                demand.add(Question::of(*collective, size.0), (*ranks).into());
            }
            Self::Sequence { ranks, items } => {
                items.iter().for_each(|i| demand.add(Question::of(i.collective, i.size.0), (*ranks).into()));
            }
            Self::Pipeline { .. } => {}
            Self::Et(_) | Self::Graph(_) => return None,
        }
        Some(demand)
    }

    /// How many ranks take part, where the recipe says so: a graph has as many as its conversion gives.
    pub fn ranks(&self) -> Option<u32> {
        match self {
            Self::Collective { ranks, .. } | Self::Sequence { ranks, .. } | Self::Pipeline { ranks, .. } => {
                Some(*ranks)
            }
            Self::Et(existing) => Some(existing.ranks),
            Self::Graph(_) => None,
        }
    }

    /// The workload that serialises so; of those that the program makes itself. `None` for what no recipe gives.
    pub(crate) fn of_key(serialised: &serde_json::Value) -> Option<Self> {
        let workload = Self::deserialize(serialised).ok()?;
        let is_whole = match &workload {
            Self::Collective { .. } => true,
            Self::Sequence { items, .. } => {
                let names: BTreeSet<&str> = items.iter().map(|item| item.name.as_str()).collect();
                let waits_for_earlier =
                    |(index, item): (usize, &Item)| item.after.iter().all(|after| *after < index);
                names.len() == items.len() && items.iter().enumerate().all(waits_for_earlier)
            }
            Self::Pipeline { microbatches, .. } => *microbatches <= MAX_COUNT,
            Self::Et(_) | Self::Graph(_) => false,
        };
        let ranks = workload.ranks().unwrap_or(0);
        (is_whole && (1..=MAX_COUNT).contains(&ranks)).then_some(workload)
    }

    /// Whether it names files beside the recipe, so that it is known only when these have been read.
    pub fn names_files(&self) -> bool {
        matches!(self, Self::Et(_) | Self::Graph(_))
    }
}

fn collective_name<S: Serializer>(collective: &Collective, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(collective.name())
}

fn named_collective<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Collective, D::Error> {
    let name = String::deserialize(deserializer)?;
    let known = Collective::ALL.into_iter().find(|collective| collective.name() == name);
    known.ok_or_else(|| serde::de::Error::custom("no collective"))
}

fn size_of_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    u64::deserialize(deserializer).map(Bytes)
}

fn time_of_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Nanos, D::Error> {
    u64::deserialize(deserializer).map(Nanos)
}

fn bytes<S: Serializer>(size: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(size.0)
}

fn nanos<S: Serializer>(time: &Nanos, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(time.0)
}

/// The kinds of workload, each with its keys.
pub(super) const KINDS: &[(&str, &[&str])] = &[
    ("collective", &["kind", "collective", "ranks", "size", "edits"]),
    ("sequence", &["kind", "ranks", "items", "edits"]),
    ("pipeline", &["kind", "ranks", "microbatches", "compute", "size", "edits"]),
    ("et", &["kind", "traces", "groups", "ranks", "key", "edits"]),
    ("graph", &["kind", "graph", "convert", "manifest", "edits"]),
];

/// The keys that name files, or decide whether a workload does; the empty one is the whole workload.
pub(super) const FILE_KEYS: [&str; 5] = ["", "kind", "traces", "groups", "graph"];

/// The keys of an item of a sequence.
pub(super) const ITEM_KEYS: &[&str] = &["name", "collective", "size", "delay", "after"];

const SIZE: &str = "a size such as \"64 MiB\"";

/// Reads the `workload` section.
pub(super) fn read(json: &Json, place: &Place<'_>) -> Result<Workload, Fault> {
    let kind = kind(json, place)?;
    let section = Section::open(json, place, kind.1)?;
    if kind.0 == "graph" {
        return graph(&section).map(Workload::Graph);
    }
    let ranks = section.required("ranks", "the number of ranks", count)?;
    Ok(match kind.0 {
        "collective" => Workload::Collective {
            collective: section.required("collective", "a collective such as \"all_reduce\"", collective)?,
            ranks,
            size: section.required("size", SIZE, size)?,
        },
        "sequence" => {
            Workload::Sequence { ranks, items: section.required("items", "a list of collectives", items)? }
        }
        "et" => Workload::Et(ExistingTraces {
            ranks,
            traces: section.required("traces", "the prefix or directory of the traces", relative_path)?,
            groups: section.optional("groups", relative_path)?,
            key: section.optional("key", key)?.unwrap_or(TraceKey::Content),
        }),
        _ => Workload::Pipeline {
            ranks,
            microbatches: section.required("microbatches", "the number of microbatches", count)?,
            compute: section.required("compute", "a time such as \"100 us\"", trace_time)?,
            size: section.required("size", SIZE, size)?,
        },
    })
}

/// The kind decides which keys are known, so it is read before the others.
fn kind(json: &Json, place: &Place<'_>) -> Result<&'static (&'static str, &'static [&'static str]), Fault> {
    let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
    super::section::object(json, place)?;
    let place = place.key("kind");
    let Some(kind) = json.get("kind") else {
        return Err(place.fault(format!("missing: one of {} is needed here", list(&names))));
    };
    let found = text(kind, &place)?;
    KINDS.iter().find(|(name, _)| *name == found).ok_or_else(|| {
        let message = format!("this version has no workload kind `{found}`; it has {}", list(&names));
        place.fault(message).suggest(&found, names)
    })
}

/// What counts as the same bundle.
pub(super) const KEYS: [(&str, TraceKey); 2] =
    [("content", TraceKey::Content), ("canonical", TraceKey::Canonical)];

fn key(json: &Json, place: &Place<'_>) -> Result<TraceKey, Fault> {
    word(json, place, "key", &KEYS)
}

/// The forms of manifest.
pub(super) const MANIFESTS: [(&str, ManifestForm); 2] =
    [("native", ManifestForm::Native), ("df", ManifestForm::Df)];

/// The ways of converting that have a name.
pub(super) const CONVERSIONS: [(&str, ConvertOptions); 2] =
    [("mended", ConvertOptions::MENDED), ("faithful", ConvertOptions::FAITHFUL)];

fn graph(section: &Section<'_>) -> Result<GraphFile, Fault> {
    let manifest = |json: &Json, place: &Place<'_>| word(json, place, "manifest", &MANIFESTS);
    Ok(GraphFile {
        graph: section.required("graph", "the path of a graph file", relative_path)?,
        convert: section.optional("convert", conversion)?.unwrap_or_default(),
        manifest: section.optional("manifest", manifest)?.unwrap_or_default(),
    })
}

/// The name of a way of converting, or an object of switches, of which those that are absent are on.
fn conversion(json: &Json, place: &Place<'_>) -> Result<ConvertOptions, Fault> {
    if !matches!(json, Json::Object(_)) {
        return word(json, place, "conversion", &CONVERSIONS);
    }
    let switches = Section::open(json, place, &Mends::SWITCHES)?;
    let mut options = ConvertOptions::default();
    for name in Mends::SWITCHES {
        if let Some(on) = switches.optional(name, boolean)? {
            options.mends.set(name, on);
        }
    }
    Ok(options)
}

/// Reads the name of a collective, spelled as documented.
pub(super) fn collective(json: &Json, place: &Place<'_>) -> Result<Collective, Fault> {
    let words = Collective::ALL.map(|c| (c.name(), c));
    word(json, place, "collective", &words)
}

fn items(json: &Json, place: &Place<'_>) -> Result<Vec<Item>, Fault> {
    let list = array(json, place)?;
    if list.is_empty() {
        return Err(place.fault("an empty list, expected at least one collective"));
    }
    let mut items = Vec::with_capacity(list.len());
    for (index, json) in list.iter().enumerate() {
        let item = item(json, &place.index(index), &items)?;
        items.push(item);
    }
    Ok(items)
}

fn item(json: &Json, place: &Place<'_>, earlier: &[Item]) -> Result<Item, Fault> {
    let section = Section::open(json, place, ITEM_KEYS)?;
    let collective = section.required("collective", "a collective such as \"all_reduce\"", collective)?;
    let given = section.optional("name", text)?;
    let name = given.unwrap_or_else(|| format!("{collective}_{}", earlier.len()));
    if let Some(other) = earlier.iter().position(|item| item.name == name) {
        return Err(place.key("name").fault(format!("the name `{name}` is that of item {other} already")));
    }
    Ok(Item {
        name,
        collective,
        size: section.required("size", SIZE, size)?,
        delay: section.optional("delay", trace_time)?.unwrap_or(Nanos(0)),
        after: section.optional("after", |json, place| after(json, place, earlier))?.unwrap_or_default(),
    })
}

/// One name of an earlier item or a list of them.
fn after(json: &Json, place: &Place<'_>, earlier: &[Item]) -> Result<Vec<usize>, Fault> {
    let mut indices = match json {
        Json::Array(names) => names
            .iter()
            .enumerate()
            .map(|(i, name)| earlier_item(name, &place.index(i), earlier))
            .collect::<Result<Vec<_>, _>>()?,
        name => vec![earlier_item(name, place, earlier)?],
    };
    indices.sort_unstable();
    indices.dedup();
    Ok(indices)
}

fn earlier_item(json: &Json, place: &Place<'_>, earlier: &[Item]) -> Result<usize, Fault> {
    let name = text(json, place)?;
    earlier.iter().position(|item| item.name == name).ok_or_else(|| {
        let message = format!("no earlier item is named `{name}`; an item can wait only for items before it");
        place.fault(message).suggest(&name, earlier.iter().map(|item| item.name.as_str()))
    })
}
