//! Derivations: what went into a step, the key made of it, and how two of them differ.
//!
//! A key is made of the step's kind, that kind's semantic version, its parameters and the digests of what it
//! reads. Nothing else may enter: no path, host, time or environment. Depends on the store's names only.

mod diff;
mod hex;
mod preimage;
mod step;

pub use diff::{Change, changes, json_changes};
pub use hex::Hex;
pub use preimage::Preimage;
pub use step::{DemandFrom, PerStep, StepKind};
