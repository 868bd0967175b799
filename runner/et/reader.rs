//! Reads trace files as a stream, plain or gzip, without trusting a byte of them.
//!
//! Holds one message at a time; memory grows with the bytes that are there, never with a length that is claimed. What
//! is wrong is reported with the file and the byte at which it stands. Framing: `proto/chakra.proto`.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use prost::Message;

use super::schema::{Metadata, Node, NodeType};
use crate::{Error, ErrorKind, Result};

/// The longest message that is accepted. A node of a real trace has some hundred bytes; metadata that carries a whole
/// algorithm description has tens of thousands.
pub const MAX_MESSAGE_BYTES: u64 = 16 << 20;

/// Lengths are 32-bit varints.
const MAX_LENGTH_BYTES: u32 = 5;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The bytes of a file without compression.
///
/// # Errors
/// The file is compressed and damaged.
pub fn plain(file: &str, bytes: &Arc<[u8]>) -> Result<Arc<[u8]>> {
    if !bytes.starts_with(&GZIP_MAGIC) {
        return Ok(Arc::clone(bytes));
    }
    let mut plain = Vec::new();
    MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain).map_err(|e| io_error(file, &e))?;
    Ok(plain.into())
}

/// A stream without compression.
///
/// # Errors
/// Its beginning cannot be read.
pub(super) fn plain_stream<'a>(file: &str, stream: impl Read + 'a) -> Result<Box<dyn BufRead + 'a>> {
    let (source, gzip) = look_at(file, stream)?;
    Ok(if gzip { decompressed(source) } else { source })
}

/// A stream from its beginning, and whether it is gzip.
fn look_at<'a>(file: &str, mut stream: impl Read + 'a) -> Result<(Box<dyn BufRead + 'a>, bool)> {
    let mut start = Vec::new();
    stream.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut start).map_err(|e| io_error(file, &e))?;
    let gzip = start == GZIP_MAGIC;
    Ok((Box::new(BufReader::with_capacity(1 << 16, io::Cursor::new(start).chain(stream))), gzip))
}

fn decompressed<'a>(source: Box<dyn BufRead + 'a>) -> Box<dyn BufRead + 'a> {
    Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(source)))
}

/// A trace file being read: its metadata, then an iterator over its nodes in file order.
pub struct Reader<'a> {
    file: String,
    source: Box<dyn BufRead + 'a>,
    compressed: bool,
    /// Where the next byte of `source` stands in the (uncompressed) file.
    offset: u64,
    buffer: Vec<u8>,
    metadata: Metadata,
    ended: bool,
}

impl<'a> Reader<'a> {
    /// Starts reading a trace from bytes in memory. `file` is the name that errors mention.
    ///
    /// # Errors
    /// The bytes are empty, or do not begin with global metadata.
    pub fn from_bytes(file: &str, bytes: &'a [u8]) -> Result<Self> {
        Self::open(file, Box::new(bytes), bytes.starts_with(&GZIP_MAGIC))
    }

    /// Starts reading a trace from a stream. `file` is the name that errors mention.
    ///
    /// # Errors
    /// The stream cannot be read, is empty, or does not begin with global metadata.
    pub fn new(file: &str, stream: impl Read + 'a) -> Result<Self> {
        let (source, gzip) = look_at(file, stream)?;
        Self::open(file, source, gzip)
    }

    fn open(file: &str, source: Box<dyn BufRead + 'a>, compressed: bool) -> Result<Self> {
        let source = if compressed { decompressed(source) } else { source };
        let mut reader = Self {
            file: file.to_owned(),
            source,
            compressed,
            offset: 0,
            buffer: Vec::new(),
            metadata: Metadata::default(),
            ended: false,
        };
        reader.read_metadata()?;
        Ok(reader)
    }

    /// The global metadata the file begins with.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The name that errors mention.
    pub fn file(&self) -> &str {
        &self.file
    }

    fn read_metadata(&mut self) -> Result<()> {
        let Some(length) = self.read_length()? else {
            return Err(
                Error::input("the file is empty, expected a Chakra execution trace").in_file(&self.file)
            );
        };
        self.metadata = self.read_message(length, "the global metadata", |bytes| {
            // A node is never valid metadata by intent, but may decode as such: only nodes have a type.
            if Node::decode(bytes).is_ok_and(|node| node.kind != NodeType::Invalid as i32) {
                return Err(
                    "global metadata is missing: the file begins with a node; write the metadata message first"
                        .to_owned(),
                );
            }
            Metadata::decode(bytes)
                .map_err(|e| format!("the file does not begin with the global metadata of a Chakra trace: {e}"))
        })?;
        Ok(())
    }

