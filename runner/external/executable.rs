//! Which executable a simulator is: the hash of its bytes, remembered as long as the file is certainly the same one.
//!
//! What is remembered is a hint in a directory that may be deleted at any time. Its rule is that of version control: a
//! file that was changed just before it was hashed may be changed again without its times showing it, so it is hashed
//! again next time.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use artifact_store::Digest;
use astra_engine::NetworkModel;

use crate::error::{Error, Result};
use crate::files;

/// The environment variable that names the executable where a recipe does not.
pub const VARIABLE: &str = "ASTRA_SIM_BINARY";

/// File systems tell times at least this exactly.
const COARSEST_CLOCK: Duration = Duration::from_secs(2);

/// An executable, as it was when it was hashed.
#[derive(Clone, Debug)]
pub struct Executable {
    /// Where it lies, for starting it and for messages.
    pub path: PathBuf,
    /// The hash of its bytes: what it is called in keys.
    pub digest: Digest,
    stamp: Stamp,
}

/// What a file system says of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

/// The path of the executable that the environment names.
///
/// # Errors
/// When it names none.
pub fn from_environment() -> Result<PathBuf> {
    let named = std::env::var_os(VARIABLE).filter(|path| !path.is_empty());
    named.map(PathBuf::from).ok_or_else(|| {
        Error::input("an engine of kind `astra-sim` needs an executable, and nothing says where it is")
            .hint(format!("name it in the recipe as `engine.binary`, or set {VARIABLE}"))
    })
}

impl Executable {
    /// Looks at the executable at a path. Hashes are remembered in a directory, if one is named.
    ///
    /// # Errors
    /// When there is no file, or none that this user may read and execute.
    pub fn find(path: &Path, remembered: Option<&Path>) -> Result<Self> {
        let wrong = |error: Error| error.in_file(path.display());
        // A name alone would be looked up in `PATH`, which is not where its bytes were read.
        let path = std::path::absolute(path).map_err(|e| wrong(Error::input(e.to_string())))?;
        let hint = format!(
            "`engine.binary` in the recipe or {VARIABLE} in the environment says where the simulator is"
        );
        let mut file = files::open(&path).map_err(|e| e.hint(hint))?;
        let about = file.metadata().map_err(|e| wrong(Error::input(format!("cannot be looked at: {e}"))))?;
        if !about.is_file() {
            return Err(wrong(Error::input("is no file, expected the executable of a simulator")));
        }
        if about.permissions().mode() & 0o111 == 0 {
            return Err(wrong(Error::input("is not executable, expected the executable of a simulator"))
                .hint("`chmod +x` makes it so"));
        }
        let stamp = Stamp::of(&about);
        if let Some(digest) = remembered.and_then(|directory| stamp.recall(directory)) {
            return Ok(Self { path, digest, stamp });
        }
        let began = SystemTime::now();
        let digest = digest_of(&mut file).map_err(|e| wrong(Error::input(format!("cannot be read: {e}"))))?;
        let executable = Self { path, digest, stamp };
        if !executable.is_unchanged() {
            return Err(
                wrong(Error::input("was changed while it was read")).hint("try again when it is complete")
            );
        }
        if let Some(directory) = remembered.filter(|_| stamp.is_older_than(began)) {
            stamp.remember(directory, &digest);
        }
        Ok(executable)
    }

    /// Whether the file still has the bytes that were hashed. They are read again only where the file may be another one.
    pub fn is_unchanged(&self) -> bool {
        let is_same_file = std::fs::metadata(&self.path).is_ok_and(|about| Stamp::of(&about) == self.stamp);
        let has_same_bytes = || File::open(&self.path).and_then(|mut file| digest_of(&mut file));
        is_same_file || has_same_bytes().is_ok_and(|digest| digest == self.digest)
    }

    /// The network model of the simulator, where its name is one that the original gives.
    pub fn network_model(&self) -> Option<NetworkModel> {
        let name = self.path.file_stem()?.to_str()?.to_ascii_lowercase();
        match () {
            () if name.ends_with("congestion_aware") => Some(NetworkModel::CongestionAware),
            () if name.ends_with("congestion_unaware") => Some(NetworkModel::CongestionUnaware),
            () => None,
        }
    }

    /// What the file is called, without its directory.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

fn digest_of(file: &mut File) -> io::Result<Digest> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(file, &mut bytes)?;
    Ok(Digest::of(&bytes))
}

impl Stamp {
    fn of(about: &Metadata) -> Self {
        let ns = |seconds: i64, ns: i64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
        Self {
            device: about.dev(),
            inode: about.ino(),
            bytes: about.len(),
            modified_ns: ns(about.mtime(), about.mtime_nsec()),
            changed_ns: ns(about.ctime(), about.ctime_nsec()),
        }
    }

