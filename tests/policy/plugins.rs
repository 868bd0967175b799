//! Plugins for the tests: built once per run, from C with `cc` and from Rust with the cargo that runs the tests.

use artifact_store::SharedBytes;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use astra_store::Result;
use astra_store::policy::{Isolation, Limits, Session, Source};

/// The program that runs the helper.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_astra-store");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn output(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("policies-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    directory.join(name)
}

/// What has been built in this run, by how; nothing where there is no compiler.
static BUILT: Mutex<BTreeMap<String, Option<SharedBytes>>> = Mutex::new(BTreeMap::new());

fn once(how: String, build: impl FnOnce() -> Option<PathBuf>) -> Option<SharedBytes> {
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let made = built.entry(how).or_insert_with(|| build().map(|path| std::fs::read(path).unwrap().into()));
    made.clone()
}

/// A plugin from a C file of this repository, or nothing, said loudly, without a C compiler.
pub(crate) fn c(file: &str, flags: &[&str]) -> Option<SharedBytes> {
    once(format!("{file} {}", flags.join(" ")), || {
        let out = output(&format!("{}{}.so", file.replace('/', "-"), flags.concat().replace(['/', '"'], "")));
        cc(file, &[&["-shared", "-fPIC"], flags].concat(), &out)
    })
}

/// What a program from a C file of this repository prints that is given a file with these bytes; nothing without a compiler.
pub(crate) fn printed_by_c(file: &str, flags: &[&str], bytes: &[u8]) -> Option<String> {
    let program = cc(file, flags, &output(&file.replace('/', "-")))?;
    let given = output("given.so");
    std::fs::write(&given, bytes).unwrap();
    let done = Command::new(program).arg(given).output().unwrap();
    assert!(done.status.success(), "{file}: {:?}", done.status);
    Some(String::from_utf8(done.stdout).unwrap())
}

fn cc(file: &str, flags: &[&str], out: &Path) -> Option<PathBuf> {
    let strict = ["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-O1"];
    let mut cc = Command::new("cc");
    cc.args(strict).arg("-I").arg(root().join("plugins/abi/include")).arg(root().join(file));
    let Ok(done) = cc.args(flags).arg("-o").arg(out).output() else {
        eprintln!("SKIPPED: no C compiler `cc`, so {file} was not tried");
        return None;
    };
    assert!(done.status.success(), "{file}: {}", String::from_utf8_lossy(&done.stderr));
    Some(out.to_owned())
}

/// The plugin of a Rust crate of this repository that stands alone.
pub(crate) fn rust(directory: &str) -> SharedBytes {
    let name = Path::new(directory).file_name().unwrap().to_str().unwrap().replace('-', "_");
    let built = once(directory.to_owned(), || {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("standalone");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--offline", "--quiet", "--target-dir"]).arg(&target);
        let done = cargo.current_dir(root().join(directory)).output().unwrap();
        assert!(done.status.success(), "{directory}: {}", String::from_utf8_lossy(&done.stderr));
        Some(target.join(format!("debug/lib{name}.so")))
    });
    built.unwrap()
}

/// The plugin of a policy that ships.
pub(crate) fn shipped(package: &str, example: &str) -> SharedBytes {
    let built = once(package.to_owned(), || {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("standalone");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--offline", "--quiet", "-p", package, "--example", example, "--target-dir"]);
        let done = cargo.arg(&target).current_dir(root()).output().unwrap();
        assert!(done.status.success(), "{package}: {}", String::from_utf8_lossy(&done.stderr));
        Some(target.join(format!("debug/examples/lib{}.so", example.replace('-', "_"))))
    });
    built.unwrap()
}

/// Patience that no busy machine uses up.
pub(crate) fn limits() -> Limits {
    Limits { patience: Duration::from_secs(120), cpu_s: 60, memory_bytes: 1 << 30 }
}

/// For tests that wait for the end of patience: long enough to start a process on a busy machine.
pub(crate) fn impatient() -> Limits {
    Limits { patience: Duration::from_secs(3), ..limits() }
}

/// Opens a plugin in a helper process.
pub(crate) fn open(name: &str, bytes: &SharedBytes, config: &str) -> Result<Session> {
    open_within(limits(), name, bytes, config)
}

/// Opens a plugin in a helper process with limits of its own.
pub(crate) fn open_within(limits: Limits, name: &str, bytes: &SharedBytes, config: &str) -> Result<Session> {
    let source = Source::Library { name: name.to_owned(), bytes: bytes.clone() };
    Session::open(source, config, Isolation::Helper(PROGRAM.into()), limits)
}
