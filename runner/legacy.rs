//! The `cache.json` of DeepFlow's library as history: kept as it was, never believed, compared with what its files give now.
//!
//! Its keys leave out what a result depends on, and its files are written over by later runs, so an entry is what somebody
//! once saw and no result. Depends on the store and on runs of given files.

use std::path::{Path, PathBuf};

use artifact_store::{Blob, Digest, OutputKind, Publication, Root, Store};
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};
use crate::exec::{Lone, LoneOptions};
use crate::files;
use crate::sim::{SimFiles, SimPaths, SimSettings};

/// What the roots of such files are called before the digest.
const PREFIX: &str = "legacy/";

/// How many digits of the digest are in the name of a root.
const NAME_DIGITS: usize = 12;

/// A file that was imported.
#[derive(Clone, Debug)]
pub struct LegacyCache {
    /// Where it was.
    pub file: PathBuf,
    /// Its content.
    pub digest: Digest,
    /// What can be compared, by key.
    pub entries: Vec<LegacyEntry>,
    /// Keys of the entries that hold no times, and why not.
    pub left_out: Vec<(String, String)>,
}

/// A time that somebody once saw.
#[derive(Clone, Debug, PartialEq)]
pub struct LegacyEntry {
    /// The key that it had.
    pub key: String,
    /// What was simulated, as far as the entry says: `all_reduce`, `graph`.
    pub comm: Option<String>,
    /// Of how many bytes, as far as the entry says.
    pub size_bytes: Option<u64>,
    /// When ranks finished, in nanoseconds, in the order in which they did.
    pub finish_ns: Vec<u64>,
    workload_prefix: String,
    system_json: String,
    network_yaml: String,
    manifest_path: Option<String>,
}

/// What an entry's files give now.
#[derive(Clone, Debug, PartialEq)]
pub enum Comparison {
    /// The same times, rank by rank.
    Same,
    /// The same times for other ranks: the entry has them in the order in which ranks finished.
    SameInAnotherOrder {
        /// By rank.
        now_ns: Vec<u64>,
    },
    /// Other times.
    Differs {
        /// By rank.
        now_ns: Vec<u64>,
    },
    /// They cannot be simulated, most often because they are gone.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// A file that can be kept.
#[derive(Clone, Debug)]
pub struct ReadCache {
    /// What it says.
    pub cache: LegacyCache,
    blob: Blob,
}

/// Reads a file.
///
/// # Errors
/// It is not there, or no such file: it holds something, and none of it is an entry.
pub fn read(file: &Path) -> Result<ReadCache> {
    let blob = Blob::new(files::read(file)?);
    // Where it lies decides what its relative paths mean.
    let place = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let members = members(&place, &blob)?;
    // Only here: what was kept once is not judged again.
    if !members.is_empty() && !members.values().any(LegacyEntry::is_one) {
        let message = "nothing in it is an entry, which is an object with the list `per_node_sec`";
        return Err(no_cache(&place, message));
    }
    Ok(ReadCache { cache: LegacyCache::of(&place, &blob, members), blob })
}

/// Keeps a file as it is. Keeping it again changes nothing.
///
/// # Errors
/// The store cannot be written.
pub fn keep(store: &Store, read: &ReadCache) -> Result<()> {
    let ReadCache { cache, blob } = read;
    let mut name = cache.digest.to_string();
    name.truncate(NAME_DIGITS);
    let root = Root::now(cache.digest, OutputKind::Blob).with_note(cache.file.display().to_string());
    let roots = vec![(format!("{PREFIX}{name}/cache.json"), root)];
    store.publish(Publication { blobs: vec![blob.clone()], roots, ..Publication::default() }).wait()?;
    Ok(())
}

/// Every file that was imported.
///
/// # Errors
/// When the store cannot be read.
pub fn imported(store: &Store) -> Result<Vec<LegacyCache>> {
    let mut caches = Vec::new();
    for (name, root) in store.roots()? {
        if !name.starts_with(PREFIX) {
            continue;
        }
        let bytes = store.get(&root.target)?.ok_or_else(|| {
            Error::new(ErrorKind::Store, format!("blob {} is damaged or gone", root.target))
                .hint("import the file again")
        })?;
        let (file, blob) = (Path::new(&root.note), Blob::new(bytes));
        caches.push(LegacyCache::of(file, &blob, members(file, &blob)?));
    }
    Ok(caches)
}

/// What the object in a file holds.
fn members(file: &Path, blob: &Blob) -> Result<Map<String, Value>> {
    match serde_json::from_slice(blob.bytes()).map_err(|e| no_cache(file, e.to_string()))? {
        Value::Object(members) => Ok(members),
        _ => Err(no_cache(file, "this is no JSON object")),
    }
}

fn no_cache(file: &Path, why: impl Into<String>) -> Error {
    Error::input(why)
        .in_file(file.display())
        .hint("expected the cache.json of DeepFlow: an object of entries by key")
}

impl LegacyCache {
    fn of(file: &Path, blob: &Blob, members: Map<String, Value>) -> Self {
        let mut cache =
            Self { file: file.to_owned(), digest: blob.digest(), entries: Vec::new(), left_out: Vec::new() };
        for (key, value) in members {
            match LegacyEntry::parse(&key, &value) {
                Ok(entry) => cache.entries.push(entry),
                Err(why) => cache.left_out.push((key, why)),
            }
        }
        cache
    }

