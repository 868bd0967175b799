//! What a simulator printed, as far as it is kept: the beginning and the end of each stream.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// How much of the beginning, and as much of the end, of each stream is kept, in bytes.
pub(super) const KEPT: usize = 256 << 10;

/// The beginning and the end of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    head: Vec<u8>,
    /// Up to twice what is kept, so that it has to be moved rarely.
    tail: Vec<u8>,
    total: u64,
}

impl Stream {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let (first, rest) = bytes.split_at(bytes.len().min(KEPT - self.head.len()));
        self.head.extend_from_slice(first);
        self.tail.extend_from_slice(rest);
        if self.tail.len() > 2 * KEPT {
            self.tail.drain(..self.tail.len() - KEPT);
        }
    }

    fn tail(&self) -> &[u8] {
        &self.tail[self.tail.len().saturating_sub(KEPT)..]
    }

    fn left_out(&self) -> u64 {
        self.total - (self.head.len() + self.tail().len()) as u64
    }

    fn write(&self, name: &str, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "== {name}, {} bytes", self.total)?;
        out.write_all(&self.head)?;
        if self.left_out() > 0 {
            writeln!(out, "\n== {} bytes are left out here", self.left_out())?;
        }
        out.write_all(self.tail())?;
        if self.total > 0 && !self.head.ends_with(b"\n") | !self.tail.is_empty() & !self.tail.ends_with(b"\n")
        {
            writeln!(out)?;
        }
        Ok(())
    }

    /// The last lines that are not empty.
    fn last_lines(&self, count: usize) -> Vec<String> {
        let text =
            String::from_utf8_lossy(if self.tail.is_empty() { &self.head } else { self.tail() }).into_owned();
        let mut lines: Vec<String> = text
            .lines()
            .rev()
            .map(|line| line.trim_end().chars().filter(|c| !c.is_control()).take(300).collect())
            .filter(|line: &String| !line.is_empty())
            .take(count)
            .collect();
        lines.reverse();
        lines
    }
}

/// What a simulator printed.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub(super) stdout: Stream,
    pub(super) stderr: Stream,
}

impl Log {
    /// Both streams as text, compressed; what is left out is named.
    pub fn compressed(&self) -> Vec<u8> {
        let mut out = GzEncoder::new(Vec::new(), Compression::default());
        let written =
            self.stdout.write("stdout", &mut out).and_then(|()| self.stderr.write("stderr", &mut out));
        written.and_then(|()| out.finish()).expect("writing to memory does not fail")
    }

    /// The last lines of what it complained of, else of what it said.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let complaints = self.stderr.last_lines(count);
        if complaints.is_empty() { self.stdout.last_lines(count) } else { complaints }
    }
}

/// The text of [`Log::compressed`].
///
/// # Errors
/// When the bytes are not what it gives.
pub fn text_of(compressed: &[u8]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    // Twice head and tail and some headlines: more is not a log.
    GzDecoder::new(compressed).take(5 * KEPT as u64).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(log: &Log) -> String {
        String::from_utf8(text_of(&log.compressed()).unwrap()).unwrap()
    }

    #[test]
    fn a_short_log_is_kept_as_it_is() {
        let mut log = Log::default();
        assert_eq!(text(&log), "== stdout, 0 bytes\n== stderr, 0 bytes\n");
        log.stdout.add(b"one\ntwo\n");
        log.stderr.add(b"oh");
        assert_eq!(text(&log), "== stdout, 8 bytes\none\ntwo\n== stderr, 2 bytes\noh\n");
        assert_eq!(log.last_lines(2), ["oh"]);
        log.stderr = Stream::default();
        assert_eq!(log.last_lines(1), ["two"]);
    }

    #[test]
    fn of_a_long_log_beginning_and_end_are_kept_and_the_cut_is_named() {
        let mut log = Log::default();
        let mut all = Vec::new();
        for number in 0..200_000 {
            let line = format!("line {number}\n");
            log.stdout.add(line.as_bytes());
            all.extend_from_slice(line.as_bytes());
        }
        let text = text(&log);
        let left_out = all.len() - 2 * KEPT;
        let cut = format!("\n== {left_out} bytes are left out here\n");
        let (head, tail) = text.split_once(&cut).unwrap();
        assert!(head.ends_with(std::str::from_utf8(&all[..KEPT]).unwrap()));
        assert!(tail.starts_with(std::str::from_utf8(&all[all.len() - KEPT..]).unwrap()));
        assert_eq!(log.last_lines(2), ["line 199998", "line 199999"]);
        assert!(log.compressed().len() < 2 * KEPT);
    }
}
