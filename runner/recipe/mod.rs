//! Recipes: what to build, written by people. Schema, defaults, units, validation with key paths, sweeps.
//!
//! Data flows document → [`Recipe`] → [`Point`]s. Depends on units and on names (collectives, algorithms, policies, axes,
//! system keys, edits of traces, switches of conversions); never opens the files a recipe names, and knows nothing of traces, steps and the store.

mod blame;
mod document;
mod edits;
mod load;
mod options;
mod patched;
mod place;
mod points;
mod schema;
mod section;
mod sweep;
mod workload;

pub use load::{RECIPE_VERSION, Recipe};
pub use options::{Engine, EngineKind, External, LayoutOptions, Policy, PolicyConfig, PolicyPlugin};
pub use points::Point;
pub use schema::{RECIPE_SCHEMA, STARTER_FILES};
pub use sweep::MAX_POINTS;
pub use workload::{ExistingTraces, GraphFile, Item, ManifestForm, TraceKey, Workload};

#[cfg(test)]
mod tests;
