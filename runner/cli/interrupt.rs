//! Ctrl-C.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, ErrorKind, Result};

use super::ui::Ui;

/// A flag that the first Ctrl-C sets, with a word to the user; the second one ends the process.
pub(super) fn stop_on_signal(ui: Ui, word: &'static str) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    listen(move || {
        if flag.swap(true, Ordering::SeqCst) {
            leave();
        }
        ui.say(word);
    })?;
    Ok(stop)
}

/// Lets the first Ctrl-C end the process, for work that may wait for a pipe or a server and cannot be asked to stop.
/// What it has not finished, a file or a directory, goes away; the hint says what stays.
pub(super) fn leave_on_signal(ui: Ui, unfinished: Option<&Path>, hint: &'static str) -> Result<()> {
    let unfinished: Option<PathBuf> = unfinished.map(Path::to_owned);
    listen(move || {
        if let Some(path) = &unfinished {
            // Gone already when it was finished just now.
            let _ = std::fs::remove_file(path).or_else(|_| std::fs::remove_dir_all(path));
        }
        ui.error(&Error::new(ErrorKind::Interrupted, "interrupted").hint(hint));
        leave();
    })
}

fn listen(handler: impl FnMut() + Send + 'static) -> Result<()> {
    ctrlc::set_handler(handler)
        .map_err(|e| Error::new(ErrorKind::System, format!("cannot listen for Ctrl-C: {e}")))
}

fn leave() -> ! {
    std::process::exit(i32::from(ErrorKind::Interrupted.exit_code()))
}
