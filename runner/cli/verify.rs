//! `astra-store verify`.

use std::process::ExitCode;

use artifact_store::{Depth, Finding, Needs, Verification};
use clap::Args;
use serde_json::{Value, json};

use crate::error::Result;
use crate::report::format_bytes;

use super::ui::{Ui, counted};
use super::{Global, locate};

/// Exit code when nothing could be verified: none of the sums of bits below it.
pub(super) const UNVERIFIED: u8 = 16;

/// Hold what the store holds against its names, and look whether everything that is needed is there.
///
/// Changes nothing; `repair` does. Builds may go on meanwhile.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store verify                 # every byte
  astra-store verify --quick         # records, roots and references
  astra-store verify --sample 0.05   # and every twentieth blob, others each time

The exit code is a sum: 1 something is corrupt, 2 something is missing, 4 a record cannot be trusted, 8 something
else is wrong; 0 nothing is, 16 it could not be verified.")]
pub(super) struct VerifyArgs {
    /// Records, roots and references only; content is not read.
    #[arg(long, conflicts_with_all = ["sample", "full"])]
    quick: bool,
    /// And the content of this part of the blobs, between 0 and 1.
    #[arg(long, value_name = "P", value_parser = part, conflicts_with = "full")]
    sample: Option<f64>,
    /// And the content of every blob. This is what happens when nothing else is said.
    #[arg(long)]
    full: bool,
}

fn part(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(part) if (0.0..=1.0).contains(&part) => Ok(part),
        _ => Err(format!("`{text}` is not a number between 0 and 1")),
    }
}

pub(super) fn run(ui: &Ui, global: &Global, args: &VerifyArgs) -> Result<ExitCode> {
    let store = locate::open_existing(ui, global)?;
    let depth = match args.sample {
        Some(part) => Depth::Sample(part),
        None if args.quick => Depth::Quick,
        None => Depth::Full,
    };
    let verification = store.verify(depth)?;
    print(ui, &verification)?;
    if !verification.findings.is_empty() {
        let is_unreadable = verification.findings.iter().any(|finding| matches!(finding, Finding::Table(..)));
        ui.say(if is_unreadable {
            "`astra-store repair --rebuild` copies what can still be read to a new file; builds make the rest again"
        } else {
            "`astra-store repair` moves aside what is damaged; builds make it again"
        });
    }
    Ok(verification.code().into())
}

fn print(ui: &Ui, verification: &Verification) -> Result<()> {
    let Verification { blobs, hashed, hashed_bytes, records, roots, findings } = verification;
    if ui.json() {
        return ui.json_line(&json!({
            "blobs": blobs,
            "hashed": hashed,
            "hashed_bytes": hashed_bytes,
            "records": records,
            "roots": roots,
            "findings": findings.iter().map(finding_json).collect::<Vec<Value>>(),
            "code": verification.code(),
        }));
    }
    ui.data(|out| {
        for finding in findings {
            writeln!(out, "{}: {finding}", finding.trouble().word())?;
        }
        let bytes = format_bytes(*hashed_bytes);
        let wrong = match findings.len() {
            0 => "nothing wrong".to_owned(),
            some => counted(some, "finding"),
        };
        writeln!(out, "{blobs} blobs ({hashed} read, {bytes}), {records} records, {roots} roots: {wrong}")
    })
}

/// A finding for scripts: what kind of trouble, with what, and the sentence.
pub(super) fn finding_json(finding: &Finding) -> Value {
    let (what, name) = match finding {
        Finding::Blob(digest) | Finding::NoList(digest, _) | Finding::StrayChunks(digest) => {
            ("blob", digest.to_string())
        }
        Finding::Record(key) | Finding::Preimage(key) | Finding::Provenance(key) => {
            ("action", key.to_string())
        }
        Finding::Missing(artifact_store::Found::Blob(digest), _) => ("blob", digest.to_string()),
        Finding::Missing(artifact_store::Found::Action(key), _) => ("action", key.to_string()),
        Finding::Root(name) => ("root", name.clone()),
        Finding::Table(what, _) => ("table", (*what).to_owned()),
        Finding::Arrival(number) => ("commit", number.to_string()),
        _ => ("unknown", String::new()),
    };
    let mut value = json!({
        "trouble": finding.trouble().word(),
        "what": what,
        "name": name,
        "message": finding.to_string(),
    });
    if let Finding::Missing(_, needs) | Finding::NoList(_, needs) = finding {
        value["needed_by"] = match needs {
            Needs::Content(found) => found.to_string().into(),
            Needs::Root(root) => format!("root {root}").into(),
        };
    }
    value
}
