//! Time by what it is spent on.

use std::ops::{Add, AddAssign, Mul};

/// Time by what it is spent on, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cost {
    /// Hops, and waiting for what is under way on them.
    pub(crate) latency_ns: f64,
    /// Sending, and waiting for others to send over the same link.
    pub(crate) transmission_ns: f64,
    /// Delays before messages.
    pub(crate) endpoint_ns: f64,
    /// Reducing what has arrived.
    pub(crate) reduction_ns: f64,
}

impl Cost {
    /// All of it.
    pub(crate) fn total_ns(&self) -> f64 {
        self.latency_ns + self.transmission_ns + self.endpoint_ns + self.reduction_ns
    }

    /// What most of it is spent on, in words, and how much that is.
    pub(crate) fn largest(&self) -> (&'static str, f64) {
        let terms = [
            ("transmission", self.transmission_ns),
            ("latency", self.latency_ns),
            ("endpoint delay", self.endpoint_ns),
            ("reduction", self.reduction_ns),
        ];
        // Of equal ones the first.
        terms
            .into_iter()
            .reduce(|most, term| if term.1 > most.1 { term } else { most })
            .unwrap_or(("nothing", 0.0))
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            latency_ns: self.latency_ns + other.latency_ns,
            transmission_ns: self.transmission_ns + other.transmission_ns,
            endpoint_ns: self.endpoint_ns + other.endpoint_ns,
            reduction_ns: self.reduction_ns + other.reduction_ns,
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Mul<f64> for Cost {
    type Output = Self;

    fn mul(self, times: f64) -> Self {
        Self {
            latency_ns: times * self.latency_ns,
            transmission_ns: times * self.transmission_ns,
            endpoint_ns: times * self.endpoint_ns,
            reduction_ns: times * self.reduction_ns,
        }
    }
}
