//! A bundle: the traces of all ranks, equal ones held once, and what is known about them.
//!
//! Knows bytes, ranks and collectives; where a bundle is kept, and under which prefix, is for others to say.

use artifact_store::SharedBytes;
use std::collections::{BTreeMap, BTreeSet};

use astra_engine::CollectiveType;

use super::attributes;
use super::reader::Reader;
use super::schema::{Node, NodeType};
use super::writer::Writer;
use crate::{Error, Result};

/// The most ranks a bundle may have.
pub const MAX_RANKS: u32 = 1 << 24;

/// A collective some rank takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CollectiveUse {
    /// What kind of collective.
    pub kind: CollectiveType,
    /// ASTRA-sim's `comm_size`: for an all-gather what one rank contributes, otherwise the whole buffer.
    pub size_bytes: u64,
    /// The communicator group; `None` is all ranks.
    pub group: Option<u32>,
}

/// What is in one trace file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many nodes there are.
    pub nodes: u64,
    /// Which collectives the nodes ask for.
    pub collectives: BTreeSet<CollectiveUse>,
}

impl Summary {
    /// Reads a file and sums it up.
    ///
    /// # Errors
    /// The file is not a valid trace, or a collective lacks its type or size.
    pub fn of_file(file: &str, bytes: &[u8]) -> Result<Self> {
        let mut summary = Self::default();
        for node in Reader::from_bytes(file, bytes)? {
            let node = node?;
            summary.add(&node).map_err(|e| e.in_file(file))?;
        }
        Ok(summary)
    }

    fn add(&mut self, node: &Node) -> Result<()> {
        self.nodes += 1;
        if node.kind == NodeType::Collective as i32 {
            self.collectives.insert(attributes::collective(node)?);
        }
        Ok(())
    }
}

/// What the trace files of a bundle are called, for messages: usually by their prefix alone.
pub trait TraceNames {
    /// What all have in front of rank and ending.
    fn prefix(&self) -> &str;

    /// The name of a rank's file.
    fn of_rank(&self, rank: u32) -> String;
}

impl TraceNames for str {
    fn prefix(&self) -> &str {
        self
    }

    fn of_rank(&self, rank: u32) -> String {
        Bundle::file_name(self, rank)
    }
}

/// The trace files of all ranks. File `<prefix>.<rank>.et` has the bytes `files[file_of_rank[rank]]`.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The distinct files, in the order in which ranks first use them.
    pub files: Vec<SharedBytes>,
    /// For each rank the index of its file.
    pub file_of_rank: Vec<u32>,
    /// What is in each of the distinct files.
    pub summaries: Vec<Summary>,
}

impl Bundle {
    /// A bundle of existing files, one per rank, each with the name that errors mention.
    ///
    /// # Errors
    /// There are no files or too many, or one of them is not a valid trace.
    pub fn from_files(files: impl IntoIterator<Item = (String, SharedBytes)>) -> Result<Self> {
        Self::of_ranks(files.into_iter().map(|(name, bytes)| {
            let summary = Summary::of_file(&name, &bytes);
            summary.map(|summary| (bytes, summary))
        }))
    }

    /// A bundle in which every rank has the same file.
    pub(super) fn uniform(file: FileWriter, ranks: u32) -> Result<Self> {
        check_ranks(u64::from(ranks))?;
        let (bytes, summary) = file.finish();
        Ok(Self { files: vec![bytes], file_of_rank: vec![0; ranks as usize], summaries: vec![summary] })
    }

    /// A bundle of one file per rank; equal ones are kept once.
    pub(super) fn of_ranks(ranks: impl IntoIterator<Item = Result<(SharedBytes, Summary)>>) -> Result<Self> {
        let mut bundle = Self { files: Vec::new(), file_of_rank: Vec::new(), summaries: Vec::new() };
        let mut known: BTreeMap<SharedBytes, u32> = BTreeMap::new();
        for rank in ranks {
            let (bytes, summary) = rank?;
            check_ranks(bundle.file_of_rank.len() as u64 + 1)?;
            let next = bundle.files.len() as u32;
            let file = *known.entry(bytes.clone()).or_insert(next);
            if file == next {
                bundle.files.push(bytes);
                bundle.summaries.push(summary);
            }
            bundle.file_of_rank.push(file);
        }
        check_ranks(bundle.file_of_rank.len() as u64)?;
        Ok(bundle)
    }

    /// The same bundle with files that have become equal kept once.
    pub(super) fn deduplicated(&self) -> Result<Self> {
        Self::of_ranks(self.file_of_rank.iter().map(|&file| {
            let file = file as usize;
            Ok((self.files[file].clone(), self.summaries[file].clone()))
        }))
    }

    /// How many ranks there are.
    pub fn ranks(&self) -> u32 {
        self.file_of_rank.len() as u32
    }

    /// The trace of a rank, if there is such a rank.
    pub fn file_of(&self, rank: u32) -> Option<&SharedBytes> {
        self.files.get(*self.file_of_rank.get(rank as usize)? as usize)
    }

    /// Every collective that some rank takes part in.
    pub fn collectives(&self) -> BTreeSet<CollectiveUse> {
        self.summaries.iter().flat_map(|s| s.collectives.iter().copied()).collect()
    }

    /// The usual name of a rank's file.
    pub fn file_name(prefix: &str, rank: u32) -> String {
        format!("{prefix}.{rank}.et")
    }

    /// For each distinct file the ranks that have it, as inclusive ranges.
    pub(super) fn ranges_of_files(&self) -> Vec<Vec<[u32; 2]>> {
        let mut ranges: Vec<Vec<[u32; 2]>> = vec![Vec::new(); self.files.len()];
        for (rank, file) in (0_u32..).zip(&self.file_of_rank) {
            let ranges = &mut ranges[*file as usize];
            match ranges.last_mut() {
                Some([_, last]) if *last + 1 == rank => *last = rank,
                _ => ranges.push([rank, rank]),
            }
        }
        ranges
    }
}

pub(super) fn check_ranks(ranks: u64) -> Result<()> {
    if (1..=u64::from(MAX_RANKS)).contains(&ranks) {
        Ok(())
    } else {
        Err(Error::input(format!("{ranks} ranks, expected between 1 and {MAX_RANKS}")).key("ranks"))
    }
}

/// One trace file being built in memory, summed up as it is written.
pub(super) struct FileWriter {
    writer: Writer<Vec<u8>>,
    summary: Summary,
}

const IN_MEMORY: &str = "writing to memory cannot fail";

impl FileWriter {
    pub(super) fn new() -> Self {
        Self { writer: Writer::new(Vec::new()).expect(IN_MEMORY), summary: Summary::default() }
    }

    /// Appends a node.
    ///
    /// # Errors
    /// The node is a collective without type or size.
    pub(super) fn node(&mut self, node: &Node) -> Result<()> {
        self.summary.add(node)?;
        self.writer.node(node).expect(IN_MEMORY);
        Ok(())
    }

    pub(super) fn finish(self) -> (SharedBytes, Summary) {
        (self.writer.finish().expect(IN_MEMORY).into(), self.summary)
    }
}
