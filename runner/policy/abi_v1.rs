//! Version 1 of the interface, from the host's side: loads a library and calls it.
//!
//! The only file of this crate with unsafe code, and the only one that knows `libloading`. Everything a plugin writes to
//! has a margin that is looked at afterwards, and nothing it says is believed here: `judge` does that.
#![expect(unsafe_code, reason = "a plugin is reached through pointers")]

use std::ffi::{c_char, c_void};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::{ptr, slice};

use astra_policy::{Algorithm, Request, raw};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::about::About;
use super::wire::Answer;

/// What a plugin said to a request.
#[derive(Debug)]
pub(super) enum Reply {
    /// It answered; whether that is any good is not known yet.
    Answered(Answer),
    /// It leaves the decision to the host.
    NoOpinion,
    /// It gave an error, in its words.
    Refused(String),
    /// It broke a rule of the interface.
    Broken(String),
}

/// Cells between two rows of costs; those behind the last algorithm are margin.
const STRIDE: usize = 16;
const COLUMNS: usize = Algorithm::ALL.len();
const _: () = assert!(COLUMNS < STRIDE);

/// Room for a reason or an error, in bytes, and the margin behind it.
const TEXT: usize = 1024;
const TEXT_MARGIN: usize = 64;

/// What margins hold: no algorithm, no cost, no text.
const MARGIN_I32: i32 = 0x5aa5_c33c;
const MARGIN_F64: f64 = f64::from_bits(0x7fe5_a55a_c33c_5aa5);
const MARGIN_BYTE: u8 = 0xfe;

/// The largest table a plugin may export: version 1 is far smaller, and a later one would not grow that much.
const MAX_TABLE: u64 = 4096;

/// An opened plugin. Its library stays loaded for ever: threads it began may still run, and its texts are in use.
#[derive(Debug)]
pub(super) struct Plugin {
    table: raw::Plugin,
    context: *mut c_void,
    opened: bool,
    about: About,
    scratch: Scratch,
}

// SAFETY: the interface wants one thread at a time, not always the same one; `&mut self` gives that.
unsafe impl Send for Plugin {}

/// Memory that a plugin writes to, used again for every request.
#[derive(Debug, Default)]
struct Scratch {
    algorithms: Vec<i32>,
    costs_ns: Vec<f64>,
    reason: Vec<u8>,
    error: Vec<u8>,
}

impl Plugin {
    /// Loads a library and opens its policy.
    ///
    /// # Errors
    /// Why this is not a plugin, or what it says of the configuration.
    pub(super) fn open(library: &Path, config: &str) -> Result<Self, Reply> {
        let table = table(library).map_err(Reply::Broken)?;
        let about = about(&table).map_err(Reply::Broken)?;
        let (context, scratch) = (ptr::null_mut(), Scratch::default());
        let mut plugin = Self { table, context, opened: false, about, scratch };
        plugin.open_policy(config)?;
        Ok(plugin)
    }

    /// What the plugin says of itself.
    pub(super) fn about(&self) -> &About {
        &self.about
    }

    fn open_policy(&mut self, config: &str) -> Result<(), Reply> {
        let Some(open) = self.table.open else {
            let refused = || Err(Reply::Refused("takes no configuration".to_owned()));
            return if config.is_empty() { Ok(()) } else { refused() };
        };
        let mut error = text_buffer(&mut self.scratch.error);
        // SAFETY: the arguments are what `astra_policy.h` says `open` gets, and live until it returns.
        let code = unsafe { open(raw::Text::of(config), &raw mut self.context, &raw mut error) };
        match code {
            raw::OK => {
                self.opened = true;
                Ok(())
            }
            ..0 => Err(refusal(code, &self.scratch.error, &error)),
            _ => Err(Reply::Broken(format!("returned {code} from `open`, which means nothing"))),
        }
    }

    /// Asks for a decision.
    pub(super) fn ask(&mut self, request: &Request) -> Reply {
        let Some(decide) = self.table.decide else { return Reply::Broken(NO_DECIDE.to_owned()) };
        let dimensions: Vec<raw::Dimension> = request.dimensions.iter().map(raw_dimension).collect();
        let asked = raw_request(request, &dimensions);
        let mut answer = self.scratch.answer(dimensions.len());
        let mut error = text_buffer(&mut self.scratch.error);
        let given = answer;
        // SAFETY: the arguments are what `astra_policy.h` says `decide` gets, and live until it returns; `context` is
        // what `open` left.
        let code = unsafe { decide(self.context, &raw const asked, &raw mut answer, &raw mut error) };
        match code {
            raw::OK => self.scratch.take(&given, &answer, dimensions.len()),
            raw::NO_OPINION => Reply::NoOpinion,
            ..0 => refusal(code, &self.scratch.error, &error),
            _ => Reply::Broken(format!("returned {code} from `decide`, which means nothing")),
        }
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        if let (true, Some(close)) = (self.opened, self.table.close) {
            // SAFETY: `context` is what `open` left, and nothing uses it any more.
            unsafe { close(self.context) };
        }
    }
}

