//! Stores that several users share: what is made in a directory for a group (`chmod g+ws`), the group may write too.
//!
//! The umask says what a user wants of ordinary files. A store in a directory for a group is none: whoever comes second
//! would be locked out by it.

use std::path::Path;

/// Lets the group write what was just made, when the directory it is in is one for a group. Where that is refused, it is the
/// file of somebody else, who has done so.
#[cfg(unix)]
pub(crate) fn as_its_directory(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    /// The group may write, and what is made here belongs to it.
    const FOR_A_GROUP: u32 = 0o2020;
    let mode =
        |path: &Path| std::fs::metadata(path).map(|found| (found.is_dir(), found.permissions().mode()));
    let (Some(Ok((_, above))), Ok((is_directory, now))) = (path.parent().map(mode), mode(path)) else {
        return;
    };
    if above & FOR_A_GROUP != FOR_A_GROUP {
        return;
    }
    let wanted = now | if is_directory { 0o2070 } else { 0o060 };
    if wanted != now {
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(wanted));
    }
}

/// Elsewhere permissions are inherited.
#[cfg(not(unix))]
pub(crate) fn as_its_directory(_path: &Path) {}
