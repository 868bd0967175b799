//! How bytes of any length become rows: compressed where that pays, cut so that rows fill their pages.
//!
//! The file gives a row a page of its own, a power of two in size, as soon as it does not fit the smallest. So
//! bytes are cut into *chunk* rows that fill such pages exactly, and the rest, which fits the smallest page,
//! lies in the *head* row. The head says how to put them together; nothing here knows what the bytes are.

use crate::db::{PAGE_BYTES, ReadRows, page_overhead};
use crate::digest::Id;
use crate::shared_bytes::SharedBytes;
use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;

/// The key of a chunk: the owner's name and a big-endian number.
const CHUNK_KEY_BYTES: usize = 32 + 4;

/// The largest chunk takes a page of `PAGE_BYTES << MAX_CHUNK_ORDER`, 1 MiB: larger pages are slower to write.
const MAX_CHUNK_ORDER: u32 = 8;

/// What a head may hold after its own fields and still fit the smallest page.
const MAX_TAIL_BYTES: usize = PAGE_BYTES - page_overhead(32) - HEAD_BYTES;

/// Flags, length, stored length.
const HEAD_BYTES: usize = 1 + 8 + 8;

const COMPRESSED: u8 = 1;
const CHUNKED: u8 = 2;

/// Shorter bytes are not worth an attempt to compress them.
const MIN_COMPRESS_BYTES: usize = 128;

/// Fast, because it is on the way of every new blob.
const COMPRESSION_LEVEL: i32 = 1;

/// A block of 128 KiB takes at least 4 bytes when compressed, so nothing can expand more than this.
const MAX_EXPANSION: u64 = 1 << 15;

/// Up to this length the compressed form is made in a buffer that stays: memory that the system has just given is slow.
const MAX_SCRATCH_BYTES: usize = 4 << 20;

/// Longer bytes are compressed only when one of a few samples is worth it. A sample is longer than what the fast levels
/// look back, so what repeats itself shows.
const MIN_SAMPLED_BYTES: usize = 16 << 20;
const SAMPLE_BYTES: usize = 1 << 20;
const SAMPLES: usize = 4;

/// More than this is reserved only for rows that are really there.
const MAX_RESERVED_BYTES: usize = 1 << 28;

/// What a chunk of this order holds.
pub(crate) const fn chunk_capacity(order: u32) -> usize {
    (PAGE_BYTES << order) - page_overhead(CHUNK_KEY_BYTES)
}

/// Bytes as they will be stored.
pub(crate) struct Payload {
    stored: Stored,
    /// Head row; its tail is a copy of the last of the stored bytes.
    head: Vec<u8>,
    chunks: Vec<Range<usize>>,
}

enum Stored {
    Plain(SharedBytes),
    Compressed(Vec<u8>),
}

impl Payload {
    pub(crate) fn new(bytes: SharedBytes) -> Self {
        let len = bytes.len() as u64;
        let stored = match compress(&bytes) {
            Some(smaller) => Stored::Compressed(smaller),
            None => Stored::Plain(bytes),
        };
        let (data, compressed) = match &stored {
            Stored::Plain(bytes) => (&bytes[..], 0),
            Stored::Compressed(bytes) => (&bytes[..], COMPRESSED),
        };
        let chunks = cut(data.len());
        let tail = &data[chunks.last().map_or(0, |chunk| chunk.end)..];
        let chunked = if chunks.is_empty() { 0 } else { CHUNKED };
        let mut head = Vec::with_capacity(HEAD_BYTES + tail.len());
        head.push(compressed | chunked);
        if compressed | chunked != 0 {
            head.extend_from_slice(&len.to_le_bytes());
            head.extend_from_slice(&(data.len() as u64).to_le_bytes());
        }
        head.extend_from_slice(tail);
        Self { stored, head, chunks }
    }

    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The chunk rows of this owner, in order of their keys.
    pub(crate) fn chunks<'a>(
        &'a self,
        owner: &'a Id,
    ) -> impl Iterator<Item = ([u8; CHUNK_KEY_BYTES], &'a [u8])> {
        let data = match &self.stored {
            Stored::Plain(bytes) => &bytes[..],
            Stored::Compressed(bytes) => &bytes[..],
        };
        (0u32..)
            .zip(&self.chunks)
            .map(move |(number, range)| (chunk_key(owner, number), &data[range.clone()]))
    }

    /// Memory this holds beside the bytes it was made from.
    pub(crate) fn own_bytes(&self) -> usize {
        let compressed = match &self.stored {
            Stored::Plain(_) => 0,
            Stored::Compressed(bytes) => bytes.len(),
        };
        compressed + self.head.len()
    }

    /// All memory this holds, where nobody else holds the bytes it was made from.
    pub(crate) fn memory_bytes(&self) -> usize {
        let plain = match &self.stored {
            Stored::Plain(bytes) => bytes.len(),
            Stored::Compressed(_) => 0,
        };
        plain + self.own_bytes()
    }
}

