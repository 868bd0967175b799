//! A [`Policy`] behind the C interface: pointers to values, values to pointers, panics to errors.
//!
//! The only place of this crate with unsafe code. It trusts the host to keep the promises of `astra_policy.h`, and checks
//! what costs nothing to check.
#![expect(unsafe_code, reason = "a C interface is made of pointers")]

use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{ptr, slice, str};

use crate::raw;
use crate::{
    AlgorithmSet, Answer, Choice, Collective, CollectiveOptimization, Dialect, Dimension, NetworkModel,
    Policy, Request, Topology,
};

// SAFETY: a `Text` in a `Plugin` points to a string constant, which nobody writes to.
unsafe impl Sync for raw::Plugin {}

impl raw::Plugin {
    /// What a library has to export for a policy.
    pub const fn of<P: Policy>() -> Self {
        Self {
            struct_size: size_of::<Self>() as u64,
            name: raw::Text::of(P::NAME),
            version: raw::Text::of(P::VERSION),
            description: raw::Text::of(P::DESCRIPTION),
            open: Some(open::<P>),
            decide: Some(decide::<P>),
            close: Some(close::<P>),
        }
    }
}

/// Exports a [`Policy`] from a `cdylib`. Use it once, in a crate that nothing links to: the exported symbol has the
/// same name in every plugin.
#[macro_export]
macro_rules! export_policy {
    ($policy:ty) => {
        #[doc(hidden)]
        #[allow(non_upper_case_globals)]
        #[unsafe(no_mangle)]
        pub static astra_policy_v1: $crate::raw::Plugin = $crate::raw::Plugin::of::<$policy>();
    };
}

unsafe extern "C" fn open<P: Policy>(
    config: raw::Text,
    context: *mut *mut c_void,
    error: *mut raw::Buffer,
) -> i32 {
    let opened = guarded(|| {
        // SAFETY: the host's promise that the text is valid until the call returns.
        let config = unsafe { text(config) }?;
        P::open(config).map_err(|refusal| refusal.to_string())
    });
    match opened {
        Ok(policy) => {
            // SAFETY: the host's promise that `context` is a place to write to.
            unsafe { context.write(Box::into_raw(Box::new(policy)).cast()) };
            raw::OK
        }
        // SAFETY: the host's promise that `error` is a buffer, or null.
        Err(message) => unsafe { fail(error, &message) },
    }
}

unsafe extern "C" fn decide<P: Policy>(
    context: *mut c_void,
    request: *const raw::Request,
    answer: *mut raw::Answer,
    error: *mut raw::Buffer,
) -> i32 {
    let decided = guarded(|| {
        // SAFETY: `context` is what `open` gave, used by one thread at a time and not closed yet.
        let policy = unsafe { context.cast::<P>().as_ref() }.ok_or("asked before it was opened")?;
        // SAFETY: the host's promise that request and all it points to are valid until the call returns.
        let (request, algorithms) = unsafe { read(request) }?;
        let Some(decided) = policy.decide(&request).map_err(|refusal| refusal.to_string())? else {
            return Ok(raw::NO_OPINION);
        };
        // SAFETY: the host's promise that the answer has room for the dimensions and algorithms of the request.
        unsafe { write(answer, &decided, request.dimensions.len(), algorithms) }?;
        Ok(raw::OK)
    });
    match decided {
        Ok(code) => code,
        // SAFETY: the host's promise that `error` is a buffer, or null.
        Err(message) => unsafe { fail(error, &message) },
    }
}

unsafe extern "C" fn close<P: Policy>(context: *mut c_void) {
    if !context.is_null() {
        // SAFETY: `context` came from `Box::into_raw` in `open`, and the host closes it once.
        let policy = unsafe { Box::from_raw(context.cast::<P>()) };
        // There is nobody to tell.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(policy)));
    }
}

/// Runs what may panic: unwinding into the host would be undefined.
fn guarded<T>(f: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| Err(format!("panicked: {}", message(&*panic))))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

/// # Safety
/// The text is valid while the result is used.
unsafe fn text<'a>(text: raw::Text) -> Result<&'a str, String> {
    if text.len == 0 {
        return Ok("");
    }
    let len = usize::try_from(text.len).map_err(|_| "was given a text beyond the address space")?;
    // SAFETY: the caller's promise.
    let bytes = unsafe { slice::from_raw_parts(text.data.cast::<u8>(), len) };
    str::from_utf8(bytes).map_err(|_| "was given a text that is not UTF-8".to_owned())
}

