//! Physical quantities with their unit in the type, so that no bare number crosses a module boundary.
//!
//! Depends on nothing. Conversions between decimal and binary units happen here and nowhere else.

use std::fmt;

/// A time or a duration in nanoseconds; one simulated cycle is one nanosecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

/// A duration in microseconds, the unit of a trace's `duration_micros`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub u64);

/// A size in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// The index of an NPU, counted from 0; dimension 0 of the network varies fastest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank(pub u32);

/// Network bandwidth in GiB/s, 2^30 bytes a second: what ASTRA-sim's network files write as "GB/s".
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GibPerSec(pub f64);

/// Memory bandwidth in GB/s, 10^9 bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GbPerSec(pub f64);

/// Compute throughput in TFLOP/s, 10^12 operations a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tflops(pub f64);

impl GibPerSec {
    /// Bytes per nanosecond; the order of the two operations decides the last bit of every delay.
    pub fn bytes_per_ns(self) -> f64 {
        (self.0 * 1_073_741_824.0) / 1_000_000_000.0
    }
}

impl GbPerSec {
    /// Bytes per second.
    pub fn bytes_per_sec(self) -> f64 {
        self.0 * 1e9
    }
}

impl Tflops {
    /// Floating-point operations per second.
    pub fn flop_per_sec(self) -> f64 {
        self.0 * 1e12
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ns", self.0)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0)
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
