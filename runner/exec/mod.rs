//! Executes the derivation graph of a recipe: what is known is taken, what is not is run, once, in parallel.
//!
//! Depends on the steps, the store and the recipe's points. Knows nothing of terminals: it reports through
//! [`Event`]s and returns a [`Outcome`].

mod astra_cache;
mod board;
mod build;
mod compare;
mod cross_check;
mod events;
mod explain;
mod known;
mod latest;
mod lone;
mod materialise;
mod rows;
mod scheduler;
mod shared;
mod upstream;

pub use astra_cache::write_astra_cache;
pub use build::{BuildOptions, Outcome, PointOutcome, StepCounts, build};
pub use compare::{Compared, ComparedPoint, Comparison, Regret, UnderPolicy, compare};
pub use cross_check::{CrossCheck, CrossChecked, Difference, RankTimes};
pub use events::{Event, PointStatus, StepStatus};
pub use known::KnownRecipe;
pub use latest::LatestBuild;
pub use lone::{Answer, Lone, LoneOptions, recall};
pub use materialise::materialise;
pub use shared::{Adopted, actions_of, adopt, build_key, selection_of};
pub use upstream::UpstreamReport;