pub(crate) fn chunk_key(owner: &Id, number: u32) -> [u8; CHUNK_KEY_BYTES] {
    let mut key = [0; CHUNK_KEY_BYTES];
    key[..32].copy_from_slice(owner);
    key[32..].copy_from_slice(&number.to_be_bytes());
    key
}

/// Where to cut: chunks that fill their pages (the last one to 15/16 at least), and a rest that fits the head.
fn cut(len: usize) -> Vec<Range<usize>> {
    let mut chunks = Vec::new();
    let mut at = 0;
    while len - at > MAX_TAIL_BYTES {
        let rest = len - at;
        let fitting = (0..=MAX_CHUNK_ORDER).rev().find(|&order| chunk_capacity(order) <= rest);
        let next = fitting.map_or(0, |order| order + 1);
        let nearly_full = next <= MAX_CHUNK_ORDER && rest >= chunk_capacity(next) / 16 * 15;
        let size = match fitting {
            Some(order) if !nearly_full => chunk_capacity(order),
            _ => rest,
        };
        chunks.push(at..at + size);
        at += size;
    }
    chunks
}

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The compressed form, if it saves a tenth.
fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() < MIN_COMPRESS_BYTES {
        return None;
    }
    COMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Some(Compressor::new()?);
        }
        slot.as_mut()?.compress(bytes)
    })
}

struct Compressor {
    zstd: zstd::bulk::Compressor<'static>,
    scratch: Vec<u8>,
}

impl Compressor {
    fn new() -> Option<Self> {
        let zstd = zstd::bulk::Compressor::new(COMPRESSION_LEVEL).ok()?;
        Some(Self { zstd, scratch: Vec::new() })
    }

    fn compress(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if bytes.len() <= MAX_SCRATCH_BYTES {
            return self.compress_short(bytes).map(<[u8]>::to_vec);
        }
        if bytes.len() >= MIN_SAMPLED_BYTES && !self.some_sample_shrinks(bytes) {
            return None;
        }
        let mut out = Vec::with_capacity(worth(bytes.len()));
        self.zstd.compress_to_buffer(bytes, &mut out).ok()?;
        Some(out)
    }

    fn compress_short(&mut self, bytes: &[u8]) -> Option<&[u8]> {
        let room = worth(bytes.len());
        if self.scratch.len() < room {
            self.scratch.resize(room, 0);
        }
        // No room for the result means that it does not pay.
        let len = self.zstd.compress_to_buffer(bytes, &mut self.scratch[..room]).ok()?;
        Some(&self.scratch[..len])
    }

    fn some_sample_shrinks(&mut self, bytes: &[u8]) -> bool {
        let step = (bytes.len() - SAMPLE_BYTES) / (SAMPLES - 1);
        (0..SAMPLES).any(|i| self.compress_short(&bytes[i * step..][..SAMPLE_BYTES]).is_some())
    }
}

/// What the compressed form may take.
fn worth(len: usize) -> usize {
    len / 10 * 9
}

fn decompress(stored: &[u8], len: u64) -> Option<Vec<u8>> {
    // The head and the compressed data must agree before memory is reserved for what they say.
    if zstd::zstd_safe::get_frame_content_size(stored).ok().flatten() != Some(len) {
        return None;
    }
    let len = usize::try_from(len).ok()?;
    let mut bytes = Vec::with_capacity(len);
    DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Some(zstd::bulk::Decompressor::new().ok()?);
        }
        slot.as_mut()?.decompress_to_buffer(stored, &mut bytes).ok()
    })?;
    (bytes.len() == len).then_some(bytes)
}

