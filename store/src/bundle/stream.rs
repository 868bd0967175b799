//! The bytes of a bundle: compressed, hashed, counted, and never more in memory than one field.

use super::MAGIC;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use std::io::{self, BufRead, BufReader, Read, Write};

/// Bundles are written once and travel far.
const LEVEL: i32 = 3;

/// A frame that needs a larger window to be read was not written here: 8 MiB.
const MOST_WINDOW_LOG: u32 = 23;

/// Nothing that is worth sending shrinks so much…
const MOST_EXPANSION: u64 = 1000;

/// …in so many bytes.
const EXPANSION_FROM: u64 = 256 << 20;

/// A field is read in pieces of so many bytes, so that a length that lies takes no memory.
const PIECE_BYTES: u64 = 1 << 20;

/// Writes a bundle.
pub(super) struct Sink<W: Write> {
    out: zstd::stream::write::Encoder<'static, Hashed<W>>,
}

/// Hashes what goes out.
struct Hashed<W> {
    out: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W: Write> Sink<W> {
    pub(super) fn new(out: W) -> Result<Self> {
        let mut out = Hashed { out, hasher: blake3::Hasher::new() };
        let out = out
            .write_all(MAGIC.letters)
            .and_then(|()| out.write_all(&[MAGIC.version]))
            .and_then(|()| zstd::stream::write::Encoder::new(out, LEVEL));
        Ok(Self { out: out.map_err(|e| failed(&e))? })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|e| failed(&e))
    }

    pub(super) fn u64(&mut self, value: u64) -> Result<()> {
        self.write(&value.to_le_bytes())
    }

    /// Ends the frame and appends the hash of everything.
    pub(super) fn finish(self) -> Result<()> {
        let ended = self.out.finish().and_then(|Hashed { mut out, hasher }| {
            out.write_all(hasher.finalize().as_bytes())?;
            out.flush()
        });
        ended.map_err(|e| failed(&e))
    }
}

fn failed(e: &io::Error) -> Error {
    let kind = match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
        _ => ErrorKind::Io,
    };
    Error::new(kind, format!("cannot write the bundle: {e}"))
}

/// Reads a bundle.
pub(super) struct Source<R: Read> {
    input: zstd::stream::read::Decoder<'static, Tape<R>>,
    /// Bytes that have come out so far.
    read: u64,
}

/// Hashes and counts what is taken; not what is only looked at ahead.
struct Tape<R> {
    input: BufReader<R>,
    hasher: blake3::Hasher,
    taken: u64,
}

impl<R: Read> Read for Tape<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: Read> BufRead for Tape<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.hasher.update(&self.input.buffer()[..count]);
        self.taken += count as u64;
        self.input.consume(count);
    }
}

impl<R: Read> Source<R> {
    pub(super) fn new(input: R) -> Result<Self> {
        let mut input = Tape { input: BufReader::new(input), hasher: blake3::Hasher::new(), taken: 0 };
        let mut start = [0; 5];
        let [letters @ .., version] = match input.read_exact(&mut start) {
            Ok(()) => start,
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => [0; 5],
            Err(e) => return Err(cannot_read(&e)),
        };
        if letters != *MAGIC.letters {
            return Err(Error::invalid("this is not a bundle: it does not begin like one")
                .hint("name a file that was written by an export"));
        }
        if version != MAGIC.version {
            let message =
                format!("this bundle has format {version}; this program knows format {}", MAGIC.version);
            return Err(Error::new(ErrorKind::NewerFormat, message)
                .hint("use the version of the program that wrote it, or a newer one"));
        }
        let decoder = zstd::stream::read::Decoder::with_buffer(input).and_then(|mut decoder| {
            decoder.window_log_max(MOST_WINDOW_LOG)?;
            Ok(decoder.single_frame())
        });
        Ok(Self { input: decoder.map_err(|e| cannot_read(&e))?, read: 0 })
    }

    /// An error about the place that has been reached.
    pub(super) fn wrong(&self, why: &str) -> Error {
        wrong(self.input.get_ref().taken, why)
    }

    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.input.read_exact(buffer).map_err(|e| self.broken(&e))?;
        self.read += buffer.len() as u64;
        if self.read > EXPANSION_FROM && self.read / MOST_EXPANSION > self.input.get_ref().taken {
            return Err(self.wrong(&format!("it grew more than {MOST_EXPANSION}-fold: a decompression bomb")));
        }
        Ok(())
    }

    fn broken(&self, e: &io::Error) -> Error {
        match e.kind() {
            io::ErrorKind::UnexpectedEof => self.wrong(TOO_EARLY),
            // This is how zstd reports damage.
            io::ErrorKind::Other | io::ErrorKind::InvalidData => self.wrong(&format!("it is damaged: {e}")),
            _ => cannot_read(e),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        self.fill(&mut array)?;
        Ok(array)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A field of this length, of at most so many bytes.
    pub(super) fn bytes(&mut self, len: u64, most: u64, what: &dyn std::fmt::Display) -> Result<Vec<u8>> {
        if len > most {
            return Err(self.wrong(&format!("{what} is said to have {len} bytes; at most {most} are taken")));
        }
        let mut bytes = Vec::new();
        let mut rest = len;
        while rest > 0 {
            let piece = rest.min(PIECE_BYTES);
            let start = bytes.len();
            // Fits: it is at most `PIECE_BYTES`.
            bytes.resize(start + usize::try_from(piece).unwrap_or(usize::MAX), 0);
            self.fill(&mut bytes[start..])?;
            rest -= piece;
        }
        Ok(bytes)
    }

    /// Checks that the frame ends here, the hash of everything, and that nothing follows.
    pub(super) fn finish(mut self) -> Result<()> {
        match self.input.read(&mut [0]) {
            Ok(0) => {}
            Ok(_) => return Err(self.wrong("it has more than it says")),
            Err(e) => return Err(self.broken(&e)),
        }
        let Tape { mut input, hasher, taken } = self.input.finish();
        let expected = *hasher.finalize().as_bytes();
        let mut found = [0; 32];
        match input.read_exact(&mut found) {
            Ok(()) if found == expected => {}
            Ok(()) => {
                let (found, expected) = (Digest::from_bytes(found), Digest::from_bytes(expected));
                let why = format!("it ends with the hash {found} where {expected} was expected");
                return Err(wrong(taken, &why));
            }
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(wrong(taken, TOO_EARLY)),
            Err(e) => return Err(cannot_read(&e)),
        }
        match input.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(wrong(taken, "something follows its end")),
            Err(e) => Err(cannot_read(&e)),
        }
    }
}

const TOO_EARLY: &str = "it ends too early";

/// An error about the place after so many bytes of the file.
fn wrong(taken: u64, why: &str) -> Error {
    Error::invalid(format!("the bundle is refused after {taken} bytes: {why}"))
        .hint("nothing of it is used; copy or export it again")
}

fn cannot_read(e: &io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot read the bundle: {e}"))
}
