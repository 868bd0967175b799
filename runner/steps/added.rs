//! Plugins that a store holds by name, as pins, so that a recipe can name them wherever the store is.
//!
//! Code is not data: one that was added from a file may run; one that came with pulled or imported content may be named,
//! and what is recorded of its decisions used, but it runs only when its digest is allowed.

use artifact_store::{Blob, Digest, OutputKind, Pinned, Publication, Store};

use crate::error::{Error, ErrorKind, Result};

/// What the pins of plugins are called before the plugin's name: of those that may run, and of those that came.
const MAY_RUN: &str = "plugin/";
const CAME: &str = "received-plugin/";

/// A plugin that a store holds by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedPlugin {
    /// Its name.
    pub name: String,
    /// Its library.
    pub digest: Digest,
    /// Whether it may run without being allowed.
    pub may_run: bool,
    /// Where it is from, for people.
    pub note: String,
}

/// Where an added plugin comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A file of this machine, with its bytes.
    File(Blob),
    /// Content that is in the store.
    Store(Digest),
}

/// All plugins that a store holds by name, in the order of their names.
///
/// # Errors
/// When the store cannot be read.
pub fn added_plugins(store: &Store) -> Result<Vec<AddedPlugin>> {
    let mut added = Vec::new();
    for (pin, root) in store.pins()? {
        for (prefix, may_run) in [(MAY_RUN, true), (CAME, false)] {
            if let Some(name) = pin.strip_prefix(prefix) {
                let (digest, note) = (root.target, root.note.clone());
                added.push(AddedPlugin { name: name.to_owned(), digest, may_run, note });
            }
        }
    }
    added.sort_by(|a, b| (&a.name, !a.may_run).cmp(&(&b.name, !b.may_run)));
    // One that was added here and came as well is the one that was added.
    added.dedup_by(|came, added| came.name == added.name && came.digest == added.digest);
    Ok(added)
}

/// Whether a pin of this name holds a plugin.
pub fn is_plugin_pin(pin: &str) -> bool {
    [MAY_RUN, CAME].iter().any(|prefix| pin.starts_with(prefix))
}

/// The name under which a pin comes that another store has: who let a plugin run there has not let it run here.
pub fn plugin_pin_when_received(pin: &str) -> String {
    pin.strip_prefix(MAY_RUN).map_or_else(|| pin.to_owned(), |name| format!("{CAME}{name}"))
}

/// Holds a plugin under a name, in place of one that has it already where that is wanted.
///
/// # Errors
/// A name that is taken by another library; content that is not there; a store that cannot be written.
pub fn add_plugin(
    store: &Store,
    name: &str,
    origin: &Origin,
    note: &str,
    replace: bool,
) -> Result<AddedPlugin> {
    let session = store.session()?;
    let (digest, may_run) = match origin {
        Origin::File(library) => (library.digest(), true),
        Origin::Store(digest) => (*digest, false),
    };
    let taken = added_plugins(store)?.into_iter().filter(|plugin| plugin.name == name);
    for other in taken {
        if other.digest != digest && !replace {
            let message = format!("the store has another plugin `{name}`: {}", other.digest);
            return Err(Error::new(ErrorKind::Usage, message)
                .hint("choose another --name, or put this one in its place with --replace"));
        }
        // What may run already does not lose that by having come once more.
        if other.digest == digest && other.may_run {
            return Ok(other);
        }
    }
    if let Origin::File(library) = origin {
        store.publish(Publication { blobs: vec![library.clone()], ..Publication::default() }).wait()?;
    }
    let (prefix, other) = if may_run { (MAY_RUN, CAME) } else { (CAME, MAY_RUN) };
    store.pin(&format!("{prefix}{name}"), Pinned::Output(OutputKind::Blob, digest), note)?;
    store.unpin(&format!("{other}{name}"))?;
    drop(session);
    Ok(AddedPlugin { name: name.to_owned(), digest, may_run, note: note.to_owned() })
}
