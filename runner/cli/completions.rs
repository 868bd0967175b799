//! `astra-store completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::error::Result;

use super::Cli;
use super::ui::Ui;

/// Print the completion script of a shell.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  astra-store completions bash > ~/.local/share/bash-completion/completions/astra-store"
)]
pub(super) struct CompletionsArgs {
    /// Which shell.
    shell: Shell,
}

pub(super) fn run(ui: &Ui, args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "astra-store", &mut script);
    let script = String::from_utf8(script).expect("names and help are UTF-8");
    // For bash clap_complete 4.6 writes the dash in two ways: where it recognises a command and where it lists its
    // options. It does not matter which, as long as it is one.
    let script = script.replace("astra__subcmd__store", "astra__store");
    ui.data(|out| out.write_all(script.as_bytes()))
}
