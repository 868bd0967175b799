//! The watcher: starts one simulator, and leaves nothing behind when it ends, is to end, or nobody is there any more.
//!
//! The simulator leads a process group, which gets TERM and, after a grace, KILL. On Linux orphans come to the watcher, so
//! that what left the group is found too; elsewhere a process that starts a session of its own escapes.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{
    self, Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, getrlimit, kill_process_group, setrlimit,
    waitid,
};
use rustix::stdio;

use super::wire::{self, Start, Told};

/// Watches over the simulator that the other side of the socket at standard input orders.
///
/// # Errors
/// When the socket cannot be used, or what comes is no order.
pub fn supervise() -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    stdio::dup2_stdin(File::open("/dev/null")?)?;
    let mut orders = BufReader::new(socket.try_clone()?);
    let Some(order) = wire::read::<Start>(&mut orders)? else { return Ok(()) };
    // Without this, what left the group before it was orphaned is not found, and that is all.
    #[cfg(target_os = "linux")]
    let _ = process::set_child_subreaper(Some(process::getpid()));
    let told = match start(&order) {
        Ok(child) => {
            // Whether that can still be told decides nothing: the simulator is ended when the socket is closed.
            let _ = wire::write(&socket, &Told::Started(Pid::from_child(&child).as_raw_pid()));
            ended(watch(child, orders, Duration::from_millis(order.grace_ms))?)
        }
        Err(e) => Told::NotStarted(e.raw_os_error(), e.to_string()),
    };
    descendants::end();
    if wire::write(&socket, &told).is_err() {
        // The build is gone, killed perhaps, and its directory with the inputs is nobody's.
        let _ = std::fs::remove_dir_all(&order.directory);
    }
    Ok(())
}

fn start(order: &Start) -> io::Result<Child> {
    let core = Rlimit { current: Some(0), ..getrlimit(Resource::Core) };
    setrlimit(Resource::Core, core)?;
    let before = getrlimit(Resource::As);
    if let Some(bytes) = order.memory_bytes {
        let current = Some(before.current.map_or(bytes, |known| known.min(bytes)));
        setrlimit(Resource::As, Rlimit { current, ..before })?;
    }
    let child = Command::new(&order.program)
        .args(&order.arguments)
        .env_clear()
        .envs(order.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&order.directory)
        .process_group(0)
        .stdin(Stdio::null())
        .spawn();
    // The limit is the simulator's; this process needs threads.
    setrlimit(Resource::As, before)?;
    child
}

/// Waits until the simulator has ended; ends it when the other side closes the socket.
fn watch(mut child: Child, mut orders: BufReader<UnixStream>, grace: Duration) -> io::Result<ExitStatus> {
    let pid = Pid::from_child(&child);
    let group = Arc::new(Group(Mutex::new(Some(pid))));
    let stopping = Arc::clone(&group);
    thread::spawn(move || {
        let _ = io::copy(&mut orders.by_ref(), &mut io::sink());
        stopping.signal(Signal::TERM);
        thread::sleep(grace);
        stopping.signal(Signal::KILL);
    });
    // Looked at without reaping, so that nobody else can get the number of the group before all of it is gone.
    loop {
        match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Ok(Some(_)) => break,
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    group.signal(Signal::KILL);
    let mut leader = group.0.lock().unwrap_or_else(PoisonError::into_inner);
    *leader = None;
    child.wait()
}

/// The process group of a simulator as long as its leader is not reaped.
struct Group(Mutex<Option<Pid>>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(leader) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = kill_process_group(leader, signal);
        }
    }
}

fn ended(status: ExitStatus) -> Told {
    match status.code() {
        Some(code) => Told::Exited(code),
        None => Told::Signalled(status.signal().unwrap_or_default()),
    }
}

/// What a simulator has started and left, once it is gone itself.
#[cfg(target_os = "linux")]
mod descendants {
    use std::thread;
    use std::time::{Duration, Instant};

    use rustix::process::{self, Signal, WaitOptions, kill_process};

    use super::super::processes::children;

    /// A process that the kernel holds back ends no sooner for being waited for.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// Ends all children of this process, those that come to it because their parents end too.
    pub(super) fn end() {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match process::wait(WaitOptions::NOHANG) {
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) if Instant::now() < deadline => {
                    for child in children() {
                        let _ = kill_process(child, Signal::KILL);
                    }
                    thread::sleep(Duration::from_millis(2));
                }
                // None left, or none that can be ended.
                Ok(None) | Err(_) => return,
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod descendants {
    /// Orphans go elsewhere on this system.
    pub(super) fn end() {}
}