/// The request, and how many algorithms the host knows.
///
/// # Safety
/// The request is null or valid with all it points to.
unsafe fn read(request: *const raw::Request) -> Result<(Request, u32), String> {
    if request.is_null() {
        return Err("was given no request".to_owned());
    }
    // SAFETY: not null, and the size comes first in every version.
    let size = unsafe { request.cast::<u64>().read() };
    if size < size_of::<raw::Request>() as u64 {
        return Err(format!(
            "the host's request is {size} bytes, of version 1 are {}",
            size_of::<raw::Request>()
        ));
    }
    // SAFETY: the host says that it is at least as large as what is read.
    let raw = unsafe { &*request };
    if raw.dimension_stride < size_of::<raw::Dimension>() as u64 {
        return Err(format!("the host's dimensions are {} bytes apart", raw.dimension_stride));
    }
    let group = (raw.group_count > 0).then(|| {
        // SAFETY: the host's promise of `group_count` entries.
        unsafe { slice::from_raw_parts(raw.group, raw.group_count as usize) }.to_vec()
    });
    let mut dimensions = Vec::with_capacity(raw.dimension_count as usize);
    for index in 0..raw.dimension_count as usize {
        let offset = index * raw.dimension_stride as usize;
        // SAFETY: the host's promise of `dimension_count` entries, `dimension_stride` bytes apart.
        dimensions.push(unsafe { dimension(&*raw.dimensions.byte_add(offset)) }?);
    }
    let request = Request {
        collective: known("collective", raw.collective, Collective::from_number)?,
        element_bytes: raw.element_bytes,
        payload_bytes: raw.payload_bytes,
        ranks: raw.ranks,
        group,
        dimensions,
        endpoint_delay_ns: raw.endpoint_delay_ns,
        dataset_splits: raw.dataset_splits,
        active_chunks: raw.active_chunks,
        network_model: known("network model", raw.network_model, NetworkModel::from_number)?,
        dialect: known("dialect", raw.dialect, Dialect::from_number)?,
        local_memory_bytes_per_s: raw.local_memory_bytes_per_s,
        collective_optimization: known(
            "collective optimization",
            raw.collective_optimization,
            CollectiveOptimization::from_number,
        )?,
        queues_per_dimension: raw.queues_per_dimension,
    };
    Ok((request, raw.algorithm_count))
}

/// # Safety
/// The text in the dimension is valid.
unsafe fn dimension(raw: &raw::Dimension) -> Result<Dimension, String> {
    Ok(Dimension {
        // SAFETY: the caller's promise.
        id: unsafe { text(raw.id) }?.to_owned(),
        topology: known("topology", raw.topology, Topology::from_number)?,
        npus: raw.npus,
        bandwidth_bytes_per_s: raw.bandwidth_bytes_per_s,
        latency_ns: raw.latency_ns,
        allowed: AlgorithmSet::from_bits(raw.allowed),
    })
}

/// A member of an enumeration; the host may be newer and know more of them.
fn known<T>(what: &str, number: u32, from: impl Fn(u32) -> Option<T>) -> Result<T, String> {
    from(number).ok_or_else(|| format!("was built before {what} {number} existed; build it with a newer SDK"))
}

/// # Safety
/// The answer is valid and has room for `dimensions` rows of costs of `algorithms` columns.
unsafe fn write(
    answer: *mut raw::Answer,
    decided: &Answer,
    dimensions: usize,
    algorithms: u32,
) -> Result<(), String> {
    // SAFETY: the caller's promise; the size comes first in every version.
    let size = unsafe { answer.cast::<u64>().read() };
    if size < size_of::<raw::Answer>() as u64 {
        return Err(format!(
            "the host's answer is {size} bytes, of version 1 are {}",
            size_of::<raw::Answer>()
        ));
    }
    // SAFETY: the host says that it is at least as large as what is written.
    let raw = unsafe { &mut *answer };
    // More or fewer than asked: the host is told how many, and says so.
    raw.dimension_count = u32::try_from(decided.dimensions.len()).unwrap_or(u32::MAX);
    for (row, choice) in decided.dimensions.iter().take(dimensions).enumerate() {
        match choice {
            Choice::Algorithm(algorithm) => {
                // SAFETY: `row` is below the number of dimensions.
                unsafe { raw.algorithms.add(row).write(algorithm.number() as i32) };
            }
            Choice::Costs(costs) => {
                // An older host has no column for an algorithm it does not know.
                for (algorithm, cost) in costs.iter().filter(|(algorithm, _)| algorithm.number() < algorithms)
                {
                    let cell = row * raw.cost_stride as usize + algorithm.number() as usize;
                    // SAFETY: `row` is below the number of dimensions, the column below that of algorithms.
                    unsafe { raw.costs_ns.add(cell).write(*cost) };
                }
            }
        }
    }
    raw.dataset_splits = decided.dataset_splits.unwrap_or(0);
    raw.active_chunks = decided.active_chunks.unwrap_or(0);
    raw.predicted_ns = decided.predicted_ns.unwrap_or(raw::NO_COST);
    // SAFETY: the host's promise that `reason` is a buffer.
    unsafe { fill(&mut raw.reason, &decided.reason) };
    Ok(())
}

/// # Safety
/// The buffer is null or valid.
unsafe fn fail(error: *mut raw::Buffer, message: &str) -> i32 {
    // SAFETY: the caller's promise.
    if let Some(error) = unsafe { error.as_mut() } {
        // SAFETY: the caller's promise.
        unsafe { fill(error, message) };
    }
    raw::ERROR
}

/// Writes as much of a text as fits, in whole characters.
///
/// # Safety
/// `buffer.data` has room for `buffer.capacity` bytes.
unsafe fn fill(buffer: &mut raw::Buffer, text: &str) {
    let room = usize::try_from(buffer.capacity).unwrap_or(usize::MAX);
    let len = (0..=room.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    // SAFETY: `len` is at most the capacity, and the text is not the buffer.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr(), buffer.data.cast(), len) };
    buffer.len = len as u64;
}
