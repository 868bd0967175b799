//! The helper process that watches over a simulator. Not for people: this program starts it.

use crate::error::{Error, ErrorKind, Result};
use crate::external;

pub(super) fn run() -> Result<()> {
    external::supervise()
        .map_err(|e| Error::new(ErrorKind::System, format!("cannot watch over a simulator: {e}")))
}
