//! Looking around in a store: counts, lists, abbreviated names.

use crate::db::{ReadRows, Table};
use crate::digest::{ActionKey, Digest, HexPrefix};
use crate::error::{Error, Result};
use crate::gc::every_key;
use crate::payload::Head;
use crate::record::ActionRecord;
use crate::store::Store;

/// How much is in a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Blobs.
    pub blobs: u64,
    /// Action records.
    pub actions: u64,
    /// Roots.
    pub roots: u64,
    /// Bytes of all blobs as they are read.
    pub logical_bytes: u64,
    /// Bytes of all blobs as they are stored, compressed.
    pub stored_bytes: u64,
    /// Size of the store's file, including free space in it.
    pub file_bytes: u64,
}

/// A blob in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobInfo {
    /// The blob.
    pub digest: Digest,
    /// Its length in bytes.
    pub len: u64,
    /// How many bytes are stored for it.
    pub stored_len: u64,
}

/// What an abbreviated name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Found {
    /// A blob.
    Blob(Digest),
    /// An action.
    Action(ActionKey),
}

impl Store {
    /// Counts what is committed. Reads the directory of all blobs, not their content.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn stats(&self) -> Result<Stats> {
        let db = &self.core().db;
        let view = db.view()?;
        let file = std::fs::metadata(db.path()).map_err(|e| Error::io("look at the file", db.path(), &e))?;
        let heads = view.table(Table::Blobs)?;
        let mut stats = Stats {
            blobs: heads.len()?,
            actions: view.table(Table::Actions)?.len()?,
            roots: view.table(Table::Roots)?.len()?,
            file_bytes: file.len(),
            ..Stats::default()
        };
        heads.scan(every_key(), &mut |_, row| {
            if let Some(head) = Head::read(row) {
                stats.logical_bytes += head.len;
                stats.stored_bytes += head.stored_len;
            }
            Ok(true)
        })?;
        Ok(stats)
    }

    /// The committed blobs whose names begin so, ascending.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn list_blobs(&self, prefix: &HexPrefix) -> Result<Vec<BlobInfo>> {
        let mut blobs = Vec::new();
        let view = self.core().db.view()?;
        view.table(Table::Blobs)?.scan(&prefix.first[..]..=&prefix.last[..], &mut |key, row| {
            if let (Ok(id), Some(head)) = (key.try_into(), Head::read(row)) {
                let digest = Digest::from_bytes(id);
                blobs.push(BlobInfo { digest, len: head.len, stored_len: head.stored_len });
            }
            Ok(true)
        })?;
        Ok(blobs)
    }

    /// The lengths of these committed blobs in bytes, in the order given; `None` for one that is not there.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn lens(&self, digests: &[Digest]) -> Result<Vec<Option<u64>>> {
        let heads = self.core().db.view()?.table(Table::Blobs)?;
        let len = |digest: &Digest| {
            Ok(heads.get(digest.as_bytes())?.as_deref().and_then(Head::read).map(|head| head.len))
        };
        digests.iter().map(len).collect()
    }

    /// Shows the committed records of these actions, in the order given; `None` where there is none, or one that cannot
    /// be read.
    pub(crate) fn for_each_record(
        &self,
        keys: &[ActionKey],
        visit: &mut dyn FnMut(&ActionKey, Option<ActionRecord>) -> Result<()>,
    ) -> Result<()> {
        let view = self.core().db.view()?;
        let rows = view.table(Table::Actions)?;
        keys.iter().try_for_each(|key| {
            let record = rows.get(key.as_bytes())?.and_then(|row| ActionRecord::decode_row(key, &row).ok());
            visit(key, record)
        })
    }

    /// The committed actions whose keys begin so, ascending.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn list_actions(&self, prefix: &HexPrefix) -> Result<Vec<ActionKey>> {
        let view = self.core().db.view()?;
        let keys = names(&view.table(Table::Actions)?, prefix, usize::MAX)?;
        Ok(keys.into_iter().map(ActionKey::from_bytes).collect())
    }

    /// The one committed blob or action whose name begins with these hex digits.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] when these are not hex digits, nothing begins so, or several do.
    pub fn find(&self, abbreviated: &str) -> Result<Found> {
        let prefix: HexPrefix = abbreviated.parse()?;
        let view = self.core().db.view()?;
        let blobs = names(&view.table(Table::Blobs)?, &prefix, 2)?;
        let actions = names(&view.table(Table::Actions)?, &prefix, 2)?;
        let blobs = blobs.into_iter().map(|id| Found::Blob(Digest::from_bytes(id)));
        let actions = actions.into_iter().map(|id| Found::Action(ActionKey::from_bytes(id)));
        match blobs.chain(actions).collect::<Vec<_>>()[..] {
            [] => Err(Error::invalid(format!("no blob and no action begins with `{abbreviated}`"))
                .at(self.directory())),
            [found] => Ok(found),
            [first, second, ..] => {
                Err(Error::invalid(format!("`{abbreviated}` is ambiguous: {first} and {second} begin so"))
                    .hint("give more digits"))
            }
        }
    }
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Blob(digest) => write!(f, "blob {digest}"),
            Self::Action(key) => write!(f, "action {key}"),
        }
    }
}

/// At most so many names of a table that begin so.
fn names(rows: &impl ReadRows, prefix: &HexPrefix, most: usize) -> Result<Vec<[u8; 32]>> {
    let mut names = Vec::new();
    rows.scan(&prefix.first[..]..=&prefix.last[..], &mut |key, _| {
        names.extend(<[u8; 32]>::try_from(key));
        Ok(names.len() < most)
    })?;
    Ok(names)
}
