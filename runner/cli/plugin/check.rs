//! `astra-store plugin check`.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::error::{Error, Result};
use crate::policy::{self, Conduct, Isolation, Limits};

use super::super::Global;
use super::super::ui::Ui;
use super::configured::Configured;

/// Try a policy: load it, ask every sample question four times in two processes, judge its answers.
///
/// Fails when it breaks a rule of the interface, answers one question in two ways, chooses what is not possible, or gives
/// costs that are no times. An error that the policy itself gives is no fault: it is counted.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store plugin check ./tuner.so
  astra-store plugin check ./tuner.so --config-file tuner.csv --json")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    policy: Configured,
    /// How long an answer may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    patience: u64,
    /// Run the plugin in this process, for a debugger; a plugin that crashes takes the command with it.
    #[arg(long)]
    policy_in_process: bool,
}

pub(super) fn run(ui: &Ui, global: &Global, args: &CheckArgs) -> Result<()> {
    let source = args.policy.source(ui, global)?;
    let isolation = if args.policy_in_process { Isolation::InProcess } else { Isolation::this_program()? };
    let limits = Limits { patience: Duration::from_secs(args.patience), ..Limits::default() };
    let conduct = policy::check(&source, &args.policy.config()?, &isolation, limits)?;
    if ui.json() {
        ui.json_line(&described(&conduct))?;
    } else {
        print(ui, &conduct, if args.policy_in_process { "copies" } else { "processes" })?;
    }
    match conduct.faults.len() {
        0 => Ok(()),
        1 => Err(Error::failed(conduct.faults[0].clone())),
        more => Err(Error::failed(format!("{more} faults\n  {}", conduct.faults.join("\n  ")))),
    }
}

fn described(conduct: &Conduct) -> serde_json::Value {
    json!({
        "name": conduct.about.name,
        "version": conduct.about.version,
        "questions": conduct.questions,
        "decided": conduct.decided,
        "no_opinion": conduct.no_opinion,
        "refused": conduct.refused,
        "first_refusal": conduct.first_refusal,
        "faults": conduct.faults,
        "opening_s": conduct.timing.opening.as_secs_f64(),
        "per_answer_s": conduct.timing.per_answer.as_secs_f64(),
    })
}

fn print(ui: &Ui, conduct: &Conduct, apart: &str) -> Result<()> {
    let Conduct { about, questions, decided, no_opinion, refused, .. } = conduct;
    ui.data(|out| {
        writeln!(out, "policy       {} {}: {}", about.name, about.version, about.description)?;
        writeln!(out, "questions    {questions}, each four times, in two {apart} and two orders")?;
        writeln!(out, "answers      {decided} decided, {no_opinion} without an opinion, {refused} refused")?;
        if let Some(refusal) = &conduct.first_refusal {
            writeln!(out, "             the first: {refusal}")?;
        }
        let opening_ms = conduct.timing.opening.as_secs_f64() * 1e3;
        let per_answer_us = conduct.timing.per_answer.as_secs_f64() * 1e6;
        writeln!(out, "time         {opening_ms:.1} ms to open, {per_answer_us:.1} us per answer")?;
        let verdict = if conduct.faults.is_empty() { "fit" } else { "unfit" };
        writeln!(out, "verdict      {verdict}")
    })
}
