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

use std::fmt;

use serde::de::{self, Deserializer as _, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};

use crate::error::json_message;
use crate::{Error, Result};

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

/// Parses a file that is one JSON object; `expected` says what that object holds.
///
/// # Errors
/// Nothing, no JSON, the beginning of JSON, another value, or a key twice, with line and column.
fn json_object(bytes: &[u8], file: &str, expected: &str) -> Result<Map<String, Value>> {
    let wrong =
        |what: &str| Error::input(format!("expected a JSON object, {expected}, {what}")).in_file(file);
    let cut = "make the file again, or copy it again: what is here is not all of it";
    if bytes.trim_ascii().is_empty() {
        return Err(wrong("and there is nothing in it").hint(cut));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = json.deserialize_map(Object { expected }).and_then(|object| json.end().map(|()| object));
    read.map_err(|error| {
        let wrong = match error.classify() {
            Category::Eof => wrong("and it ends in the middle").hint(cut),
            Category::Data => Error::input(json_message(&error)).in_file(file),
            Category::Syntax | Category::Io => {
                wrong(&format!("and it is not JSON: {}", json_message(&error)))
            }
        };
        wrong.at(error.line() as u64, error.column() as u64)
    })
}

/// An object with each key once: of two values one would be dropped without a word.
struct Object<'a> {
    expected: &'a str,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a JSON object, {}", self.expected)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(de::Error::custom(format_args!(
                    "the key `{}` is there twice",
                    key.escape_debug()
                )));
            }
            object.insert(key, map.next_value()?);
        }
        Ok(object)
    }
}
