//! Bytes as a file holds them: one zstd frame that says how many they are.

use crate::error::{Error, ErrorKind, Result};
use crate::remote::checked::too_long;
use zstd::zstd_safe;

/// Fast: on the way of every blob that is pushed.
const LEVEL: i32 = 1;

/// Makes frames.
pub(super) struct Compressor(zstd::bulk::Compressor<'static>);

impl Compressor {
    pub(super) fn new() -> Result<Self> {
        zstd::bulk::Compressor::new(LEVEL).map(Self).map_err(|e| no_memory(&e))
    }

    pub(super) fn compress(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        self.0.compress(bytes).map_err(|e| no_memory(&e))
    }
}

fn no_memory(e: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot compress: {e}"))
}

/// No frame of so many bytes is longer.
pub(super) fn most_frame_bytes(bytes: u64) -> u64 {
    // A block of 128 KiB that does not shrink takes 3 bytes more; the head of a frame takes less than 32.
    (bytes >> 17).saturating_mul(3).saturating_add(bytes).saturating_add(64)
}

/// Reads frames.
pub(super) struct Decompressor(zstd::bulk::Decompressor<'static>);

impl Decompressor {
    pub(super) fn new() -> Result<Self> {
        zstd::bulk::Decompressor::new().map(Self).map_err(|e| no_memory(&e))
    }

    /// The bytes of a file that is one frame of at most so many bytes; else what is wrong with it. No more memory is
    /// taken than the frame says, and no more than is allowed.
    pub(super) fn decompress(&mut self, frame: &[u8], most_bytes: u64) -> Result<Vec<u8>, String> {
        let damaged = || "the file is damaged: it is not one compressed frame".to_owned();
        if zstd_safe::find_frame_compressed_size(frame) != Ok(frame.len()) {
            return Err(damaged());
        }
        let len = zstd_safe::get_frame_content_size(frame).ok().flatten();
        let len = len.ok_or_else(|| "the file is damaged: it does not say its length".to_owned())?;
        if len > most_bytes {
            return Err(too_long(len, most_bytes));
        }
        let capacity = usize::try_from(len).map_err(|_| damaged())?;
        let bytes = self.0.decompress(frame, capacity).map_err(|_| damaged())?;
        match bytes.len() as u64 == len {
            true => Ok(bytes),
            false => Err(damaged()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn decompress(frame: &[u8], most: u64) -> Result<Vec<u8>, String> {
        Decompressor::new().unwrap().decompress(frame, most)
    }

    #[test]
    fn bytes_come_back_and_no_frame_is_longer_than_stated() {
        let mut noise = vec![0; 3 << 17];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        for len in [0, 1, 100, 1 << 17, (1 << 17) + 1, noise.len()] {
            let frame = Compressor::new().unwrap().compress(&noise[..len]).unwrap();
            assert!(frame.len() as u64 <= most_frame_bytes(len as u64), "{len}: {}", frame.len());
            assert_eq!(decompress(&frame, len as u64).unwrap(), noise[..len]);
        }
    }

    #[test]
    fn a_bomb_a_rest_and_a_cut_frame_are_refused() {
        let bomb = Compressor::new().unwrap().compress(&vec![0; 100 << 20]).unwrap();
        assert!(bomb.len() < 20_000);
        let error = decompress(&bomb, 1000).unwrap_err();
        assert_eq!(error, format!("it has {} bytes, and at most 1000 were expected", 100 << 20));
        let frame = Compressor::new().unwrap().compress(b"some bytes").unwrap();
        for wrong in [&[&frame[..], b"x"].concat(), &[&frame[..], &frame].concat()] {
            assert!(decompress(wrong, 1000).is_err());
        }
        (0..frame.len()).for_each(|at| assert!(decompress(&frame[..at], 1000).is_err(), "cut to {at}"));
        // A stream does not know its length when it begins.
        let mut stream = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        stream.write_all(b"some bytes").and_then(|()| stream.flush()).unwrap();
        let stream = stream.finish().unwrap();
        assert!(decompress(&stream, 1000).unwrap_err().contains("does not say its length"));
    }
}
