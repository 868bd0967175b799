//! What a build and the watcher of a simulator tell each other over a socket: one order, then what became of it, a JSON
//! value per line. When the build's side closes, everything is to end.

use std::ffi::OsString;
use std::io::{self, BufRead, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The hidden command of this program that watches over a simulator.
pub(crate) const COMMAND: &str = "__watch-simulator";

/// What is to be started.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) program: OsString,
    pub(super) arguments: Vec<String>,
    /// The whole environment.
    pub(super) environment: Vec<(OsString, OsString)>,
    /// Where it runs; removed by the watcher when nobody else is there to do it.
    pub(super) directory: OsString,
    pub(super) memory_bytes: Option<u64>,
    pub(super) grace_ms: u64,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Told {
    /// It runs, as the leader of a process group with this number.
    Started(i32),
    /// The system refused, with this error number where there is one.
    NotStarted(Option<i32>, String),
    /// It ended by itself, and nothing that it had started is left.
    Exited(i32),
    /// It was ended by a signal, likewise.
    Signalled(i32),
}

pub(super) fn write(mut to: impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// The next message; nothing when the other side has closed.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    if from.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}
