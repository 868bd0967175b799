//! What the commands that move things between stores have in common: the other side, progress, what is said in the end.

use std::io;
use std::path::Path;
use std::time::Duration;

use artifact_store::remote::{DirectoryRemote, Disagreement, Progress, Refusal};
use artifact_store::trust::{TrustList, TrustPolicy};
use artifact_store::{ActionRecord, Found, Provenance, Store};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::report::format_bytes;

use super::ui::{Ui, counted};

/// How many of several like things are told before the rest is counted.
const TOLD: usize = 10;

/// How often the line on a terminal is drawn anew.
const TICK: Duration = Duration::from_millis(100);

/// What a push or a pull says when it is interrupted.
pub(super) const GOES_ON: &str = "what has arrived stays; the same command again goes on from there";

/// The remote in a directory that exists.
pub(super) fn open_remote(place: &Path) -> Result<DirectoryRemote> {
    refuse_address(place)?;
    if is_missing(place) {
        return Err(Error::input("there is no such directory")
            .in_file(place.display())
            .hint("`astra-store push` makes a remote; check the path, and that what it is on is mounted"));
    }
    DirectoryRemote::open(place).map_err(|e| Error::outside_store(&e))
}

/// The remote in a directory, or, when that is away, why it cannot be asked: there is no such directory, it is the empty one
/// that something is mounted to, or the system cannot reach it. What is there and no remote is an error.
pub(super) fn find_remote(place: &Path) -> Result<Result<DirectoryRemote>> {
    let is_away = || match std::fs::read_dir(place) {
        Ok(mut entries) => entries.next().is_none(),
        Err(e) => !matches!(e.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied),
    };
    match open_remote(place) {
        Err(e) if e.kind() == ErrorKind::Usage || !is_away() => Err(e),
        found => Ok(found),
    }
}

/// Whether there is nothing; not when that may not be looked at, of which whoever opens it says why.
pub(super) fn is_missing(place: &Path) -> bool {
    matches!(place.try_exists(), Ok(false))
}

/// The remote in a directory, which is made if the one above it is there.
pub(super) fn create_remote(place: &Path) -> Result<DirectoryRemote> {
    require_place(place)?;
    DirectoryRemote::create(place).map_err(|e| Error::outside_store(&e))
}

/// Checks that a remote is there or can be made: a misspelt mount point must not become a directory.
pub(super) fn require_place(place: &Path) -> Result<()> {
    refuse_address(place)?;
    let above = place.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if is_missing(place) && !above.is_dir() {
        return Err(Error::input("there is no such directory, and none above it to make it in")
            .in_file(place.display())
            .hint("check the path, and that what it is on is mounted; or make the directory first"));
    }
    Ok(())
}

/// Addresses of other machines are no directories, and must not become some.
fn refuse_address(place: &Path) -> Result<()> {
    let text = place.to_string_lossy();
    let host = text.split_once(':').is_some_and(|(host, _)| host.len() > 1 && !host.contains('/'));
    if host && is_missing(place) {
        return Err(Error::new(ErrorKind::Usage, format!("`{text}` is an address; a remote is a directory"))
            .hint("mount it, or copy the directory of a remote with rsync; docs/sharing.md says how"));
    }
    Ok(())
}

/// Whose records to use: the keys that the store trusts, whether or not one of them has to have signed.
pub(super) fn trust(store: &Store, required: bool) -> Result<TrustPolicy> {
    let trusted = TrustList::read(store.directory()).map_err(|e| Error::outside_store(&e))?.keys();
    if required && trusted.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "signatures are required, and this store trusts no key")
            .key("--require-signed")
            .hint("`astra-store trust add KEY` adds the public key of somebody you trust"));
    }
    Ok(TrustPolicy { trusted, required })
}

/// An error of a transfer: of the store, or of the other side, which is named.
pub(super) fn failed(e: artifact_store::Error, store: &Store, other: &str) -> Error {
    use artifact_store::ErrorKind as Of;
    let in_store = e.path().is_some_and(|path| path.starts_with(store.directory()));
    let by_kind = matches!(e.kind(), Of::Busy | Of::ReadOnly | Of::Corrupt);
    // Also where it is the store itself, an argument is not the store's fault.
    let is_argument = matches!(e.kind(), Of::Invalid | Of::Remote);
    if (in_store && !is_argument) || by_kind { e.into() } else { Error::outside_store(&e).in_file(other) }
}

/// A line on a terminal that says how far a transfer has come.
pub(super) struct Bar(Option<ProgressBar>);

