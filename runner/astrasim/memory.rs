//! Reads a remote memory file.

use astra_engine::{MemoryTiming, Nanos, RemoteMemory};
use serde_json::{Map, Value as Json};

use crate::{Error, Result};

const TYPES: [&str; 4] =
    ["NO_MEMORY_EXPANSION", "PER_NPU_MEMORY_EXPANSION", "PER_NODE_MEMORY_EXPANSION", "MEMORY_POOL"];

/// The remote memory of a file; fractions of its numbers are cut off, as in the simulator.
///
/// # Errors
///
/// Text that is no JSON object, no or an unknown `memory-type`, a number of the wrong kind.
pub fn read_remote_memory(bytes: &[u8], file: &str) -> Result<RemoteMemory> {
    let keys = super::json_object(bytes, file, "a remote memory with `memory-type`")?;
    read(&keys).map_err(|error| error.in_file(file))
}

fn read(keys: &Map<String, Json>) -> Result<RemoteMemory> {
    let kind = keys.get("memory-type").and_then(Json::as_str).ok_or_else(|| {
        Error::input("missing memory type").key("memory-type").hint(format!("one of {}", TYPES.join(", ")))
    })?;
    let timing = || -> Result<MemoryTiming> {
        let latency = Nanos(number(keys, "remote-mem-latency")?.into());
        Ok(MemoryTiming { latency, bytes_per_ns: number(keys, "remote-mem-bw")? })
    };
    match kind {
        "NO_MEMORY_EXPANSION" => Ok(RemoteMemory::None),
        "PER_NPU_MEMORY_EXPANSION" => Ok(RemoteMemory::PerNpu(timing()?)),
        "PER_NODE_MEMORY_EXPANSION" => Ok(RemoteMemory::PerNode {
            timing: timing()?,
            nodes: number(keys, "num-nodes")?,
            npus_per_node: number(keys, "num-npus-per-node")?,
        }),
        "MEMORY_POOL" => Ok(RemoteMemory::Pool(timing()?)),
        _ => {
            let error = Error::input(format!("unknown memory type `{kind}`")).key("memory-type");
            Err(error.suggest(kind, TYPES).hint(format!("one of {}", TYPES.join(", "))))
        }
    }
}

fn number(keys: &Map<String, Json>, key: &str) -> Result<u32> {
    let Some(value) = keys.get(key) else { return Ok(0) };
    match value.as_f64().map(f64::trunc) {
        Some(number) if (0.0..=f64::from(u32::MAX)).contains(&number) => Ok(number as u32),
        _ => Err(Error::input(format!("expected a number from 0 to 2^32 - 1, found {value}")).key(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_of_a_bandwidth_are_cut_off() {
        let text = br#"{"memory-type": "MEMORY_POOL", "remote-mem-latency": 100, "remote-mem-bw": 4.9}"#;
        let timing = MemoryTiming { latency: Nanos(100), bytes_per_ns: 4 };
        assert_eq!(read_remote_memory(text, "m.json").unwrap(), RemoteMemory::Pool(timing));
    }

    #[test]
    fn a_memory_that_is_none_of_the_kinds_is_refused() {
        for text in [
            r#"{"memory-type": "POOL"}"#,
            "{}",
            "[]",
            r#"{"memory-type": "MEMORY_POOL", "remote-mem-bw": -1}"#,
        ] {
            assert!(read_remote_memory(text.as_bytes(), "m.json").is_err(), "{text}");
        }
    }
}
