//! A simulation's timeline in the Trace Event Format that Perfetto and Chrome's viewer open.
//!
//! Events go to a writer while the simulation runs; kept is only what is not over. Knows the engine's observer and
//! nothing of files, stores and terminals. The format: "Trace Event Format", the public document of the Chromium
//! project. Equal runs give equal bytes.

mod event;
mod follow;
mod lanes;
mod selection;
#[cfg(test)]
mod tests;

pub use follow::Timeline;
pub use selection::{RankSet, Selection};
