//! Hardware YAML → [`NetworkSpec`]: only what simulation reads, units normalised, in canonical form.
//!
//! The format is DeepFlow's (December 2025); `docs/deepflow.md` says how it is read here and where that differs
//! on purpose. Depends on [`crate::yaml`] and [`crate::algorithm`]. It must never know of ranks, files to write, or
//! steps.

mod backend;
mod bandwidth;
mod dimension;
mod document;
mod parallelism;
mod patch;
mod size;
mod spec;
mod topology;

pub(crate) use dimension::faulty_links as read_faulty_links;
pub use document::Document;
pub use spec::{
    Axis, CollectiveChoices, Dimension, FaultyLink, NetworkSpec, Parallelism, SPEC_VERSION, SysOptions,
};

#[cfg(test)]
mod tests;
