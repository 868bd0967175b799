//! Loads the custom collectives that a system file names.
//!
//! Paths are taken as they are, relative to the working directory, as the original does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use astra_engine::{CustomCollective, CustomCollectives, CustomTrace};

use crate::astrasim::{CustomFiles, read_per_node};
use crate::error::{Error, Result};
use crate::et::{Bundle, lower_custom};
use crate::files;

/// The files of the custom collectives that a system file names, as they were when they were read.
#[derive(Clone, Debug, Default)]
pub struct CustomSources {
    named: CustomFiles,
    /// The table of collectives by node.
    table: Option<Arc<[u8]>>,
    prefix_of_node: BTreeMap<u64, String>,
    /// By prefix, in the order in which they are named, the traces of members.
    traces: BTreeMap<String, BTreeMap<u32, Arc<[u8]>>>,
}

impl CustomSources {
    /// Reads the traces of all members, `P.0.et` to `P.<ranks - 1>.et` as far as they are there: a collective in a
    /// communicator group needs only as many as the group has members.
    ///
    /// # Errors
    /// A file that cannot be read, or a prefix without any trace.
    pub fn read(named: &CustomFiles, ranks: u32) -> Result<Self> {
        let mut sources = Self { named: named.clone(), ..Self::default() };
        for prefix in named.of_type.values() {
            sources.read_traces(prefix, ranks)?;
        }
        if let Some(path) = &named.per_node {
            let table = files::read(Path::new(path))?;
            for (node, prefix) in read_per_node(&table, path)? {
                sources.read_traces(&prefix, ranks)?;
                sources.prefix_of_node.insert(node, prefix);
            }
            sources.table = Some(table.into());
        }
        Ok(sources)
    }

    fn read_traces(&mut self, prefix: &str, ranks: u32) -> Result<()> {
        if !self.traces.contains_key(prefix) {
            self.traces.insert(prefix.to_owned(), traces(prefix, ranks)?);
        }
        Ok(())
    }

    /// Whether the system file names none.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// Everything that was read, under names that tell it apart: the path of the table, and of each trace.
    pub fn contents(&self) -> impl Iterator<Item = (String, &Arc<[u8]>)> {
        let table = self.named.per_node.iter().cloned().zip(&self.table);
        let traces = self.traces.iter().flat_map(|(prefix, members)| {
            members.iter().map(|(member, bytes)| (Bundle::file_name(prefix, *member), bytes))
        });
        table.chain(traces)
    }

    /// The collectives as the engine takes them.
    ///
    /// # Errors
    /// A trace that is not valid.
    pub fn load(&self) -> Result<CustomCollectives> {
        let mut custom = CustomCollectives::default();
        let mut index_of: BTreeMap<&str, usize> = BTreeMap::new();
        let mut index = |prefix: &str, custom: &mut CustomCollectives| -> Result<usize> {
            if let Some(&index) = index_of.get(prefix) {
                return Ok(index);
            }
            let (prefix, members) = self.traces.get_key_value(prefix).ok_or_else(|| no_trace(prefix))?;
            custom
                .collectives
                .push(CustomCollective { name: prefix.clone(), traces: lowered(prefix, members)? });
            let index = custom.collectives.len() - 1;
            index_of.insert(prefix, index);
            Ok(index)
        };
        for (&kind, prefix) in &self.named.of_type {
            let index = index(prefix, &mut custom)?;
            custom.of_type.insert(kind, index);
        }
        for (&node, prefix) in &self.prefix_of_node {
            let index = index(prefix, &mut custom)?;
            custom.of_node.insert(node, index);
        }
        Ok(custom)
    }
}

/// The traces of a prefix, by member.
fn traces(prefix: &str, ranks: u32) -> Result<BTreeMap<u32, Arc<[u8]>>> {
    let mut traces = BTreeMap::new();
    for member in 0..ranks {
        let file = Bundle::file_name(prefix, member);
        if Path::new(&file).exists() {
            traces.insert(member, files::read(Path::new(&file))?.into());
        }
    }
    if traces.is_empty() { Err(no_trace(prefix)) } else { Ok(traces) }
}

fn no_trace(prefix: &str) -> Error {
    let error = Error::input("no such file").in_file(Bundle::file_name(prefix, 0));
    error.hint("prefixes of custom collectives are relative to the working directory")
}

/// The traces decoded, equal ones once.
fn lowered(prefix: &str, members: &BTreeMap<u32, Arc<[u8]>>) -> Result<BTreeMap<u32, Arc<CustomTrace>>> {
    let mut known: BTreeMap<&[u8], Arc<CustomTrace>> = BTreeMap::new();
    let mut traces = BTreeMap::new();
    for (member, bytes) in members {
        let trace = match known.get(&**bytes) {
            Some(trace) => Arc::clone(trace),
            None => {
                let trace = Arc::new(lower_custom(&Bundle::file_name(prefix, *member), bytes)?);
                known.insert(bytes, Arc::clone(&trace));
                trace
            }
        };
        traces.insert(*member, trace);
    }
    Ok(traces)
}
