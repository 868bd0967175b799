//! The traces of workloads that a request describes: in memory to be simulated, or as the files that DeepFlow writes.

use astra_policy::Collective;
use serde_json::{Value, json};

use crate::algorithm::engine_type;
use crate::error::{Error, ErrorKind, Result};
use crate::et::build::{NodeIds, Pipeline, SingleCollective};
use crate::et::{Bundle, Metadata, Node, SCHEMA_VERSION, Writer};
use crate::files;
use crate::sim::SimFile;
use crate::traces::{NamesOnDisk, TraceFiles};

use super::request::{Content, Item, Traces, Workload};

/// The ranks of a transfer.
const PAIR: u32 = 2;

/// How many files a request may ask for: a number that is wrong by a few digits must not fill a disk.
const MOST_WRITTEN: u32 = 65_536;

/// The collective of that name, also in the spellings of DeepFlow.
pub(super) fn collective(name: &str) -> Result<Collective> {
    let plain = match name {
        "allreduce" => "all_reduce",
        "alltoall" => "all_to_all",
        other => other,
    };
    Collective::ALL.into_iter().find(|c| c.name() == plain).ok_or_else(|| {
        let names = Collective::ALL.map(Collective::name);
        let message = format!("unknown collective `{name}`, expected one of {}", names.join(", "));
        Error::new(ErrorKind::Usage, message).key("collective").suggest(name, names)
    })
}

/// What to simulate: the traces, what a recipe calls such traces in their tree, and the groups.
pub(super) struct Simulated {
    pub(super) traces: TraceFiles,
    pub(super) prefix: Option<&'static str>,
    pub(super) comm_groups: Option<SimFile>,
}

impl Simulated {
    /// The traces of a workload.
    pub(super) fn of(workload: &Workload, ranks: u32) -> Result<Self> {
        let made = |prefix: &'static str, bundle: Bundle| Self {
            traces: in_memory(prefix, bundle),
            prefix: Some(prefix),
            comm_groups: None,
        };
        Ok(match workload {
            Workload::Collective { collective: name, size_bytes } => {
                let name = collective(name)?.name();
                made(name, single(name, name, *size_bytes, ranks, NodeIds::Zero)?)
            }
            Workload::Transfer { .. } if ranks != PAIR => {
                let message = format!("a transfer has {PAIR} ranks, not {ranks}");
                return Err(Error::new(ErrorKind::Usage, message).key("ranks"));
            }
            Workload::Transfer { size_bytes } => made("pipeline", transfer(*size_bytes)?),
            Workload::Et { traces, comm_groups } => Self {
                traces: TraceFiles::of_ranks(traces, ranks)?,
                prefix: None,
                comm_groups: comm_groups.as_deref().map(SimFile::read).transpose()?,
            },
        })
    }
}

fn in_memory(prefix: &str, bundle: Bundle) -> TraceFiles {
    TraceFiles { names: prefix.into(), files: bundle.files, file_of_rank: bundle.file_of_rank }
}

fn single(kind: &str, name: &str, size_bytes: u64, ranks: u32, ids: NodeIds) -> Result<Bundle> {
    let kind = engine_type(collective(kind)?);
    SingleCollective { name: name.to_owned(), kind, size_bytes, ranks, ids }.build()
}

fn transfer(size_bytes: u64) -> Result<Bundle> {
    Pipeline { compute_ns: vec![0; PAIR as usize], microbatches: 1, message_bytes: size_bytes }.build()
}

/// Writes the files, each whole or not at all.
pub(super) fn write(request: &Traces) -> Result<Value> {
    let Traces { prefix, ranks, content } = request;
    if *ranks > MOST_WRITTEN {
        let message = format!("{ranks} traces are more than are written at once ({MOST_WRITTEN})");
        return Err(Error::new(ErrorKind::Usage, message).key("ranks"));
    }
    let bundle = match content {
        Content::Collective { collective, name, size_bytes } => {
            let made = single(collective, name, *size_bytes, *ranks, NodeIds::Rank);
            in_memory("", made.map_err(|e| e.under("content"))?)
        }
        Content::Transfer { size_bytes } => in_memory("", transfer(*size_bytes)?),
        Content::Sequence { items } => TraceFiles {
            names: NamesOnDisk::default(),
            files: vec![sequence(items)?.into()],
            file_of_rank: vec![0; *ranks as usize],
        },
    };
    let prefix = prefix.display().to_string();
    for (rank, &file) in (0..).zip(&bundle.file_of_rank) {
        files::write(Bundle::file_name(&prefix, rank).as_ref(), &bundle.files[file as usize])?;
    }
    Ok(json!({ "prefix": prefix, "files": bundle.file_of_rank.len() }))
}

/// DeepFlow's scripted collectives: they do not wait for each other. A delay of 0 us is a node of its own and takes a cycle,
/// unlike none, and there may be no items; a recipe's `sequence` allows neither.
fn sequence(items: &[Item]) -> Result<Vec<u8>> {
    let mut nodes: Vec<Node> = Vec::new();
    for (position, item) in items.iter().enumerate() {
        let kind =
            collective(&item.collective).map_err(|e| e.under(&format!("content.items[{position}]")))?;
        let delay = item.delay_us.map(|delay_us| {
            let id = nodes.len() as u64;
            nodes.push(Node::compute(id, format!("delay_{position}_{delay_us}us"), delay_us));
            id
        });
        let name = format!("{}_{position}", item.name);
        // A request has no larger one.
        let size = item.size_bytes as i64;
        nodes.push(Node::collective(nodes.len() as u64, name, engine_type(kind), size, None).after(delay));
    }
    let metadata = Metadata { version: SCHEMA_VERSION.to_owned(), ..Metadata::default() };
    Ok(Writer::file(&metadata, &nodes))
}
