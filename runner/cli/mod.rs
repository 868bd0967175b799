//! The command line: one file per command, each its arguments and a call into the library.
//!
//! Only this room knows of terminals, clap and exit codes. stdout is data, stderr is talk.

mod build;
mod cache;
mod cat;
mod completions;
mod configs;
mod cross_check;
mod dialect;
mod doctor;
mod et;
mod export;
mod follow;
mod gc;
mod import;
mod init;
mod interrupt;
mod invocation;
mod key;
mod legacy;
mod locate;
mod ls;
mod moments;
mod pin;
mod plugin;
mod policy_compare;
mod policy_host;
mod pull;
mod push;
mod rank_lines;
mod received;
mod repair;
mod roots;
mod schema;
mod selected;
mod serve;
mod sharing;
mod show;
mod sim;
mod stats;
mod table;
mod transfer;
mod trust;
mod ui;
mod validate;
mod verify;
mod watch_simulator;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use artifact_store::{Panic, Trouble};
use clap::{Args, Parser, Subcommand};

use crate::error::{Error, ErrorKind, Result};
use crate::{external, policy};
use invocation::{Invocation, Refused};
use ui::Ui;

const AFTER_HELP: &str = "\
Examples:
  astra-store init study                     # a recipe and a hardware file to start from
  astra-store build study/recipe.json        # run what changed, print the table
  astra-store build recipe.json --dry-run    # say what would run
  astra-store show h100-allreduce            # the table again, from the store
  astra-store gc --dry-run                   # what could be dropped
  astra-store verify                         # is the store whole?

Exit codes: 0 done, 1 a step or simulation failed, 2 wrong command line, 3 wrong input, 4 store cannot be
used, 5 store busy, 6 a file could not be written, 130 interrupted.";

/// Content-addressed store and runner for studies with ASTRA-sim.
///
/// Derives network and system configuration and execution traces from a hardware description and a workload,
/// simulates them with the built-in engine, keeps everything by content, and runs only what changed.
#[derive(Debug, Parser)]
#[command(name = "astra-store", version = version(), after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Directory of the store.
    ///
    /// Default: $ASTRA_STORE, else $ASTRA_CACHE_DIR, else the nearest `.astra-store` in this directory or one
    /// above it, else `./.astra-store`, which is created.
    #[arg(long, global = true, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
    /// Say nothing on stderr but errors.
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Say everything: all ranks of a simulation that stalled.
    #[arg(long, short, global = true)]
    verbose: bool,
    /// How long to wait for another process that has the store locked, in seconds.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 60)]
    lock_timeout: u64,
    /// Change nothing in the store. Works where this user may not write, for what is known already.
    #[arg(long, global = true)]
    read_only: bool,
    /// Write to a store on a network file system, whose locks may not hold between machines.
    #[arg(long, global = true)]
    force_network_fs: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::BuildArgs),
    Gc(gc::GcArgs),
    Roots(roots::RootsArgs),
    Pin(pin::PinArgs),
    Unpin(pin::UnpinArgs),
    Push(push::PushArgs),
    Pull(pull::PullArgs),
    Export(export::ExportArgs),
    Import(import::ImportArgs),
    Key(key::KeyArgs),
    Trust(trust::TrustArgs),
    Verify(verify::VerifyArgs),
    Repair(repair::RepairArgs),
    Stats(stats::StatsArgs),
    Doctor(doctor::DoctorArgs),
    Show(show::ShowArgs),
    Ls(ls::LsArgs),
    Cat(cat::CatArgs),
    Et(et::EtArgs),
    Configs(configs::ConfigsArgs),
    Validate(validate::ValidateArgs),
    Init(init::InitArgs),
    Schema(schema::SchemaArgs),
    Completions(completions::CompletionsArgs),
    Sim(Box<sim::SimArgs>),
    Serve(serve::ServeArgs),
    Plugin(plugin::PluginArgs),
    Policy(policy_compare::PolicyArgs),
}

fn version() -> String {
    format!("{} (engine {})", env!("CARGO_PKG_VERSION"), astra_engine::SEMANTIC_VERSION)
}

