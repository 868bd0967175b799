//! The interface as it lies in memory: `astra_policy.h` in Rust, member by member.
//!
//! For the host's adapter and the macro; a policy needs [`Policy`](crate::Policy) only. Documentation of the members is
//! in the header. `tests/header.rs` has a C compiler confirm every size, offset and number.

use std::ffi::{c_char, c_void};

/// Returned by `open` and `decide`: it went well.
pub const OK: i32 = 0;
/// Returned by `decide`: the host's default may decide.
pub const NO_OPINION: i32 = 1;
/// Returned by `open` and `decide`, as is any other negative number: failed, with a text.
pub const ERROR: i32 = -1;
/// In [`Answer::algorithms`]: the costs decide.
pub const UNDECIDED: i32 = -1;
/// In [`Answer::costs_ns`] and [`Answer::predicted_ns`]: nothing to say.
pub const NO_COST: f64 = -1.0;

/// The symbol of this version of the interface.
pub const SYMBOL: &str = "astra_policy_v1";

/// `astra_policy_text`: UTF-8, not terminated.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Text {
    /// First byte; may be null when `len` is 0.
    pub data: *const c_char,
    /// Bytes.
    pub len: u64,
}

impl Text {
    /// The text of a string, which has to outlive it.
    pub const fn of(text: &str) -> Self {
        Self { data: text.as_ptr().cast(), len: text.len() as u64 }
    }
}

/// `astra_policy_buffer`: room for text.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Buffer {
    /// First byte.
    pub data: *mut c_char,
    /// Bytes there are.
    pub capacity: u64,
    /// Bytes used.
    pub len: u64,
}

/// `astra_policy_dimension`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Dimension {
    /// Bytes of this struct.
    pub struct_size: u64,
    /// The user's name of it.
    pub id: Text,
    /// Number of a [`Topology`](crate::Topology).
    pub topology: u32,
    /// Members along it.
    pub npus: u32,
    /// Of one link.
    pub bandwidth_bytes_per_s: f64,
    /// Of one hop.
    pub latency_ns: f64,
    /// Bits of an [`AlgorithmSet`](crate::AlgorithmSet).
    pub allowed: u64,
}

/// `astra_policy_request`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Request {
    /// Bytes of this struct.
    pub struct_size: u64,
    /// Number of a [`Collective`](crate::Collective).
    pub collective: u32,
    /// Of one number of the payload.
    pub element_bytes: u32,
    /// Per rank.
    pub payload_bytes: u64,
    /// Of the whole system.
    pub ranks: u32,
    /// Entries of `group`; 0: all ranks.
    pub group_count: u32,
    /// Ranks that take part, ascending.
    pub group: *const u32,
    /// Entries of `dimensions`.
    pub dimension_count: u32,
    /// Columns of [`Answer::costs_ns`].
    pub algorithm_count: u32,
    /// Bytes from one entry of `dimensions` to the next.
    pub dimension_stride: u64,
    /// Fastest-varying first.
    pub dimensions: *const Dimension,
    /// Charged before every message.
    pub endpoint_delay_ns: u64,
    /// Chunks a collective is cut into.
    pub dataset_splits: u32,
    /// Chunks active at once per dimension.
    pub active_chunks: u32,
    /// Number of a [`NetworkModel`](crate::NetworkModel).
    pub network_model: u32,
    /// Number of a [`Dialect`](crate::Dialect).
    pub dialect: u32,
    /// For reductions; 0: they take no time.
    pub local_memory_bytes_per_s: f64,
    /// Number of a [`CollectiveOptimization`](crate::CollectiveOptimization).
    pub collective_optimization: u32,
    /// That share the active chunks.
    pub queues_per_dimension: u32,
}

/// `astra_policy_answer`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Answer {
    /// Bytes of this struct.
    pub struct_size: u64,
    /// Dimensions answered.
    pub dimension_count: u32,
    /// 0: as asked.
    pub dataset_splits: u32,
    /// 0: as asked.
    pub active_chunks: u32,
    /// 0.
    pub reserved: u32,
    /// One number of an [`Algorithm`](crate::Algorithm) per dimension, or [`UNDECIDED`].
    pub algorithms: *mut i32,
    /// Rows of dimensions, columns of algorithms.
    pub costs_ns: *mut f64,
    /// Cells from one row to the next.
    pub cost_stride: u64,
    /// Of the whole collective, or [`NO_COST`].
    pub predicted_ns: f64,
    /// Why.
    pub reason: Buffer,
}

/// `open` of a plugin.
pub type Open = unsafe extern "C" fn(Text, *mut *mut c_void, *mut Buffer) -> i32;
/// `decide` of a plugin.
pub type Decide = unsafe extern "C" fn(*mut c_void, *const Request, *mut Answer, *mut Buffer) -> i32;
/// `close` of a plugin.
pub type Close = unsafe extern "C" fn(*mut c_void);

/// `astra_policy_plugin`: what a library exports.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Plugin {
    /// Bytes of this struct.
    pub struct_size: u64,
    /// Of the policy.
    pub name: Text,
    /// Of its rules.
    pub version: Text,
    /// One line.
    pub description: Text,
    /// Reads the configuration.
    pub open: Option<Open>,
    /// Answers a request.
    pub decide: Option<Decide>,
    /// Ends what `open` began.
    pub close: Option<Close>,
}
