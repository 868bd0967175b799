//! Any bytes as a system file, a group file, a remote memory file and a table of custom collectives.

#![no_main]

use astra_engine::{Dialect, RemoteMemory};
use astra_store::astrasim::{SystemFile, SystemOptions, read_groups, read_per_node, read_remote_memory};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((file, _)) = SystemFile::parse(bytes, "s.json") {
        for &dialect in Dialect::ALL {
            let system = file.system(dialect, &SystemOptions::default(), RemoteMemory::None);
            let _ = system.map(|system| system.check(2));
        }
    }
    let _ = read_groups(bytes, "g.json");
    let _ = read_remote_memory(bytes, "m.json");
    let _ = read_per_node(bytes, "p.yml");
});
