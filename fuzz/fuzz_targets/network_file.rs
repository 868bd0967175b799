//! Any bytes as a network file.

#![no_main]

use astra_engine::NetworkModel;
use astra_store::astrasim::NetworkFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((file, _)) = NetworkFile::parse(bytes, "n.yml") {
        for &model in NetworkModel::ALL {
            let _ = file.network(model).check();
        }
    }
});
