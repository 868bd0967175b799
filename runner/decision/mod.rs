//! Decisions: which algorithm runs each collective on each written dimension, who decided, and what one system file can
//! say of it.
//!
//! [`Demand`] is what a workload asks, [`decide`] answers it with the help of a policy and gives a [`DecisionTable`],
//! [`settle`] brings the rows of one workload into the form of a system file and says what is lost. Depends on
//! configuration files, policies and the engine; it must never know of recipes, steps or the store.

mod best;
mod decide;
mod demand;
mod request;
mod settle;
mod table;

pub use best::{BEST, Best};
pub use decide::{Decider, Situation, decide};
pub use demand::{Demand, Question};
pub use settle::{Loss, Settled, settle};
pub use table::{DecisionTable, Row, TABLE_VERSION};