const NO_DECIDE: &str = "exports no `decide`";

/// The table that a library exports, as far as version 1 knows it.
fn table(library: &Path) -> Result<raw::Plugin, String> {
    // SAFETY: loading runs the library's initialisers. That is what running a plugin means; who must not trust it does so
    // in the helper.
    let library = unsafe { Library::open(Some(library), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|e| format!("cannot be loaded: {}", spoken(&e)))?;
    let library = ManuallyDrop::new(library);
    // SAFETY: nothing is read through the type here.
    let symbol = unsafe { library.get::<*const u64>(raw::SYMBOL.as_bytes()) }.map_err(|_| {
        format!("exports no `{}`: not a policy, or one for another version of the interface", raw::SYMBOL)
    })?;
    let address = symbol.into_raw().cast::<u64>().cast_const();
    if address.is_null() || !address.is_aligned() {
        return Err(format!("exports a `{}` that is no table", raw::SYMBOL));
    }
    // SAFETY: the library is loaded for ever and exports something under that name; in every version it begins with
    // its size.
    let size = unsafe { address.read() };
    let expected = size_of::<raw::Plugin>() as u64;
    if size < expected || size > MAX_TABLE {
        let what = if size > MAX_TABLE { "no size of a table" } else { "an older or unfinished interface" };
        return Err(format!("says that its table has {size} bytes, expected {expected}: {what}"));
    }
    // SAFETY: the plugin says that its table is at least as large as what is read; a newer one is longer.
    let table = unsafe { address.cast::<raw::Plugin>().read() };
    if table.decide.is_none() { Err(NO_DECIDE.to_owned()) } else { Ok(table) }
}

/// The loader's own words, which name the file that it was given: a copy, of which nobody knows.
fn spoken(error: &libloading::Error) -> String {
    let text = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    text.split_once(": ").map_or(text.clone(), |(_, reason)| reason.to_owned())
}

fn about(table: &raw::Plugin) -> Result<About, String> {
    let about = About {
        name: line("name", table.name, 64)?,
        version: line("version", table.version, 64)?,
        description: line("description", table.description, 256)?,
    };
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if about.name.is_empty() || !about.name.chars().all(plain) {
        let name = about.name.escape_debug();
        return Err(format!("is called `{name}`, expected lower-case letters, digits and dashes"));
    }
    Ok(about)
}

/// A line of text that a plugin exports.
fn line(what: &str, text: raw::Text, most: usize) -> Result<String, String> {
    let len = usize::try_from(text.len).unwrap_or(usize::MAX);
    if len > most {
        return Err(format!("has a {what} of {len} bytes, at most {most} are fine"));
    }
    if len == 0 {
        return Ok(String::new());
    }
    if text.data.is_null() {
        return Err(format!("has a {what} of {len} bytes at address 0"));
    }
    // SAFETY: the plugin's promise that its texts are there for ever; the length is small.
    let bytes = unsafe { slice::from_raw_parts(text.data.cast::<u8>(), len) };
    match str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => Err(format!("has a {what} that is not a line of UTF-8 text")),
    }
}

fn raw_dimension(dimension: &astra_policy::Dimension) -> raw::Dimension {
    raw::Dimension {
        struct_size: size_of::<raw::Dimension>() as u64,
        id: raw::Text::of(&dimension.id),
        topology: dimension.topology.number(),
        npus: dimension.npus,
        bandwidth_bytes_per_s: dimension.bandwidth_bytes_per_s,
        latency_ns: dimension.latency_ns,
        allowed: dimension.allowed.bits(),
    }
}

fn raw_request(request: &Request, dimensions: &[raw::Dimension]) -> raw::Request {
    let group = request.group.as_deref().unwrap_or_default();
    raw::Request {
        struct_size: size_of::<raw::Request>() as u64,
        collective: request.collective.number(),
        element_bytes: request.element_bytes,
        payload_bytes: request.payload_bytes,
        ranks: request.ranks,
        group_count: u32::try_from(group.len()).expect("a group has no rank twice, and ranks are 32-bit"),
        group: if group.is_empty() { ptr::null() } else { group.as_ptr() },
        dimension_count: u32::try_from(dimensions.len())
            .expect("each dimension has its share of 32-bit ranks"),
        algorithm_count: COLUMNS as u32,
        dimension_stride: size_of::<raw::Dimension>() as u64,
        dimensions: dimensions.as_ptr(),
        endpoint_delay_ns: request.endpoint_delay_ns,
        dataset_splits: request.dataset_splits,
        active_chunks: request.active_chunks,
        network_model: request.network_model.number(),
        dialect: request.dialect.number(),
        local_memory_bytes_per_s: request.local_memory_bytes_per_s,
        collective_optimization: request.collective_optimization.number(),
        queues_per_dimension: request.queues_per_dimension,
    }
}