    /// Whether every change of the file from a moment on will show in its times.
    fn is_older_than(&self, moment: SystemTime) -> bool {
        let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(COARSEST_CLOCK);
        let since = i128::try_from(since.as_nanos()).unwrap_or(i128::MAX);
        self.modified_ns < since && self.changed_ns < since
    }

    fn file(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{:x}-{:x}", self.device, self.inode))
    }

    /// The first line of what is remembered: all of the stamp that is not in its name.
    fn line(&self) -> String {
        format!("{} {} {}", self.bytes, self.modified_ns, self.changed_ns)
    }

    fn recall(&self, directory: &Path) -> Option<Digest> {
        let text = std::fs::read_to_string(self.file(directory)).ok()?;
        let (line, digest) = text.trim_end().split_once('\n')?;
        digest.parse().ok().filter(|_| line == self.line())
    }

    /// Best effort: what is not remembered is hashed again.
    fn remember(&self, directory: &Path, digest: &Digest) {
        let _ = files::write(&self.file(directory), format!("{}\n{digest}\n", self.line()).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Simulator {
        directory: tempfile::TempDir,
    }

    impl Simulator {
        fn new(bytes: &[u8]) -> Self {
            let simulator = Self { directory: tempfile::tempdir().unwrap() };
            simulator.write(bytes);
            simulator
        }

        fn path(&self) -> PathBuf {
            self.directory.path().join("AstraSim_Analytical_Congestion_Unaware")
        }

        fn memory(&self) -> PathBuf {
            self.directory.path().join("memory")
        }

        /// Changes the bytes in place and makes the file an old one.
        fn write(&self, bytes: &[u8]) {
            fs::write(self.path(), bytes).unwrap();
            fs::set_permissions(self.path(), fs::Permissions::from_mode(0o755)).unwrap();
        }

        fn find(&self) -> Executable {
            Executable::find(&self.path(), Some(&self.memory())).unwrap()
        }

        fn remembered(&self) -> usize {
            fs::read_dir(self.memory()).map_or(0, Iterator::count)
        }
    }

    #[test]
    fn an_executable_is_called_by_its_bytes_and_says_which_network_it_has() {
        let simulator = Simulator::new(b"one");
        let found = simulator.find();
        assert_eq!(found.digest, Digest::of(b"one"));
        assert_eq!(found.network_model(), Some(NetworkModel::CongestionUnaware));
        assert!(found.is_unchanged());
        fs::rename(simulator.path(), simulator.directory.path().join("away")).unwrap();
        assert!(!found.is_unchanged());
    }

    #[test]
    fn what_was_changed_a_moment_ago_is_not_remembered() {
        let simulator = Simulator::new(b"one");
        simulator.find();
        assert_eq!(simulator.remembered(), 0);
        simulator.write(b"two");
        assert_eq!(simulator.find().digest, Digest::of(b"two"));
    }

    #[test]
    fn a_remembered_hash_holds_until_anything_about_the_file_changes() {
        let simulator = Simulator::new(b"one");
        let stamp = Stamp::of(&fs::metadata(simulator.path()).unwrap());
        // What an old file would leave; the bytes tell whether they were read.
        let other = Digest::of(b"remembered");
        stamp.remember(&simulator.memory(), &other);
        assert_eq!(simulator.find().digest, other);
        simulator.write(b"another");
        assert_eq!(simulator.find().digest, Digest::of(b"another"));
    }

    #[test]
    fn a_damaged_memory_is_no_memory() {
        let simulator = Simulator::new(b"one");
        let stamp = Stamp::of(&fs::metadata(simulator.path()).unwrap());
        for text in ["", "x", "1 2 3\n", &format!("{}\nabc\n", stamp.line())] {
            files::write(&stamp.file(&simulator.memory()), text.as_bytes()).unwrap();
            assert_eq!(simulator.find().digest, Digest::of(b"one"));
        }
    }

    #[test]
    fn only_files_from_long_before_the_look_are_remembered() {
        let now = SystemTime::now();
        let ns = |t: SystemTime| i128::try_from(t.duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
        let at = |modified_ns, changed_ns| Stamp { device: 1, inode: 2, bytes: 3, modified_ns, changed_ns };
        let (old, young) = (ns(now - Duration::from_secs(3)), ns(now - Duration::from_secs(1)));
        assert!(at(old, old).is_older_than(now));
        assert!(!at(old, young).is_older_than(now));
        assert!(!at(young, old).is_older_than(now));
    }

    #[test]
    fn what_cannot_be_executed_is_refused_with_a_remedy() {
        let simulator = Simulator::new(b"one");
        let refused = |path: &Path| Executable::find(path, None).unwrap_err();
        let directory = refused(simulator.directory.path());
        assert!(directory.message().contains("expected"), "{directory}");
        fs::set_permissions(simulator.path(), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(refused(&simulator.path()).message().starts_with("is not executable"));
        assert!(refused(Path::new("/nowhere/sim")).hint_text().unwrap().contains(VARIABLE));
    }
}