    /// Simulates the files that an entry names, as far as they are still there, and compares. What is simulated is kept like
    /// any other run.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn compare(&self, entry: &LegacyEntry, store: &Store, settings: SimSettings) -> Result<Comparison> {
        let found = self.paths(entry).and_then(|paths| {
            let files = SimFiles::read(&paths, settings, &mut |_| {})?;
            let options = LoneOptions { lint: true, engine: astra_engine::Options::default() };
            Ok(Lone::new(store, &files, None)?.answer(&files, &options, &mut |_| {})?.report)
        });
        let report = match found {
            Ok(report) => report,
            Err(e) => match e.kind() {
                ErrorKind::Store | ErrorKind::Damaged | ErrorKind::Busy | ErrorKind::System => return Err(e),
                _ => return Ok(Comparison::Unknown { why: e.to_string() }),
            },
        };
        let now_ns: Vec<u64> = report.ranks.iter().map(|rank| rank.finish.0).collect();
        let sorted = |times: &[u64]| {
            let mut times = times.to_vec();
            times.sort_unstable();
            times
        };
        Ok(match () {
            () if now_ns == entry.finish_ns => Comparison::Same,
            () if sorted(&now_ns) == sorted(&entry.finish_ns) => Comparison::SameInAnotherOrder { now_ns },
            () => Comparison::Differs { now_ns },
        })
    }

    fn paths(&self, entry: &LegacyEntry) -> Result<SimPaths> {
        let file = |named: &str| self.find(named, |path| path.is_file());
        let manifest = entry.manifest_path.as_deref().map(file).transpose()?;
        let groups = manifest.map(|manifest| manifest.with_file_name("comm_groups.json"));
        Ok(SimPaths {
            workload_prefix: self.find(&entry.workload_prefix, |prefix| {
                PathBuf::from(format!("{}.0.et", prefix.display())).is_file()
            })?,
            system: file(&entry.system_json)?,
            network: file(&entry.network_yaml)?,
            remote_memory: None,
            comm_groups: groups.filter(|groups| groups.is_file()),
        })
    }

    /// Where a path of an entry leads: as it stands, beside the file, or beside it without what stood in front when the
    /// directory was elsewhere.
    fn find(&self, named: &str, is_there: impl Fn(&Path) -> bool) -> Result<PathBuf> {
        let directory = self.file.parent().unwrap_or(Path::new(""));
        let named_path = Path::new(named);
        let names: Vec<_> = named_path.components().collect();
        let tails =
            (0..names.len()).map(|skipped| directory.join(names[skipped..].iter().collect::<PathBuf>()));
        let beside = directory.parent().map(|above| above.join(named_path));
        let as_it_stands = Some(named_path.to_owned()).filter(|path| path.is_absolute());
        as_it_stands
            .into_iter()
            .chain(beside)
            .chain(tails)
            .find(|path| is_there(path))
            .ok_or_else(|| Error::input(format!("`{named}` is gone")).in_file(self.file.display()))
    }
}

