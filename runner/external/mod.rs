//! A simulator that is another program: which one it is, running it, and what its output says.
//!
//! A run has a directory of its own and a watcher, a second process of this program, that ends whatever the simulator has
//! started however the run ends. Depends on processes and files; must never know of recipes, stores or keys.

mod attempts;
mod executable;
mod failure;
mod log;
mod printed;
mod process;
mod processes;
mod supervise;
mod wire;

pub use attempts::{ATTEMPTS, Completed, run};
pub use executable::{Executable, VARIABLE, from_environment};
pub use failure::Failure;
pub use log::{Log, text_of};
pub use printed::{Figures, Incomplete};
pub use process::{Limits, Order, PASSED_ON};
pub use supervise::supervise;
pub(crate) use wire::COMMAND;
