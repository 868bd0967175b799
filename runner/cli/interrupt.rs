//! Ctrl-C.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, ErrorKind, Result};

use super::ui::Ui;

/// A flag that the first Ctrl-C sets, with a word to the user; the second one ends the process.
pub(super) fn stop_on_signal(ui: Ui, word: &'static str) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(ErrorKind::Interrupted.exit_code()));
        }
        ui.say(word);
    })
    .map_err(|e| Error::new(ErrorKind::System, format!("cannot listen for Ctrl-C: {e}")))?;
    Ok(stop)
}
