//! What a collective-algorithm policy is asked and what it answers, and how a shared library exports one.
//!
//! `include/astra_policy.h` is the source of truth of the interface; [`raw`] mirrors it. Around it this crate puts a
//! safe trait, [`Policy`], and one macro, [`export_policy!`]. It depends on nothing and must never know of recipes,
//! the store or a simulator.
//!
//! A whole plugin, built as a `cdylib`:
//!
//! ```
//! use astra_policy::{Algorithm, Answer, Policy, Refusal, Request};
//!
//! struct RingEverywhere;
//!
//! impl Policy for RingEverywhere {
//!     const NAME: &'static str = "ring-everywhere";
//!     const VERSION: &'static str = "1";
//!     const DESCRIPTION: &'static str = "ring, whatever is asked";
//!
//!     fn open(_config: &str) -> Result<Self, Refusal> {
//!         Ok(Self)
//!     }
//!
//!     fn decide(&self, request: &Request) -> Result<Option<Answer>, Refusal> {
//!         let everywhere = request.dimensions.iter().map(|_| Algorithm::Ring);
//!         Ok(Some(Answer::of(everywhere).because("always")))
//!     }
//! }
//!
//! astra_policy::export_policy!(RingEverywhere);
//! ```

mod policy;
pub mod raw;
mod request;
mod shim;
mod vocabulary;

pub use policy::{Answer, Choice, Policy, Refusal};
pub use request::{Dimension, Request};
pub use vocabulary::{
    Algorithm, AlgorithmSet, Collective, CollectiveOptimization, Dialect, NetworkModel, Topology,
};