/// What a head row says.
pub(crate) struct Head<'a> {
    flags: u8,
    /// Length of the bytes.
    pub(crate) len: u64,
    /// Length of what is stored of them, in all rows.
    pub(crate) stored_len: u64,
    tail: &'a [u8],
}

impl<'a> Head<'a> {
    /// `None` when the row makes no sense.
    pub(crate) fn read(row: &'a [u8]) -> Option<Self> {
        let (&flags, rest) = row.split_first()?;
        if flags & !(COMPRESSED | CHUNKED) != 0 {
            return None;
        }
        if flags == 0 {
            let len = rest.len() as u64;
            return Some(Self { flags, len, stored_len: len, tail: rest });
        }
        let (len, rest) = rest.split_first_chunk::<8>()?;
        let (stored_len, tail) = rest.split_first_chunk::<8>()?;
        let head =
            Self { flags, len: u64::from_le_bytes(*len), stored_len: u64::from_le_bytes(*stored_len), tail };
        let plausible = match head.flags & COMPRESSED {
            0 => head.len == head.stored_len,
            _ => head.len / MAX_EXPANSION <= head.stored_len,
        };
        plausible.then_some(head)
    }

    pub(crate) fn is_chunked(&self) -> bool {
        self.flags & CHUNKED != 0
    }
}

/// Puts the bytes of an owner together; `None` when a row is missing or makes no sense. Whether they are the
/// right bytes, only their name can tell.
pub(crate) fn read(row: &[u8], owner: &Id, chunks: &impl ReadRows) -> crate::Result<Option<SharedBytes>> {
    let Some(head) = Head::read(row) else { return Ok(None) };
    let stored = match head.is_chunked() {
        true => Cow::Owned(gather(&head, owner, chunks)?),
        false => Cow::Borrowed(head.tail),
    };
    if stored.len() as u64 != head.stored_len {
        return Ok(None);
    }
    let bytes = match head.flags & COMPRESSED {
        0 => Some(stored.into_owned()),
        _ => decompress(&stored, head.len),
    };
    Ok(bytes.map(SharedBytes::from))
}

fn gather(head: &Head<'_>, owner: &Id, chunks: &impl ReadRows) -> crate::Result<Vec<u8>> {
    // A damaged length must not reserve all memory; what is really there may be more.
    let expected = usize::try_from(head.stored_len).unwrap_or(usize::MAX).min(MAX_RESERVED_BYTES);
    let mut bytes = Vec::with_capacity(expected);
    for_each_chunk(owner, chunks, &mut |chunk| bytes.extend_from_slice(chunk))?;
    bytes.extend_from_slice(head.tail);
    Ok(bytes)
}

