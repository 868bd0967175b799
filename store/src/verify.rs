//! Verification: everything that the store says of itself held against its bytes, and what to do about the rest.
//!
//! Looks and names what it finds; only repair changes anything, and that only after another look. What is missing is for
//! whoever knows how it was made.

mod checker;
mod finding;
mod repair;

pub use finding::{Finding, Needs, Trouble};
pub use repair::Repair;
pub(crate) use repair::{ASIDE, aside};

use crate::error::Result;
use crate::root::unix_ms_now;
use crate::store::Store;

/// How much of the content is held against its name. Records, roots and lists are looked at in any case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Depth {
    /// None.
    Quick,
    /// This part, between 0 and 1; another one every time.
    Sample(f64),
    /// All.
    Full,
}

/// What a verification looked at and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Blobs there are.
    pub blobs: u64,
    /// Blobs whose bytes were held against their names.
    pub hashed: u64,
    /// How many bytes that were.
    pub hashed_bytes: u64,
    /// Records of actions.
    pub records: u64,
    /// Roots.
    pub roots: u64,
    /// What is wrong, each once.
    pub findings: Vec<Finding>,
}

impl Verification {
    /// The sum of the codes of the kinds of trouble that were found: 0 when nothing is wrong.
    pub fn code(&self) -> u8 {
        self.findings.iter().fold(0, |code, finding| code | finding.trouble().code())
    }
}

impl Store {
    /// Looks at what is committed: that blobs are what their names say, that records and roots are what was written, that
    /// each record has the description that its key is made of, and that whatever they name is there. Others may build
    /// meanwhile: it looks at the store as it is now.
    ///
    /// # Errors
    /// The file cannot be opened for reading; damage within it is a finding.
    pub fn verify(&self, depth: Depth) -> Result<Verification> {
        self.flush()?;
        checker::verify(self.core(), depth, unix_ms_now())
    }
}
