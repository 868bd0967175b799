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

/// Reads the traces of all members, `P.0.et` to `P.<ranks - 1>.et` as far as they are there: a collective in a
/// communicator group needs only as many as the group has members.
///
/// # Errors
/// A file that is not there or not valid, or a prefix without any trace.
pub fn load(files: &CustomFiles, ranks: u32) -> Result<CustomCollectives> {
    let mut loaded = Loaded { ranks, collectives: Vec::new(), known: BTreeMap::new() };
    let mut custom = CustomCollectives::default();
    for (&kind, prefix) in &files.of_type {
        custom.of_type.insert(kind, loaded.index(prefix)?);
    }
    if let Some(table) = &files.per_node {
        for (node, prefix) in read_per_node(&files::read(Path::new(table))?, table)? {
            custom.of_node.insert(node, loaded.index(&prefix)?);
        }
    }
    custom.collectives = loaded.collectives;
    Ok(custom)
}

/// Collectives read so far.
struct Loaded {
    ranks: u32,
    collectives: Vec<CustomCollective>,
    known: BTreeMap<String, usize>,
}

impl Loaded {
    fn index(&mut self, prefix: &str) -> Result<usize> {
        if let Some(&index) = self.known.get(prefix) {
            return Ok(index);
        }
        let collective = CustomCollective { name: prefix.to_owned(), traces: traces(prefix, self.ranks)? };
        self.collectives.push(collective);
        self.known.insert(prefix.to_owned(), self.collectives.len() - 1);
        Ok(self.collectives.len() - 1)
    }
}

/// The traces of a prefix; equal files are read once.
fn traces(prefix: &str, ranks: u32) -> Result<BTreeMap<u32, Arc<CustomTrace>>> {
    let mut traces = BTreeMap::new();
    let mut known: BTreeMap<Vec<u8>, Arc<CustomTrace>> = BTreeMap::new();
    for member in 0..ranks {
        let file = Bundle::file_name(prefix, member);
        if !Path::new(&file).exists() {
            continue;
        }
        let bytes = files::read(Path::new(&file))?;
        let trace = match known.get(&bytes) {
            Some(trace) => Arc::clone(trace),
            None => {
                let trace = Arc::new(lower_custom(&file, &bytes)?);
                known.insert(bytes, Arc::clone(&trace));
                trace
            }
        };
        traces.insert(member, trace);
    }
    if traces.is_empty() {
        let error = Error::input("no such file").in_file(Bundle::file_name(prefix, 0));
        return Err(error.hint("prefixes of custom collectives are relative to the working directory"));
    }
    Ok(traces)
}
