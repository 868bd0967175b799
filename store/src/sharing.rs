//! Stores and remotes that several users share: what is made in a directory for a group (`chmod g+ws`), the group may
//! write too.
//!
//! The umask says what a user wants of ordinary files. A store in a directory for a group is none: whoever comes second
//! would be locked out by it. What others open as soon as it is there must be open to them from its first moment.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// The group may write, and what is made here belongs to it.
#[cfg(unix)]
const FOR_A_GROUP: u32 = 0o2020;

/// What a group may do with a file.
#[cfg(unix)]
const FILE_OF_A_GROUP: u32 = 0o060;

/// What a group may do with a directory, which hands it on.
#[cfg(unix)]
const DIRECTORY_OF_A_GROUP: u32 = 0o2070;

/// Lets the group write what was just made, when the directory it is in is one for a group. Where that is refused, it is the
/// file of somebody else, who has done so.
#[cfg(unix)]
pub(crate) fn as_its_directory(path: &Path) {
    take_over(path, 0);
}

/// The same, and whatever the umask the path gets those of these permissions that its directory has.
#[cfg(unix)]
fn take_over(path: &Path, inherited: u32) {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).map(|found| (found.is_dir(), found.permissions().mode()));
    let (Ok((_, above)), Ok((is_directory, now))) = (mode(directory_of(path)), mode(path)) else {
        return;
    };
    let of_a_group = match (above & FOR_A_GROUP == FOR_A_GROUP, is_directory) {
        (false, _) => 0,
        (true, true) => DIRECTORY_OF_A_GROUP,
        (true, false) => FILE_OF_A_GROUP,
    };
    let wanted = now | of_a_group | above & inherited;
    if wanted != now {
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(wanted));
    }
}

/// Makes a directory, and those above it that are missing, with those of these permissions that the one above has, and for
/// a group where that is for one. Each gets its name when others may use it.
///
/// # Errors
/// The system refuses, or there is something else.
pub(crate) fn create_dir_all(path: &Path, inherited: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = directory_of(path);
    if path.parent().is_some_and(|parent| parent == above) {
        create_dir_all(above, inherited)?;
    }
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    // The name that it has for a moment is nobody's business.
    let made = builder.tempdir_in(above).map_err(|e| io::Error::from(e.kind()))?;
    take_over(made.path(), inherited);
    // Where the file system cannot do that, it is open to others a moment later than it is there.
    let in_place = |_| fs::create_dir(path).map(|()| take_over(path, inherited));
    match name_new(made.path(), path).or_else(in_place) {
        // Somebody else has made it meanwhile.
        Err(_) if path.is_dir() => Ok(()),
        named => named,
    }
}

/// Gives a directory a name that nothing has. An empty directory must not be replaced either: somebody may be about to put
/// something there.
#[cfg(target_os = "linux")]
fn name_new(made: &Path, path: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, made, CWD, path, RenameFlags::NOREPLACE)?)
}

/// Elsewhere there is no such call.
#[cfg(not(target_os = "linux"))]
fn name_new(_made: &Path, _path: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The directory that a path is in.
fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes an empty file for reading and writing. In a directory for a group it gets its name when the group may write it: it
/// is made beside, in a directory of the same group in which nobody looks for files.
///
/// # Errors
/// There is a file of this name already; the directory may not be written.
#[cfg(unix)]
pub(crate) fn create(path: &Path, beside: &Path) -> io::Result<File> {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).map(|found| found.permissions().mode());
    let above = mode(directory_of(path))?;
    if above & FOR_A_GROUP != FOR_A_GROUP {
        return OpenOptions::new().read(true).write(true).create_new(true).open(path);
    }
    let mut builder = tempfile::Builder::new();
    builder.permissions(fs::Permissions::from_mode(0o666));
    let file = builder.tempfile_in(beside)?;
    let wanted = mode(file.path())? | FILE_OF_A_GROUP;
    fs::set_permissions(file.path(), fs::Permissions::from_mode(wanted))?;
    file.persist_noclobber(path).map_err(|e| e.error)
}

/// Elsewhere permissions are inherited.
#[cfg(not(unix))]
pub(crate) fn as_its_directory(_path: &Path) {}

/// Elsewhere permissions are inherited.
#[cfg(not(unix))]
fn take_over(_path: &Path, _inherited: u32) {}

/// Elsewhere permissions are inherited.
#[cfg(not(unix))]
pub(crate) fn create(path: &Path, _beside: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).open(path)
}

#[cfg(all(test, unix))]
mod tests {
    use crate::locks::Held;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    const DIRECTORY: &str = "STORE_TEST_GROUP";
    /// So many that one is seen in between, if there is a moment in between.
    const FILES: usize = 10_000;

    /// Makes lock files when started by another test; alone it does nothing.
    #[test]
    fn somebody_careful() {
        let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
        (0..FILES).for_each(|n| drop(Held::try_take(&directory.join(n.to_string())).unwrap()));
    }

    #[test]
    fn a_lock_file_of_a_group_is_open_to_it_from_its_first_moment() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o2770)).unwrap();
        let mut careful = Command::new("sh")
            .args(["-c", "umask 077; exec \"$@\"", "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["sharing::tests::somebody_careful", "--exact"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        for n in 0..FILES {
            let path = directory.path().join(n.to_string());
            let found = loop {
                match std::fs::metadata(&path) {
                    Ok(found) => break found,
                    Err(e) => assert!(Instant::now() < deadline, "{}: {e}", path.display()),
                }
            };
            assert_eq!(found.permissions().mode() & 0o777, 0o660, "{}", path.display());
        }
        assert!(careful.wait().unwrap().success());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), FILES, "something else is left");
    }
}
