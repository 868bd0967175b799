//! ASTRA-sim's configuration files: which network a run sees, and the text of its files, written and read. Also the lines
//! that it prints.
//!
//! [`layout`] selects dimensions for a rank count, [`decide`] says which algorithms are fixed, the checks say what the
//! engine cannot simulate of both, [`write()`] makes the files; the `*File` types read such files (ours or anybody's)
//! into the engine's values. Depends on [`crate::hw`], the policy vocabulary and the engine's types. It must never know
//! of the store or of steps.

mod check;
mod custom_files;
mod decision;
mod groups;
mod layout;
mod memory;
mod network_file;
mod number;
mod rank_line;
mod shape;
mod signature;
mod system_file;
mod system_keys;
mod write;

pub use check::{check_algorithms, check_network};
pub use custom_files::{CustomFiles, read_per_node};
pub use decision::{AlgorithmLists, Algorithms, DecidedBy, Decision, PolicyChoices, decide};
pub use groups::{group_numbers, read_groups, write_groups};
pub use layout::{ConfigRequest, Layout, WrittenDimension, layout};
pub use memory::read_remote_memory;
pub use network_file::NetworkFile;
pub use rank_line::{RankLine, Said, Time};
pub use signature::Signature;
pub use system_file::{SystemFile, SystemOptions};
pub use system_keys::{SystemOverrides, algorithm_key};
pub use write::{ConfigFiles, ConfigNames, config_names, usual_files, write};

/// Parses JSON; a syntax error has the file, line and column.
fn json(bytes: &[u8], file: &str) -> crate::Result<serde_json::Value> {
    serde_json::from_slice(bytes).map_err(|error| {
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = text.strip_suffix(&place).unwrap_or(&text);
        crate::Error::input(message).in_file(file).at(error.line() as u64, error.column() as u64)
    })
}
