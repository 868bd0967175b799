//! Points at which tests stop this process, so that another one acts there. Compiled for the tests of this crate alone.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Where the process is to stop.
pub(crate) const POINT: &str = "STORE_TEST_HALT";

/// The directory in which it says that it has, and waits for the word to go on.
pub(crate) const NOTES: &str = "STORE_TEST_HALT_NOTES";

/// Nobody waits longer for the other: it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Stops here when this is the point, the first time that it is passed.
pub(crate) fn at(point: &str) {
    static HALTED: AtomicBool = AtomicBool::new(false);
    if std::env::var(POINT).is_ok_and(|wanted| wanted == point) && !HALTED.swap(true, Ordering::Relaxed) {
        let notes = PathBuf::from(std::env::var_os(NOTES).expect("a directory for notes"));
        std::fs::write(notes.join("halted"), "").expect("a note can be written");
        await_note(&notes, "go on");
    }
}

/// Whether the next commit deletes.
pub(crate) static DELETING: AtomicBool = AtomicBool::new(false);

/// Waits until the other process has stopped.
pub(crate) fn await_halt(notes: &Path) {
    await_note(notes, "halted");
}

/// Lets the other process go on.
pub(crate) fn go_on(notes: &Path) {
    std::fs::write(notes.join("go on"), "").expect("a note can be written");
}

fn await_note(notes: &Path, name: &str) {
    let since = Instant::now();
    while !notes.join(name).exists() {
        assert!(since.elapsed() < PATIENCE, "the other process has not come to `{name}`");
        std::thread::sleep(Duration::from_millis(1));
    }
}
