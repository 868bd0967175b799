//! The helper process that runs a policy plugin. Not for people: this program starts it.

use std::io;

use crate::error::{Error, ErrorKind, Result};
use crate::policy;

pub(super) fn run(parent: u32) -> Result<()> {
    match policy::serve(parent) {
        // The other side has gone; there is nobody to tell.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        served => served.map_err(|e| Error::new(ErrorKind::System, format!("cannot serve a policy: {e}"))),
    }
}
