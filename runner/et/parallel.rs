//! The same work for many numbers on several threads.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What `work` makes of each number below `count`, in order, computed on several threads: fewer where the machine
/// starts no more.
pub(super) fn in_parallel<T: Send>(
    count: usize,
    jobs: NonZeroUsize,
    work: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let some = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return done;
            }
            done.push((index, work(index)));
        }
    };
    let mut slots: Vec<Option<T>> = (0..count).map(|_| None).collect();
    let done = thread::scope(|scope| {
        let start = |_| thread::Builder::new().spawn_scoped(scope, some).ok();
        let others: Vec<_> = (1..jobs.get().min(count)).map_while(start).collect();
        let mut done = some();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    for (index, result) in done {
        slots[index] = Some(result);
    }
    slots.into_iter().flatten().collect()
}