impl LegacyEntry {
    /// Whether this was meant to be an entry, readable or not.
    fn is_one(value: &Value) -> bool {
        value.get("per_node_sec").is_some()
    }

    /// Reads an entry; the error is a fragment.
    fn parse(key: &str, value: &Value) -> Result<Self, String> {
        let entry = value.as_object().ok_or("it is no object")?;
        let seconds =
            entry.get("per_node_sec").and_then(Value::as_array).ok_or("it has no list `per_node_sec`")?;
        let finish_ns = seconds.iter().map(nanos).collect::<Option<Vec<u64>>>();
        let finish_ns =
            finish_ns.filter(|times| !times.is_empty()).ok_or("not every time is a number above 0")?;
        let longest = entry.get("max_sec").and_then(nanos);
        if longest.is_none() || longest != finish_ns.iter().copied().max() {
            return Err("`max_sec` is not the longest of its times".to_owned());
        }
        let path = |name: &str| text(entry, name).ok_or_else(|| format!("it has no path `{name}`"));
        let signature = entry.get("signature").and_then(Value::as_object);
        Ok(Self {
            key: key.to_owned(),
            comm: signature.and_then(|signature| text(signature, "comm")),
            size_bytes: signature.and_then(|signature| signature.get("size_bytes")?.as_u64()),
            finish_ns,
            workload_prefix: path("workload_prefix")?,
            system_json: path("system_json")?,
            network_yaml: path("network_yaml")?,
            manifest_path: text(entry, "manifest_path"),
        })
    }

    /// When the last rank finished, in nanoseconds.
    pub fn longest_ns(&self) -> u64 {
        self.finish_ns.iter().copied().max().unwrap_or_default()
    }
}

fn text(map: &Map<String, Value>, name: &str) -> Option<String> {
    map.get(name)?.as_str().map(str::to_owned)
}

/// A time above 0, in seconds, as the whole number of nanoseconds that it was made from.
fn nanos(seconds: &Value) -> Option<u64> {
    let nanos = (seconds.as_f64()? * 1e9).round();
    // Numbers that large are exact in neither form.
    (nanos >= 1.0 && nanos < (1_u64 << 53) as f64).then_some(nanos as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(changes: &[(&str, Value)]) -> Result<LegacyEntry, String> {
        let mut entry = json!({
            "signature": { "comm": "all_reduce", "size_bytes": 7 },
            "per_node_sec": [4.3e-5, 4.2e-5], "max_sec": 4.3e-5,
            "workload_prefix": "w", "system_json": "s", "network_yaml": "n",
        });
        for (name, value) in changes {
            entry[*name] = value.clone();
        }
        LegacyEntry::parse("key", &entry)
    }

    #[test]
    fn an_entry_is_read_and_one_that_holds_no_times_is_left_out_with_the_reason() {
        let read = entry(&[]).unwrap();
        assert_eq!(
            (read.finish_ns, read.comm.as_deref(), read.size_bytes),
            (vec![43_000, 42_000], Some("all_reduce"), Some(7))
        );
        for (name, value, why) in [
            ("per_node_sec", json!([]), "not every time"),
            ("per_node_sec", json!(["4"]), "not every time"),
            ("per_node_sec", json!([0.0]), "not every time"),
            ("per_node_sec", json!([1e300]), "not every time"),
            ("per_node_sec", json!(null), "no list"),
            ("max_sec", json!(99), "longest"),
            ("network_yaml", json!(3), "no path `network_yaml`"),
        ] {
            assert!(entry(&[(name, value)]).unwrap_err().contains(why), "{name}");
        }
    }
}
