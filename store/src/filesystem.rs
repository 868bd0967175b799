//! The file system that a store lies on: what it is, whether its locks hold, how much room there is.
//!
//! Locks of network file systems hold on one machine, on all, or on none, depending on how they are mounted, and a store
//! is lost when two machines write at once. So they are refused for writing unless that is asked for.

use crate::error::{Error, ErrorKind, Result};
use crate::options::Options;
use std::path::Path;

/// A file system as the system names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// `ext4`, `nfs`, …; in hex where this crate has no name for it, empty where the system does not tell.
    pub name: String,
    /// Whether other machines may have it mounted, too.
    pub is_network: bool,
    /// Bytes that this user may still write, where the system tells.
    pub free_bytes: Option<u64>,
}

/// The numbers by which Linux tells file systems apart (statfs(2)), and which of them are of a network.
#[cfg(target_os = "linux")]
const KNOWN: &[(u32, &str, bool)] = &[
    (0x6969, "nfs", true),
    (0x517b, "smb", true),
    (0xfe53_4d42, "smb2", true),
    (0xff53_4d42, "cifs", true),
    (0x5346_414f, "afs", true),
    (0x6b41_4653, "afs", true),
    (0x7375_7245, "coda", true),
    (0x00c3_6400, "ceph", true),
    (0x0bd0_0bd0, "lustre", true),
    (0x4750_4653, "gpfs", true),
    (0x1983_0326, "beegfs", true),
    (0x7461_636f, "ocfs2", true),
    (0x0116_1970, "gfs2", true),
    (0xaad7_aaea, "panfs", true),
    (0x0102_1997, "9p", false),
    (0x6573_5546, "fuse", false),
    (0xef53, "ext4", false),
    (0x5846_5342, "xfs", false),
    (0x9123_683e, "btrfs", false),
    (0x2fc1_2fc1, "zfs", false),
    (0xf2f5_2010, "f2fs", false),
    (0xca45_1a4e, "bcachefs", false),
    (0x0102_1994, "tmpfs", false),
    (0x794c_7630, "overlayfs", false),
    (0x7371_7368, "squashfs", false),
    (0x9660, "iso9660", false),
    (0x4d44, "vfat", false),
    (0x2011_bab0, "exfat", false),
    (0x5346_544e, "ntfs", false),
];

/// The name of a number and whether it is of a network.
#[cfg(target_os = "linux")]
fn named(magic: u32) -> (String, bool) {
    match KNOWN.iter().find(|(number, ..)| *number == magic) {
        Some((_, name, is_network)) => ((*name).to_owned(), *is_network),
        None => (format!("{magic:#x}"), false),
    }
}

impl FileSystem {
    /// That of a file or directory.
    ///
    /// # Errors
    /// It is not there, or may not be looked at.
    #[cfg(target_os = "linux")]
    pub fn of(path: &Path) -> Result<Self> {
        let failed = |e: rustix::io::Errno| Error::io("look at the file system of", path, &e.into());
        let found = rustix::fs::statfs(path).map_err(failed)?;
        // 32 bits say which; the field is signed or wider on some machines.
        let (name, is_network) = named(found.f_type as u32);
        let space = rustix::fs::statvfs(path).map_err(failed)?;
        Ok(Self { name, is_network, free_bytes: space.f_bavail.checked_mul(space.f_frsize) })
    }

    /// That of a file or directory. This system does not tell.
    ///
    /// # Errors
    /// None here.
    #[cfg(not(target_os = "linux"))]
    pub fn of(_path: &Path) -> Result<Self> {
        Ok(Self { name: String::new(), is_network: false, free_bytes: None })
    }

    fn check_writable(&self, directory: &Path, options: &Options) -> Result<()> {
        if !self.is_network || options.force_network_fs {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Permission,
            format!("this is on a network file system ({}), whose locks may not hold between machines", self.name),
        )
        .at(directory)
        .hint(
            "keep the store on a local disk and share it by push, pull or export; open it for reading only; or force \
             writing when only one machine does",
        ))
    }
}

/// Refuses to write where other machines may write without being seen.
pub(crate) fn check_writable(directory: &Path, options: &Options) -> Result<()> {
    // What cannot be told is no reason to refuse.
    FileSystem::of(directory).map_or(Ok(()), |found| found.check_writable(directory, options))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_network_file_system_is_written_only_when_that_is_forced() {
        let on = |magic| {
            let (name, is_network) = named(magic);
            FileSystem { name, is_network, free_bytes: None }
        };
        let (careful, forced) =
            (Options::default(), Options { force_network_fs: true, ..Options::default() });
        let path = Path::new("somewhere");
        for magic in [0x6969, 0xff53_4d42, 0x0bd0_0bd0] {
            let error = on(magic).check_writable(path, &careful).unwrap_err();
            assert!(
                error.to_string().contains(&format!("network file system ({})", on(magic).name)),
                "{error}"
            );
            assert!(error.hint_text().is_some());
            on(magic).check_writable(path, &forced).unwrap();
        }
        for magic in [0xef53, 0x0102_1994, 0x1234_5678] {
            on(magic).check_writable(path, &careful).unwrap();
        }
        assert_eq!(on(0x1234_5678).name, "0x12345678");
    }

    #[test]
    fn the_file_system_of_a_directory_has_a_name_and_room() {
        let directory = tempfile::tempdir().unwrap();
        let found = FileSystem::of(directory.path()).unwrap();
        assert!(!found.name.is_empty() && found.free_bytes.is_some_and(|free| free > 0), "{found:?}");
        assert!(FileSystem::of(&directory.path().join("nothing")).is_err());
    }
}