/// Runs the command line of this process and gives its exit code.
pub fn main() -> ExitCode {
    if let Some(served) = serve_this_program(std::env::args_os()) {
        let Err(e) = served else { return ExitCode::SUCCESS };
        Ui::new(false, false, false).error(&e);
        return e.kind().exit_code().into();
    }
    let Invocation { cli, stands_in, ignored } =
        Invocation::of(std::env::args_os()).unwrap_or_else(|Refused { error, ignored }| {
            let ui = Ui::new(false, !error.use_stderr(), false);
            ignored.iter().for_each(|ignored| ui.warn(ignored));
            error.exit()
        });
    let ui = Ui::new(cli.global.json, cli.global.quiet, cli.global.verbose);
    // The codes of these are sums of what they find; a failure must not look like one.
    let says_what_it_finds = matches!(cli.command, Command::Verify(_) | Command::Repair(_));
    let code_of = move |e: &Error| match e.kind() {
        ErrorKind::Damaged if says_what_it_finds => Trouble::Corrupt.code(),
        _ if says_what_it_finds => verify::UNVERIFIED,
        kind => kind.exit_code(),
    };
    say_damage_instead_of_panics(ui, code_of);
    ignored.iter().for_each(|ignored| ui.warn(ignored));
    match run(&ui, cli, stands_in) {
        Ok(code) => code,
        Err(e) => {
            ui.error(&e);
            code_of(&e).into()
        }
    }
}

/// Does what this program starts itself for. No command of clap's, because completions and suggestions name hidden ones too.
fn serve_this_program(arguments: impl IntoIterator<Item = OsString>) -> Option<Result<()>> {
    let mut arguments = arguments.into_iter().skip(1).map(|argument| argument.into_string().ok());
    match arguments.next()??.as_str() {
        policy::COMMAND => Some(policy_host::run(arguments.next()??.parse().ok()?)),
        external::COMMAND => Some(watch_simulator::run()),
        _ => None,
    }
}

/// Damaged files make the database panic, where that is caught and where it cannot be.
fn say_damage_instead_of_panics(ui: Ui, code_of: impl Fn(&Error) -> u8 + Send + Sync + 'static) {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| match Panic::of_this_thread() {
        Panic::Foreign => tell(panic),
        Panic::Caught => {}
        Panic::Fatal => {
            let e = artifact_store::Error::damaged("its pages contradict each other").into();
            ui.error(&e);
            std::process::exit(code_of(&e).into());
        }
    }));
}

fn run(ui: &Ui, cli: Cli, stands_in: bool) -> Result<ExitCode> {
    let global = &cli.global;
    match cli.command {
        Command::Verify(args) => return verify::run(ui, global, &args),
        Command::Repair(args) => return repair::run(ui, global, &args),
        Command::Build(args) => build::run(ui, global, &args),
        Command::Gc(args) => gc::run(ui, global, &args),
        Command::Roots(args) => roots::run(ui, global, &args),
        Command::Pin(args) => pin::run(ui, global, &args),
        Command::Unpin(args) => pin::run_unpin(ui, global, &args),
        Command::Push(args) => push::run(ui, global, &args),
        Command::Pull(args) => pull::run(ui, global, &args),
        Command::Export(args) => export::run(ui, global, &args),
        Command::Import(args) => import::run(ui, global, &args),
        Command::Key(args) => key::run(ui, &args),
        Command::Trust(args) => trust::run(ui, global, &args),
        Command::Stats(args) => stats::run(ui, global, &args),
        Command::Doctor(args) => doctor::run(ui, global, &args),
        Command::Show(args) => show::run(ui, global, &args),
        Command::Ls(args) => ls::run(ui, global, &args),
        Command::Cat(args) => cat::run(ui, global, &args),
        Command::Et(args) => et::run(ui, &args),
        Command::Configs(args) => configs::run(ui, &args),
        Command::Validate(args) => validate::run(ui, global, &args),
        Command::Init(args) => init::run(ui, &args),
        Command::Schema(args) => schema::run(ui, &args),
        Command::Completions(args) => completions::run(ui, &args),
        Command::Sim(args) => sim::run(ui, global, &args, stands_in),
        Command::Serve(args) => serve::run(ui, global, &args),
        Command::Plugin(args) => plugin::run(ui, global, &args),
        Command::Policy(args) => policy_compare::run(ui, global, &args),
    }?;
    Ok(ExitCode::SUCCESS)
}