/// An empty buffer in `bytes`, with a margin behind it.
fn text_buffer(bytes: &mut Vec<u8>) -> raw::Buffer {
    bytes.clear();
    bytes.resize(TEXT + TEXT_MARGIN, MARGIN_BYTE);
    raw::Buffer { data: bytes.as_mut_ptr().cast::<c_char>(), capacity: TEXT as u64, len: 0 }
}

/// What was written to a buffer.
fn written(what: &str, bytes: &[u8], buffer: &raw::Buffer) -> Result<String, String> {
    if buffer.data.cast_const() != bytes.as_ptr().cast() {
        return Err(format!("moved the buffer of its {what} instead of writing to it"));
    }
    let (text, margin) = bytes.split_at(TEXT);
    if margin.iter().any(|byte| *byte != MARGIN_BYTE) {
        return Err(format!("wrote beyond the {TEXT} bytes of its {what}"));
    }
    let text = usize::try_from(buffer.len).ok().and_then(|len| text.get(..len));
    let text = text.ok_or_else(|| format!("says that its {what} has {} bytes of {TEXT}", buffer.len))?;
    Ok(String::from_utf8_lossy(text).into_owned())
}

fn refusal(code: i32, bytes: &[u8], buffer: &raw::Buffer) -> Reply {
    match written("error", bytes, buffer) {
        Ok(text) if text.is_empty() => Reply::Refused(format!("gave error {code} without a text")),
        Ok(text) => Reply::Refused(text),
        Err(broken) => Reply::Broken(broken),
    }
}

impl Scratch {
    /// An answer with nothing in it yet: a margin, a row per dimension, a margin.
    fn answer(&mut self, dimensions: usize) -> raw::Answer {
        self.algorithms.clear();
        self.algorithms.resize(dimensions + 2, raw::UNDECIDED);
        self.algorithms[0] = MARGIN_I32;
        self.algorithms[dimensions + 1] = MARGIN_I32;
        self.costs_ns.clear();
        self.costs_ns.resize((dimensions + 2) * STRIDE, MARGIN_F64);
        for row in self.costs_ns.chunks_exact_mut(STRIDE).skip(1).take(dimensions) {
            row[..COLUMNS].fill(raw::NO_COST);
        }
        raw::Answer {
            struct_size: size_of::<raw::Answer>() as u64,
            dimension_count: 0,
            dataset_splits: 0,
            active_chunks: 0,
            reserved: 0,
            algorithms: self.algorithms[1..].as_mut_ptr(),
            costs_ns: self.costs_ns[STRIDE..].as_mut_ptr(),
            cost_stride: STRIDE as u64,
            predicted_ns: raw::NO_COST,
            reason: text_buffer(&mut self.reason),
        }
    }

    /// What a plugin made of the answer it was given.
    fn take(&self, given: &raw::Answer, answer: &raw::Answer, dimensions: usize) -> Reply {
        let checked = self.margins(given, answer, dimensions);
        let reason = match checked.and_then(|()| written("reason", &self.reason, &answer.reason)) {
            Ok(reason) => reason,
            Err(broken) => return Reply::Broken(broken),
        };
        let rows = self.costs_ns.chunks_exact(STRIDE).skip(1).take(dimensions);
        let mut costs_ns: Vec<f64> = rows.flat_map(|row| &row[..COLUMNS]).copied().collect();
        if costs_ns.iter().all(|cost| cost.to_bits() == raw::NO_COST.to_bits()) {
            costs_ns.clear();
        }
        Reply::Answered(Answer {
            dimension_count: answer.dimension_count,
            algorithms: self.algorithms[1..=dimensions].to_vec(),
            costs_ns,
            dataset_splits: answer.dataset_splits,
            active_chunks: answer.active_chunks,
            predicted_ns: answer.predicted_ns,
            reason,
        })
    }

    fn margins(&self, given: &raw::Answer, answer: &raw::Answer, dimensions: usize) -> Result<(), String> {
        if given.algorithms != answer.algorithms || given.costs_ns != answer.costs_ns {
            return Err("moved a table of the answer instead of writing to it".to_owned());
        }
        for (entry, place) in [(0, "before the first"), (dimensions + 1, "behind the last")] {
            if self.algorithms[entry] != MARGIN_I32 {
                return Err(format!("wrote outside its algorithms, {place} of {dimensions}"));
            }
        }
        let is_margin = |cell: &f64| cell.to_bits() == MARGIN_F64.to_bits();
        for (row, cells) in self.costs_ns.chunks_exact(STRIDE).enumerate() {
            let inside = (1..=dimensions).contains(&row);
            if let Some(cell) = cells[if inside { COLUMNS } else { 0 }..].iter().position(|c| !is_margin(c)) {
                let place = match row {
                    0 => "before the first row".to_owned(),
                    _ if inside => {
                        format!("at column {} of dimension {}", COLUMNS + cell, row - 1)
                    }
                    _ => "behind the last row".to_owned(),
                };
                let table = format!("{dimensions} × {COLUMNS} costs, rows {STRIDE} cells apart");
                return Err(format!("wrote outside its {table}: {place}"));
            }
        }
        Ok(())
    }
}
