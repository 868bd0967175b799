//! `astra-store et lint`.

use std::path::PathBuf;

use astra_engine::{RemoteMemory, UnknownName};
use clap::Args;
use serde_json::json;

use crate::astrasim::{self, NetworkFile, SystemFile, SystemOptions};
use crate::cli::ui::{Ui, counted};
use crate::error::{Error, ErrorKind, Result};
use crate::et::TraceNames;
use crate::files;
use crate::lint::{Finding, Severity, explained, lint, lint_files, lint_workload, misses_groups};
use crate::traces::TraceFiles;

use super::BundleArgs;

/// Check traces: each file, and the ranks against each other.
///
/// Errors end with exit code 3. With --network and --system what depends on them is checked too.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store et lint traces/llm --groups traces/comm_groups.json
  astra-store et lint traces --network network.yml --system system.json
  astra-store et lint traces --json | jq 'select(.severity == \"error\")'")]
pub(super) struct LintArgs {
    #[command(flatten)]
    bundle: BundleArgs,
    /// Network YAML that the traces are to run on.
    #[arg(long, value_name = "FILE", requires = "system")]
    network: Option<PathBuf>,
    /// System JSON that the traces are to run with.
    #[arg(long, value_name = "FILE", requires = "network")]
    system: Option<PathBuf>,
    /// Remote memory JSON; without one there is no remote memory.
    #[arg(long, value_name = "FILE", requires = "network")]
    remote_memory: Option<PathBuf>,
    /// Whether messages compete for links: congestion_aware or congestion_unaware.
    #[arg(long, value_name = "MODEL", default_value = "congestion_aware")]
    network_model: String,
    /// Whose rules: astra-sim or deepflow.
    #[arg(long, value_name = "DIALECT", default_value = "astra-sim")]
    dialect: String,
    /// How many findings to print; the rest is counted.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

pub(super) fn run(ui: &Ui, args: &LintArgs) -> Result<()> {
    let traces = TraceFiles::find(&args.bundle.traces)?;
    let groups = args.bundle.groups()?;
    let linted = lint_files(&traces.names, &traces.files, &traces.file_of_rank, &groups);
    let mut findings = linted.findings;
    if let Some(workload) = &linted.workload {
        findings.extend(match (&args.network, &args.system) {
            (Some(network), Some(system)) => {
                let name = |path: &PathBuf| path.display().to_string();
                let network = NetworkFile::parse(&files::read(network)?, &name(network))?.0;
                let network = network.network(parsed("network-model", &args.network_model)?);
                let memory = match &args.remote_memory {
                    Some(path) => astrasim::read_remote_memory(&files::read(path)?, &name(path))?,
                    None => RemoteMemory::None,
                };
                let system_file = SystemFile::parse(&files::read(system)?, &name(system))?.0;
                let dialect = parsed("dialect", &args.dialect)?;
                let system = system_file
                    .system(dialect, &SystemOptions::default(), memory)
                    .map_err(|e| e.in_file(name(system)))?;
                lint(&network, &system, workload)
            }
            _ => lint_workload(workload),
        });
    }
    // The worst first; of equal ones the order in which they were found.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    print(ui, args, &traces, &findings)?;
    match of(&findings, Severity::Error) {
        0 => Ok(()),
        errors => {
            let error = Error::input(format!("{} in the traces", counted(errors, "error")));
            let error = error.in_file(traces.names.prefix());
            Err(match args.bundle.groups.is_none() && misses_groups(&findings) {
                true => {
                    error.hint("--groups names the file with the groups of these traces, comm_groups.json")
                }
                false => error,
            })
        }
    }
}

fn parsed<T: std::str::FromStr<Err = UnknownName>>(option: &str, text: &str) -> Result<T> {
    text.parse().map_err(|e| Error::new(ErrorKind::Usage, format!("--{option}: {e}")))
}

fn of(findings: &[Finding], severity: Severity) -> usize {
    findings.iter().filter(|finding| finding.severity == severity).count()
}

fn print(ui: &Ui, args: &LintArgs, traces: &TraceFiles, findings: &[Finding]) -> Result<()> {
    let shown = &findings[..findings.len().min(args.limit)];
    let more = findings.len() - shown.len();
    ui.data(|out| {
        if ui.json() {
            for finding in shown {
                writeln!(out, "{}", finding.json())?;
            }
            if more > 0 {
                writeln!(out, "{}", json!({ "more": more }))?;
            }
            return Ok(());
        }
        for (finding, reasons) in explained(shown) {
            write!(out, "{}[{}]: {finding}", finding.severity.as_str(), finding.rule.as_str())?;
            match reasons {
                Some(reasons) => writeln!(out, "{reasons}")?,
                None => writeln!(out)?,
            }
        }
        if more > 0 {
            writeln!(out, "and {more} more; --limit {} prints them all", findings.len())?;
        }
        let [errors, warnings, notes] =
            [Severity::Error, Severity::Warning, Severity::Note].map(|s| of(findings, s));
        writeln!(
            out,
            "{}: {}: {}, {}, {}",
            traces.names.prefix(),
            counted(traces.file_of_rank.len(), "rank"),
            counted(errors, "error"),
            counted(warnings, "warning"),
            counted(notes, "note")
        )
    })
}
