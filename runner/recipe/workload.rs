//! What the ranks do: the workload of a point, with units and defaults resolved.
//!
//! A workload serialises canonically (sizes in bytes, times in nanoseconds, defaults filled), because that text enters the
//! key of the step that makes the traces. Knows nothing of traces, networks and files.

use std::collections::BTreeSet;

use astra_engine::{Bytes, Nanos};
use astra_policy::Collective;
use serde::{Serialize, Serializer};

use super::document::Json;
use super::place::{Fault, Place};
use super::section::{Section, array, count, list, relative_path, size, text, trace_time};

/// The workload of one point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Workload {
    /// One collective over all ranks.
    Collective {
        /// Which one.
        #[serde(serialize_with = "collective_name")]
        collective: Collective,
        /// How many ranks take part.
        ranks: u32,
        /// ASTRA-sim's `comm_size`; of an all-gather, what one rank contributes.
        #[serde(rename = "size_bytes", serialize_with = "bytes")]
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
        #[serde(rename = "compute_ns", serialize_with = "nanos")]
        compute: Nanos,
        /// What a stage sends to the next one for each microbatch.
        #[serde(rename = "size_bytes", serialize_with = "bytes")]
        size: Bytes,
    },
    /// A bundle that is there already.
    Et(ExistingTraces),
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceKey {
    /// When their uncompressed files are equal.
    Content,
    /// When their files are equal in normal form: up to the order of nodes in the file and to gaps in ids.
    Canonical,
}

/// One collective of a sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Unique within the sequence; `<collective>_<index>` unless given.
    pub name: String,
    /// Which collective.
    #[serde(serialize_with = "collective_name")]
    pub collective: Collective,
    /// ASTRA-sim's `comm_size`; of an all-gather, what one rank contributes.
    #[serde(rename = "size_bytes", serialize_with = "bytes")]
    pub size: Bytes,
    /// Computation on every rank before the collective is issued; a whole number of microseconds.
    #[serde(rename = "delay_ns", serialize_with = "nanos")]
    pub delay: Nanos,
    /// Indices of earlier items that must be complete first, ascending.
    pub after: Vec<usize>,
}

impl Workload {
    /// The collectives that are used, each once.
    pub fn collectives(&self) -> BTreeSet<Collective> {
        match self {
            Self::Collective { collective, .. } => BTreeSet::from([*collective]),
            Self::Sequence { items, .. } => items.iter().map(|item| item.collective).collect(),
            // What is in existing traces is known when they have been read.
            Self::Pipeline { .. } | Self::Et(_) => BTreeSet::new(),
        }
    }

    /// How many ranks take part.
    pub fn ranks(&self) -> u32 {
        match self {
            Self::Collective { ranks, .. } | Self::Sequence { ranks, .. } | Self::Pipeline { ranks, .. } => {
                *ranks
            }
            Self::Et(existing) => existing.ranks,
        }
    }
}

fn collective_name<S: Serializer>(collective: &Collective, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(collective.name())
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
];

/// The keys of an item of a sequence.
pub(super) const ITEM_KEYS: &[&str] = &["name", "collective", "size", "delay", "after"];

const SIZE: &str = "a size such as \"64 MiB\"";

/// Reads the `workload` section.
pub(super) fn read(json: &Json, place: &Place<'_>) -> Result<Workload, Fault> {
    let kind = kind(json, place)?;
    let section = Section::open(json, place, kind.1)?;
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
    super::section::word(json, place, "key", &KEYS)
}

/// Reads the name of a collective, spelled as documented.
pub(super) fn collective(json: &Json, place: &Place<'_>) -> Result<Collective, Fault> {
    let words = Collective::ALL.map(|c| (c.name(), c));
    super::section::word(json, place, "collective", &words)
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
