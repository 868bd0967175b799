//! Traces against those that DeepFlow, ASTRA-sim's example generators and its simulator's reference cases contain.
//!
//! The reference data lies beside the repository and may be absent; then the tests that need it say so and pass. What
//! must always hold is in the other modules.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "et/broken.rs"]
mod broken;
#[path = "et/bundle.rs"]
mod bundle;
#[path = "et/cases.rs"]
mod cases;
#[path = "et/figures.rs"]
mod figures;
#[path = "et/reference.rs"]
mod reference;
#[path = "et/sound.rs"]
mod sound;
