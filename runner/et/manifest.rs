//! The manifest of a bundle: what each distinct file contains, read from its bytes, with their digest.
//!
//! Written for people and for tools that look for a change; no key depends on it. Which digest is for the caller to
//! say. The form is described in `docs/graph-format.md`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use serde::Serialize;

use super::attributes;
use super::bundle::{Bundle, CollectiveUse};
use super::parallel::in_parallel;
use super::reader::Reader;
use super::schema::{Node, NodeType, names};
use crate::{Error, Result};

/// The version of this manifest's form.
const FORMAT: u32 = 2;

#[derive(Serialize)]
struct Manifest<'a> {
    manifest: u32,
    ranks: u32,
    groups: &'a BTreeMap<u32, Vec<u32>>,
    files: Vec<Described>,
}

/// A file, and the ranks that have it as inclusive ranges.
#[derive(Serialize)]
struct Described {
    ranks: Vec<[u32; 2]>,
    digest: String,
    bytes: usize,
    #[serde(flatten)]
    content: Content,
}

/// What is in a file.
#[derive(Default, Serialize)]
struct Content {
    nodes: BTreeMap<&'static str, u64>,
    dependencies: u64,
    compute_us: u64,
    collectives: Vec<Collective>,
    sends: Vec<Peer>,
    receives: Vec<Peer>,
}

#[derive(Serialize)]
struct Collective {
    r#type: &'static str,
    size_bytes: u64,
    group: Option<u32>,
    count: u64,
}

/// The messages between a rank and another.
#[derive(Clone, Copy, Serialize)]
struct Peer {
    rank: u32,
    messages: u64,
    bytes: u64,
    /// The lowest and the highest.
    tags: [u32; 2],
}

/// `manifest.json` of a bundle and its communicator groups, ending with a line break. `digest_of` names the bytes of a
/// file; files are read on several threads. The same bundle always gives the same bytes.
///
/// # Errors
/// A file is not a valid trace, or a node of communication lacks what it needs.
pub fn manifest(
    bundle: &Bundle,
    groups: &BTreeMap<u32, Vec<u32>>,
    digest_of: impl Fn(&[u8]) -> String + Sync,
    jobs: NonZeroUsize,
) -> Result<Vec<u8>> {
    let mut ranks = bundle.ranges_of_files();
    let described = in_parallel(bundle.files.len(), jobs, |file| {
        let bytes = &bundle.files[file];
        let content = Content::of(bytes).map_err(|error| error.in_file(format!("trace file {file}")))?;
        Ok(Described { ranks: Vec::new(), digest: digest_of(bytes), bytes: bytes.len(), content })
    });
    let mut files = described.into_iter().collect::<Result<Vec<Described>>>()?;
    for (file, ranks) in files.iter_mut().zip(&mut ranks) {
        file.ranks = std::mem::take(ranks);
    }
    let manifest = Manifest { manifest: FORMAT, ranks: bundle.ranks(), groups, files };
    let mut text = serde_json::to_vec(&manifest).map_err(|error| Error::failed(error.to_string()))?;
    text.push(b'\n');
    Ok(text)
}

impl Content {
    fn of(bytes: &[u8]) -> Result<Self> {
        let mut content = Self::default();
        let mut collectives: BTreeMap<CollectiveUse, u64> = BTreeMap::new();
        let (mut sends, mut receives) = (BTreeMap::new(), BTreeMap::new());
        for node in Reader::from_bytes("", bytes)? {
            let node = node?;
            content.dependencies += (node.control_deps.len() + node.data_deps.len()) as u64;
            let name = match NodeType::try_from(node.kind) {
                Ok(NodeType::Compute) => {
                    content.compute_us = content.compute_us.saturating_add(node.duration_micros);
                    "compute"
                }
                Ok(NodeType::Collective) => {
                    *collectives.entry(attributes::collective(&node)?).or_default() += 1;
                    "collective"
                }
                Ok(NodeType::Send) => {
                    add_message(&mut sends, &node, names::COMM_DST)?;
                    "send"
                }
                Ok(NodeType::Recv) => {
                    add_message(&mut receives, &node, names::COMM_SRC)?;
                    "receive"
                }
                _ => "other",
            };
            *content.nodes.entry(name).or_default() += 1;
        }
        content.collectives = collectives.into_iter().map(describe).collect();
        content.sends = sends.into_values().collect();
        content.receives = receives.into_values().collect();
        Ok(content)
    }
}

fn describe((used, count): (CollectiveUse, u64)) -> Collective {
    Collective { r#type: used.kind.as_str(), size_bytes: used.size_bytes, group: used.group, count }
}

/// Adds a message to those of its peer. Ranks and tags are read as the simulator reads them, as 32-bit numbers.
fn add_message(peers: &mut BTreeMap<u32, Peer>, node: &Node, peer: &str) -> Result<()> {
    let rank = attributes::required_integer(node, peer)? as u32;
    let tag = attributes::required_integer(node, names::COMM_TAG)? as u32;
    let known = peers.entry(rank).or_insert(Peer { rank, messages: 0, bytes: 0, tags: [tag; 2] });
    known.messages += 1;
    known.bytes = known.bytes.saturating_add(attributes::comm_size(node)?);
    known.tags = [known.tags[0].min(tag), known.tags[1].max(tag)];
    Ok(())
}