impl Bar {
    pub(super) fn new(ui: &Ui) -> Self {
        Self(ui.shows_progress().then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg}");
            let bar = ProgressBar::new_spinner()
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(TICK);
            bar
        }))
    }

    pub(super) fn show(&self, progress: &Progress) {
        if let Some(bar) = &self.0 {
            let Progress { actions, actions_known, blobs, bytes, .. } = progress;
            let rate = format_bytes(progress.bytes_per_second() as u64);
            bar.set_message(format!(
                "{actions}/{actions_known} records, {blobs} blobs, {}, {rate}/s",
                format_bytes(*bytes)
            ));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// What a transfer came to.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    /// What was done, and the word between it and the other side: `pushed`, `to`.
    pub(super) done: (&'static str, &'static str),
    pub(super) other: String,
    pub(super) actions: u64,
    pub(super) blobs: u64,
    /// Not compressed.
    pub(super) bytes: u64,
    /// Records that were where the others went.
    pub(super) there: u64,
    pub(super) disagreements: Vec<Disagreement>,
    pub(super) left_out: Vec<Refusal>,
    pub(super) elapsed: Duration,
    pub(super) dry_run: bool,
}

impl Transfer {
    /// Says what came of it: a sentence or an object on stdout, warnings on stderr. `more` goes into the object.
    pub(super) fn tell(&self, ui: &Ui, more: Map<String, Value>) -> Result<()> {
        tell_trouble(ui, &self.disagreements, &self.left_out);
        if !ui.json() {
            return ui.data(|out| writeln!(out, "{}", self.sentence()));
        }
        let mut value = self.json();
        for (key, part) in more {
            value[key] = part;
        }
        ui.json_line(&value)
    }

    /// The object that `--json` prints.
    pub(super) fn json(&self) -> Value {
        json!({
            "with": self.other,
            "actions": self.actions,
            "blobs": self.blobs,
            "bytes": self.bytes,
            "actions_there": self.there,
            "disagreements": self.disagreements.iter().map(disagreement_json).collect::<Vec<_>>(),
            "left_out": self.left_out.iter().map(refusal_json).collect::<Vec<_>>(),
            "dry_run": self.dry_run,
            "elapsed_s": self.elapsed.as_secs_f64(),
        })
    }

    /// The same where stdout is the bundle.
    pub(super) fn tell_on_stderr(&self, ui: &Ui) {
        tell_trouble(ui, &self.disagreements, &self.left_out);
        ui.say(self.sentence());
    }

    /// What came of it, for people.
    pub(super) fn sentence(&self) -> String {
        let Self { done: (done, to), other, .. } = self;
        let seconds = self.elapsed.as_secs_f64();
        let records = |n| counted(usize::try_from(n).unwrap_or(usize::MAX), "record");
        let (would, would_be) = if self.dry_run { ("would have ", "would be ") } else { ("", "") };
        if self.actions == 0 && self.blobs == 0 {
            let there = records(self.there);
            return format!("nothing {would_be}{done} {to} {other}: {there} there already; {seconds:.3} s");
        }
        let blobs = counted(usize::try_from(self.blobs).unwrap_or(usize::MAX), "blob");
        let rate = format_bytes((self.bytes as f64 / seconds.max(1e-9)) as u64);
        let there = if self.there > 0 { format!(", {} there already", self.there) } else { String::new() };
        format!(
            "{would}{done} {} and {blobs} ({}) {to} {other}{there}; {seconds:.3} s, {rate}/s",
            records(self.actions),
            format_bytes(self.bytes)
        )
    }

    /// The error that the command ends with when not everything went as asked.
    pub(super) fn verdict(&self) -> Result<()> {
        let (disagreements, left_out) = (self.disagreements.len(), self.left_out.len());
        if disagreements == 0 && left_out == 0 {
            return Ok(());
        }
        let mut parts = Vec::new();
        if left_out > 0 {
            parts.push(format!("{} left out", counted(left_out, "thing")));
        }
        if disagreements > 0 {
            parts.push(format!("{} not deterministic", counted(disagreements, "action")));
        }
        Err(Error::failed(format!("{}; everything else was {}", parts.join(", "), self.done.0))
            .hint("the warnings say what and why; --json lists all of it"))
    }
}

/// Warns of what was left out and of what two sides disagree about.
pub(super) fn tell_trouble(ui: &Ui, disagreements: &[Disagreement], left_out: &[Refusal]) {
    let told = |ui: &Ui, lines: &mut dyn Iterator<Item = String>, number: usize, what: &str| {
        lines.take(TOLD).for_each(|line| ui.warn(line));
        if number > TOLD {
            ui.warn(format!("and {} more {what}; --json lists them", number - TOLD));
        }
    };
    let lines = &mut disagreements.iter().map(ToString::to_string);
    told(ui, lines, disagreements.len(), "that are not deterministic");
    told(ui, &mut left_out.iter().map(ToString::to_string), left_out.len(), "left out");
}

pub(super) fn refusal_json(refusal: &Refusal) -> Value {
    let (what, name) = match refusal.what {
        Found::Blob(digest) => ("blob", digest.to_string()),
        Found::Action(key) => ("action", key.to_string()),
    };
    json!({ "what": what, "name": name, "why": refusal.why })
}

pub(super) fn disagreement_json(disagreement: &Disagreement) -> Value {
    let outputs = |record: &ActionRecord| -> Map<String, Value> {
        record.outputs.iter().map(|(name, o)| (name.clone(), o.digest.to_string().into())).collect()
    };
    let provenance = |provenance: &Option<Provenance>| match provenance {
        Some(Provenance { finished_unix_ms, duration_us, host, .. }) => {
            json!({ "host": host, "finished_unix_ms": finished_unix_ms, "duration_us": duration_us })
        }
        None => Value::Null,
    };
    json!({
        "action": disagreement.key.to_string(),
        "other": disagreement.other,
        "ours": outputs(&disagreement.ours),
        "our_provenance": provenance(&disagreement.our_provenance),
        "theirs": outputs(&disagreement.theirs),
        "their_provenance": provenance(&disagreement.their_provenance),
    })
}
