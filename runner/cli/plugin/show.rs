//! `astra-store plugin show`.

use clap::Args;
use serde_json::json;

use crate::error::Result;
use crate::policy::{Isolation, Limits, Session, Source};

use super::super::Global;
use super::super::ui::Ui;
use super::configured::Configured;

/// Say what a policy says of itself, and what identifies it in keys.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store plugin show topology
  astra-store plugin show ./tuner.so --config-file tuner.csv")]
pub(super) struct ShowArgs {
    #[command(flatten)]
    policy: Configured,
}

pub(super) fn run(ui: &Ui, global: &Global, args: &ShowArgs) -> Result<()> {
    let source = args.policy.source(ui, global)?;
    let config = args.policy.config()?;
    let session = Session::open(source, config, Isolation::this_program()?, Limits::default())?;
    let about = session.about();
    let (kind, identity) = match session.source() {
        Source::Shipped(_) => ("part of this program", session.source().identity()),
        Source::Library { .. } => ("library", format!("blake3 {}", session.source().identity())),
    };
    if ui.json() {
        return ui.json_line(&json!({
            "name": about.name,
            "version": about.version,
            "description": about.description,
            "interface": astra_policy::raw::SYMBOL,
            "kind": kind,
            "identity": session.source().identity(),
        }));
    }
    ui.data(|out| {
        writeln!(out, "policy       {}", about.name)?;
        writeln!(out, "version      {}", about.version)?;
        writeln!(out, "description  {}", about.description)?;
        writeln!(out, "interface    {}", astra_policy::raw::SYMBOL)?;
        writeln!(out, "kind         {kind}")?;
        writeln!(out, "identity     {identity}")
    })
}
