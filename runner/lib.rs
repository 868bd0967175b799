//! astra-store: derivations over a content-addressed store for studies with ASTRA-sim.
//!
//! Data flows one way: recipe → points → derivations → records → report. This crate depends on the store
//! (`artifact_store`), on the engine (`astra_engine`) and on the policy vocabulary (`astra_policy`); nothing
//! here is known to them. Only `cli` knows of terminals and of clap.

pub mod algorithm;
pub mod astrasim;
pub mod cli;
pub mod custom;
pub mod decision;
pub mod derivation;
pub mod directory;
pub mod error;
pub mod et;
pub mod exec;
pub mod external;
pub mod files;
pub mod hw;
pub mod legacy;
pub mod lint;
pub mod notice;
pub mod policy;
pub mod program;
pub mod recipe;
pub mod report;
pub mod serve;
pub mod sim;
pub mod steps;
pub mod traces;
pub mod units;
pub mod yaml;

pub use error::{Error, ErrorKind, Result};
pub use notice::Notice;