    fn read_node(&mut self) -> Result<Option<Node>> {
        match self.read_length()? {
            // A zero length ends a trace, as it does for the format's other readers.
            None | Some(0) => Ok(None),
            Some(length) => self
                .read_message(length, "a node", |bytes| {
                    Node::decode(bytes).map_err(|e| format!("this is not a Chakra node: {e}"))
                })
                .map(Some),
        }
    }

    /// The length of the next message; `None` at the end of the file.
    fn read_length(&mut self) -> Result<Option<u64>> {
        let start = self.offset;
        let mut length = 0_u64;
        for position in 0..MAX_LENGTH_BYTES {
            let Some(byte) = self.read_byte()? else {
                return if position == 0 {
                    Ok(None)
                } else {
                    Err(self.wrong(start, "the file is truncated: it ends inside the length of a message"))
                };
            };
            length |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                return Ok(Some(length));
            }
        }
        Err(self.wrong(
            start,
            "the length of a message has more than five bytes; this is not a Chakra trace, or it is corrupt",
        ))
    }

    fn read_byte(&mut self) -> Result<Option<u8>> {
        let byte = loop {
            match self.source.fill_buf() {
                Ok(available) => break available.first().copied(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(io_error(&self.file, &e)),
            }
        };
        if byte.is_some() {
            self.source.consume(1);
            self.offset += 1;
        }
        Ok(byte)
    }

    /// Decodes the next `length` bytes, in place when the source holds them already.
    fn read_message<T>(
        &mut self,
        length: u64,
        what: &str,
        decode: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<T> {
        let start = self.offset;
        let wanted =
            usize::try_from(length).ok().filter(|_| length <= MAX_MESSAGE_BYTES).ok_or_else(|| {
                self.wrong(
                    start,
                    &format!(
                        "{what} claims {length} bytes, more than the {MAX_MESSAGE_BYTES} that are accepted; \
                     this is not a Chakra trace, or it is corrupt"
                    ),
                )
            })?;
        // An error here shows again, and is reported, when the bytes are read below.
        let available = self.source.fill_buf().unwrap_or_default();
        let decoded = if let Some(bytes) = available.get(..wanted) {
            let decoded = decode(bytes);
            self.source.consume(wanted);
            decoded
        } else {
            self.buffer.clear();
            let read = self.source.by_ref().take(length).read_to_end(&mut self.buffer);
            read.map_err(|e| io_error(&self.file, &e))?;
            if self.buffer.len() < wanted {
                let found = self.buffer.len();
                return Err(self.wrong(
                    start,
                    &format!("the file is truncated: {what} has {length} bytes, but only {found} are left"),
                ));
            }
            decode(&self.buffer)
        };
        self.offset += length;
        decoded.map_err(|message| self.wrong(start, &message))
    }

    fn wrong(&self, offset: u64, message: &str) -> Error {
        let place = if self.compressed { "byte (after decompression)" } else { "byte" };
        Error::input(format!("{place} {offset}: {message}")).in_file(&self.file)
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Node>;

    /// The next node; nothing follows an error.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let node = self.read_node().transpose();
        self.ended = !matches!(node, Some(Ok(_)));
        node
    }
}

fn io_error(file: &str, error: &io::Error) -> Error {
    damaged_gzip(error)
        .unwrap_or_else(|| Error::new(ErrorKind::System, format!("cannot read: {error}")))
        .in_file(file)
}

/// The error of decompressing what is no whole gzip; `None` of an error that comes from elsewhere.
pub(super) fn damaged_gzip(error: &io::Error) -> Option<Error> {
    let damaged = matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
    );
    damaged.then(|| {
        Error::input(format!("the gzip data is cut off or damaged: {error}"))
            .hint("`gzip -t` checks a file; copy it, or write it, once more")
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::et::Writer;

    fn nodes() -> Vec<Node> {
        vec![Node::compute(0, "a", 1), Node::send(1, "b", 2, 3, 4).after([0])]
    }

    /// A trace, and the offsets at which a message ends.
    fn trace() -> (Vec<u8>, Vec<usize>) {
        let bytes_of = |nodes: &[Node]| {
            let mut writer = Writer::new(Vec::new()).unwrap();
            nodes.iter().for_each(|n| writer.node(n).unwrap());
            writer.finish().unwrap()
        };
        let nodes = nodes();
        let ends = (0..=nodes.len()).map(|count| bytes_of(&nodes[..count]).len()).collect();
        (bytes_of(&nodes), ends)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<Node>> {
        Reader::from_bytes("x.et", bytes)?.collect()
    }

    /// Gives one byte at a time, and is interrupted before each.
    struct Slow<'a>(&'a [u8], bool);

    impl Read for Slow<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let end = buf.len().min(1);
            self.0.read(&mut buf[..end])
        }
    }

    #[test]
    fn slices_streams_and_gzip_give_the_same_nodes() {
        let (bytes, _) = trace();
        assert_eq!(read(&bytes).unwrap(), nodes());
        assert_eq!(read(&gzip(&bytes)).unwrap(), nodes());
        for bytes in [bytes.clone(), gzip(&bytes)] {
            let reader = Reader::new("x.et", Slow(&bytes, false)).unwrap();
            assert_eq!(reader.metadata().version, "0.0.4");
            assert_eq!(reader.collect::<Result<Vec<_>>>().unwrap(), nodes());
        }
    }

    #[test]
    fn a_file_cut_anywhere_but_between_messages_is_reported_with_file_and_byte() {
        let (bytes, ends) = trace();
        for cut in 0..bytes.len() {
            let result = read(&bytes[..cut]);
            if let Some(whole) = ends.iter().position(|&end| end == cut) {
                assert_eq!(result.unwrap(), nodes()[..whole]);
            } else {
                let error = result.unwrap_err().to_string();
                let expected = if cut == 0 { "x.et: the file is empty" } else { "x.et: byte " };
                assert!(error.starts_with(expected), "cut at {cut}: {error}");
            }
        }
    }

    #[test]
    fn a_compressed_file_cut_anywhere_is_an_error() {
        let bytes = gzip(&trace().0);
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn the_byte_reported_is_where_the_damaged_message_begins() {
        let (mut bytes, ends) = trace();
        // A field number of 0 in the second node.
        bytes[ends[1] + 1] = 0;
        let error = read(&bytes).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("x.et: byte {}: this is not a Chakra node", ends[1] + 1)),
            "{error}"
        );
    }

    #[test]
    fn claimed_lengths_are_not_believed() {
        let (bytes, ends) = trace();
        let metadata = &bytes[..ends[0]];
        for (length, expected) in [
            (&[0xff, 0xff, 0xff, 0xff, 0x0f][..], "claims 4294967295 bytes"),
            (&[0xff, 0xff, 0xff, 0xff, 0x7f], "claims 34359738367 bytes"),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x01], "more than five bytes"),
            (&[0xff, 0xff, 0xff, 0x07], "truncated"),
        ] {
            let error = read(&[metadata, length, &[1, 2, 3]].concat()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_zero_length_ends_reading_and_nothing_follows_an_error() {
        let (bytes, ends) = trace();
        let ended = [&bytes[..ends[1]], &[0], &bytes[ends[1]..]].concat();
        assert_eq!(read(&ended).unwrap(), nodes()[..1]);
        let damaged = [&bytes[..ends[1]], &[1, 0], &bytes[ends[1]..]].concat();
        let results: Vec<_> = Reader::from_bytes("x.et", &damaged).unwrap().collect();
        assert_eq!(results.len(), 2);
        assert!(results[1].is_err());
    }

    #[test]
    fn missing_metadata_is_said_and_empty_metadata_accepted() {
        let (bytes, ends) = trace();
        for start in [ends[0], ends[1]] {
            let error = read(&bytes[start..]).unwrap_err().to_string();
            assert!(error.contains("global metadata"), "{error}");
        }
        assert_eq!(read(&[&[0], &bytes[ends[0]..]].concat()).unwrap(), nodes());
    }

    #[test]
    fn random_bytes_and_random_damage_never_panic() {
        let (bytes, _) = trace();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut refused = 0;
        for _ in 0..20_000 {
            let mut damaged = bytes.clone();
            for _ in 0..random() % 4 {
                let at = random() as usize % damaged.len();
                damaged[at] = random() as u8;
            }
            refused += u32::from(read(&damaged).is_err());
            let noise: Vec<u8> = (0..random() % 64).map(|_| random() as u8).collect();
            refused += u32::from(read(&noise).is_err());
        }
        assert!(refused > 20_000, "only {refused} of 40,000 were refused");
    }

    #[test]
    fn what_the_system_refuses_is_told_from_what_is_damaged() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::PermissionDenied.into())
            }
        }
        let kind = |result: Result<Reader<'_>>| result.err().map(|e| e.kind());
        assert_eq!(kind(Reader::new("x.et", Broken)), Some(ErrorKind::System));
        assert_eq!(kind(Reader::from_bytes("x.et", &[0x1f, 0x8b, 0, 0])), Some(ErrorKind::Input));
    }
}
