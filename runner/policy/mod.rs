//! Policies: plugins that choose the algorithm of a collective on each network dimension.
//!
//! A [`Session`] asks one policy questions and judges its answers; what was decided is a plain [`Ruling`]. Code that came
//! as a file runs in a helper process (`helper`, `serve`) unless somebody debugs it. Depends on the interface
//! (`astra_policy`) and on what algorithms can do; it must never know of stores, recipes or derivations.

mod abi_v1;
mod about;
mod check;
mod helper;
mod isolation;
mod judge;
mod platform;
mod questions;
mod scaffold;
mod serve;
mod session;
mod shipped;
mod tabulate;
mod trouble;
mod wire;
mod words;

pub use about::About;
pub use check::{Conduct, Timing, check};
pub(crate) use helper::COMMAND;
pub use helper::Limits;
pub use judge::{Decided, Ruling};
pub use platform::Platform;
pub use questions::sample as sample_questions;
pub use scaffold::{Language, is_fit, scaffold};
pub use serve::serve;
pub use session::{Isolation, Session, Source};
pub use shipped::{SHIPPED, Shipped};
pub use tabulate::{LARGEST_BYTES, tabulate};
pub use words::{allowed, collective_optimization, dialect, network_model, topology};
