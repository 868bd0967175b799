//! Collection: plan what nothing needs, show it, delete it while others build.
//!
//! A plan is a value: what is shown is what is executed, except that what somebody has begun to need meanwhile is
//! spared. Nobody waits for a collection for longer than one of its short changes.

mod amount;
mod graph;
#[cfg(test)]
mod interleavings;
mod mark;
mod plan;
mod policy;
mod size;
mod sweep;
mod unreadable;
mod why;

pub use amount::{Amount, Content};
pub(crate) use graph::every_key;
pub use mark::Keeper;
pub use plan::{GcPlan, Kept};
pub use policy::{Because, GcPolicy, GivenUp};
pub use sweep::GcReport;
pub use unreadable::Unreadable;
pub use why::Why;

use crate::error::Result;
use crate::store::Store;

impl Store {
    /// Finds out what a collection would remove, and what keeps the rest. Changes nothing.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn plan_collection(&self, policy: &GcPolicy) -> Result<GcPlan> {
        self.flush()?;
        plan::plan(self.core(), policy).map_err(|e| e.at(self.core().db.path()))
    }

    /// Removes what a plan calls dead, unless somebody has begun to need it meanwhile. Others may build and publish at
    /// the same time.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Corrupt`] when something is to be removed but a root, list or record that would say what is
    /// needed cannot be read (see [`GcPlan::unreadable`]); [`crate::ErrorKind::Busy`] when another collection does not
    /// end in time; the file cannot be read or written.
    pub fn collect(&self, plan: GcPlan) -> Result<GcReport> {
        self.check_writable()?;
        sweep::execute(self.core(), plan)
    }
}
