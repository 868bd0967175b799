//! Conformance of hardware reading and configuration writing with DeepFlow's ASTRA-sim integration.
//!
//! `own` holds everywhere; `reference` compares with measured data where that lies beside the workspace.

mod own;
mod reference;
