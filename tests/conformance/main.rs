//! Conformance of hardware reading and configuration writing with DeepFlow's ASTRA-sim integration.
//!
//! `own` holds everywhere; `reference` compares with measured data where that lies beside the workspace.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

mod own;
mod reference;