/// Shows the chunk rows of an owner, in order.
pub(crate) fn for_each_chunk(
    owner: &Id,
    chunks: &impl ReadRows,
    visit: &mut dyn FnMut(&[u8]),
) -> crate::Result<()> {
    let (first, last) = (chunk_key(owner, 0), chunk_key(owner, u32::MAX));
    chunks.scan(&first[..]..=&last[..], &mut |_, value| {
        visit(value);
        Ok(true)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{Db, Table};

    #[test]
    fn cuts_cover_everything_once_and_fill_their_pages() {
        for len in (0..70_000).step_by(13).chain([1 << 20, 3_333_333, (1 << 24) + 1]) {
            let chunks = cut(len);
            let mut at = 0;
            for chunk in &chunks {
                assert_eq!(chunk.start, at, "{len}");
                at = chunk.end;
            }
            assert!(at <= len && len - at <= MAX_TAIL_BYTES, "{len}");
            let pages: usize = chunks
                .iter()
                .map(|c| (c.len() + page_overhead(CHUNK_KEY_BYTES)).next_power_of_two().max(PAGE_BYTES))
                .sum();
            assert!(pages <= (at + PAGE_BYTES) / 15 * 17, "{len} bytes would take {pages}");
        }
    }

    #[test]
    fn the_rows_of_a_payload_are_pinned() {
        let inline = Payload::new(SharedBytes::from(&b"abc"[..]));
        assert_eq!(inline.head(), b"\0abc");
        let mut noise = vec![0; 70_000];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        let chunked = Payload::new(noise.clone().into());
        let tail = &noise[chunk_capacity(4) + chunk_capacity(0)..];
        let len = &[0x70, 0x11, 1, 0, 0, 0, 0, 0];
        assert_eq!(chunked.head(), [&[CHUNKED][..], len, len, tail].concat());
        let mut owner_and_number = [7; 36];
        owner_and_number[32..].copy_from_slice(&[0, 0, 0, 1]);
        let second = chunked.chunks(&[7; 32]).nth(1).unwrap();
        assert_eq!(second, (owner_and_number, &noise[chunk_capacity(4)..][..chunk_capacity(0)]));
    }

    #[test]
    fn only_what_shrinks_by_a_tenth_is_compressed() {
        assert!(compress(&[7; 4096]).is_some_and(|c| c.len() < 100));
        let mut noise = vec![0; 4096];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        assert_eq!(compress(&noise), None);
        assert_eq!(compress(&[7; MIN_COMPRESS_BYTES - 1]), None);
    }

    #[test]
    fn long_bytes_are_compressed_when_any_sample_shrinks() {
        let mut bytes = vec![0; MIN_SAMPLED_BYTES];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        assert_eq!(compress(&bytes), None);
        // Long repetitions of noise.
        let (first, rest) = bytes.split_at_mut(100_000);
        rest.chunks_mut(100_000).for_each(|chunk| chunk.copy_from_slice(&first[..chunk.len()]));
        assert!(compress(&bytes).is_some_and(|c| c.len() < bytes.len() / 2));
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        let third = bytes.len() / 3;
        bytes[third - SAMPLE_BYTES..2 * third].fill(7);
        let compressed = compress(&bytes).unwrap();
        assert!(compressed.len() < bytes.len() / 4 * 3);
        assert_eq!(decompress(&compressed, bytes.len() as u64).as_deref(), Some(&bytes[..]));
        assert_eq!(decompress(&compressed, bytes.len() as u64 + 1), None);
    }

    #[test]
    fn a_head_that_lies_about_lengths_is_refused() {
        let mut row = vec![COMPRESSED];
        row.extend(u64::MAX.to_le_bytes());
        row.extend(10u64.to_le_bytes());
        row.extend([0; 10]);
        assert!(Head::read(&row).is_none());
        assert!(Head::read(&[]).is_none());
        assert!(Head::read(&[CHUNKED, 1, 2]).is_none());
        assert!(Head::read(&[0x80, 1, 2]).is_none());
    }

    /// Pages that the file uses per chunk row of this length.
    fn pages_of_a_chunk(len: usize) -> f64 {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::create(&directory.path().join("file"), &crate::Options::default()).unwrap();
        let empty = db.try_begin().unwrap().unwrap().used_pages().unwrap();
        let rows = 24 + (1 << 19) / len;
        let change = db.try_begin().unwrap().unwrap();
        let mut chunks = change.table(Table::Chunks).unwrap();
        for i in 0..rows {
            let owner = blake3::hash(&i.to_le_bytes());
            chunks.insert(&chunk_key(owner.as_bytes(), 0), &vec![1; len]).unwrap();
        }
        drop(chunks);
        change.commit().unwrap();
        let used = db.try_begin().unwrap().unwrap().used_pages().unwrap();
        (used - empty) as f64 / rows as f64
    }

    #[test]
    fn a_chunk_fills_its_page_and_one_byte_more_would_take_two() {
        for order in [0, 1, 4, MAX_CHUNK_ORDER] {
            let capacity = chunk_capacity(order);
            let exact = f64::from(1 << order);
            let (full, over) = (pages_of_a_chunk(capacity), pages_of_a_chunk(capacity + 1));
            assert!(full < exact * 1.05 + 0.1, "{capacity} bytes take {full} pages");
            assert!(over > exact * 1.9, "{} bytes take {over} pages", capacity + 1);
        }
    }
}
