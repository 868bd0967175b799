//! Recipes: what to build, written by people. Schema, defaults, units, validation with key paths, sweeps.
//!
//! Data flows document → [`Recipe`] → [`Point`]s. Depends on the units and on the names of collectives; never opens the
//! files a recipe names, and knows nothing of hardware documents, traces, simulators and the store.

mod document;
mod load;
mod options;
mod place;
mod points;
mod section;
mod sweep;
mod workload;

pub use load::{RECIPE_VERSION, Recipe};
pub use options::{Algorithms, Dialect, Engine, EngineKind, Layout, NetworkModel, Policy, PolicyPlugin};
pub use points::{Point, SystemCheck};
pub use sweep::MAX_POINTS;
pub use workload::{Item, Workload};

#[cfg(test)]
mod tests;
