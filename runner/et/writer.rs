//! Writes trace files: one metadata message, then nodes, each preceded by its length.
//!
//! Equal nodes give equal bytes: fields in the order of their numbers, dependency lists packed, zero scalars left out,
//! attribute values written even when they are zero.

use std::io::{self, Write};

use prost::Message;

use super::schema::{Metadata, Node};

/// The schema version this project writes, and DeepFlow wrote.
pub const SCHEMA_VERSION: &str = "0.0.4";

/// A trace file being written. Buffers one node at a time: give it a buffered writer, or a `Vec<u8>`.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    buffer: Vec<u8>,
}

impl Writer<Vec<u8>> {
    /// A whole file in memory.
    pub fn file(metadata: &Metadata, nodes: &[Node]) -> Vec<u8> {
        const IN_MEMORY: &str = "writing to memory cannot fail";
        let mut writer = Self::with_metadata(Vec::new(), metadata).expect(IN_MEMORY);
        nodes.iter().for_each(|node| writer.node(node).expect(IN_MEMORY));
        writer.out
    }
}

impl<W: Write> Writer<W> {
    /// Starts a file with this project's metadata: the schema version, nothing else.
    ///
    /// # Errors
    /// What the underlying writer reports; likewise for the other methods.
    pub fn new(out: W) -> io::Result<Self> {
        Self::with_metadata(out, &Metadata { version: SCHEMA_VERSION.to_owned(), attributes: Vec::new() })
    }

    /// Starts a file with given metadata.
    pub fn with_metadata(out: W, metadata: &Metadata) -> io::Result<Self> {
        let mut writer = Self { out, buffer: Vec::new() };
        writer.message(metadata)?;
        Ok(writer)
    }

    /// Appends a node.
    pub fn node(&mut self, node: &Node) -> io::Result<()> {
        self.message(node)
    }

    /// Flushes and gives back what was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn message(&mut self, message: &impl Message) -> io::Result<()> {
        self.buffer.clear();
        message
            .encode_length_delimited(&mut self.buffer)
            .expect("a vector grows, and running out of room is the only way encoding fails");
        self.out.write_all(&self.buffer)
    }
}
