//! What this process was asked for: its own command line, or under the names of the original's binaries theirs.
//!
//! The original ignores options that it does not know, so `sim` does, too, and says which.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

use super::Cli;

/// The original's binaries, and the option that stands for each.
const ORIGINALS: [(&str, &str); 2] = [
    ("AstraSim_Analytical_Congestion_Aware", "--network-model=congestion_aware"),
    ("AstraSim_Analytical_Congestion_Unaware", "--network-model=congestion_unaware"),
];

/// A command line that has been understood.
pub(super) struct Invocation {
    pub(super) cli: Cli,
    /// Whether the program was called by the name of one of the original's binaries.
    pub(super) stands_in: bool,
    /// What of the command line has no effect, in words.
    pub(super) ignored: Vec<String>,
}

/// A command line that has not.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) error: clap::Error,
    /// What would have had no effect, in words: a required option, misspelt, perhaps.
    pub(super) ignored: Vec<String>,
}

impl Invocation {
    /// Understands a command line, the name of the program first.
    ///
    /// # Errors
    /// clap's, which are printed by it, like help.
    pub(super) fn of(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Refused> {
        let mut arguments: Vec<OsString> = arguments.into_iter().collect();
        let option = arguments.first().and_then(|name| option_of(name));
        if let Some(option) = option {
            arguments.splice(..1, ["astra-store", "sim", option].map(OsString::from));
        }
        let mut ignored = Vec::new();
        loop {
            let error = match Cli::try_parse_from(&arguments) {
                Ok(cli) => return Ok(Self { cli, stands_in: option.is_some(), ignored }),
                Err(error) => error,
            };
            match position_of_unknown(&error, &arguments) {
                Some(at) if is_sim(&arguments) => ignored.push(take_unknown(&error, &mut arguments, at)),
                _ => return Err(Refused { error, ignored }),
            }
        }
    }
}

/// The option that the name of the program stands for.
fn option_of(program: &OsStr) -> Option<&'static str> {
    let name = Path::new(program).file_stem()?;
    ORIGINALS.iter().find(|(original, _)| name == *original).map(|(_, option)| *option)
}

fn is_sim(arguments: &[OsString]) -> bool {
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(arguments);
    matches.is_ok_and(|matches| matches.subcommand_name() == Some("sim"))
}

/// Where the argument is that clap does not know.
fn position_of_unknown(error: &clap::Error, arguments: &[OsString]) -> Option<usize> {
    let ContextValue::String(unknown) = error.get(ContextKind::InvalidArg)? else { return None };
    let is_it = |argument: &OsString| {
        let text = argument.to_string_lossy();
        text == *unknown || text.strip_prefix(unknown.as_str()).is_some_and(|rest| rest.starts_with('='))
    };
    let is_unknown = error.kind() == ErrorKind::UnknownArgument;
    arguments.iter().skip(1).position(is_it).filter(|_| is_unknown).map(|at| at + 1)
}

/// Takes an unknown argument out, with its value if that is the next one, and says so.
fn take_unknown(error: &clap::Error, arguments: &mut Vec<OsString>, at: usize) -> String {
    let is_option = |argument: &OsString| argument.to_string_lossy().starts_with('-');
    let (first, next) = (&arguments[at], arguments.get(at + 1));
    let has_value = is_option(first)
        && !first.to_string_lossy().contains('=')
        && next.is_some_and(|next| !is_option(next));
    let taken: Vec<OsString> = arguments.drain(at..=at + usize::from(has_value)).collect();
    let taken: Vec<_> = taken.iter().map(|argument| argument.to_string_lossy()).collect();
    let suggestion = match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(known)) => format!("; did you mean `{known}`?"),
        _ => String::new(),
    };
    format!("`{}` is not known and has no effect{suggestion}", taken.join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::*;

    const REQUIRED: &str = "--workload-configuration=w --system-configuration s --network-configuration=n --remote-memory-configuration m";

    fn of(program: &str, more: &str) -> Result<Invocation, Refused> {
        let words = [program].into_iter().chain(more.split_whitespace()).chain(REQUIRED.split_whitespace());
        Invocation::of(words.map(OsString::from))
    }

    #[test]
    fn the_names_of_the_originals_are_the_simulation_of_their_network_model() {
        for program in
            ["AstraSim_Analytical_Congestion_Unaware", "/opt/AstraSim_Analytical_Congestion_Unaware.exe"]
        {
            let invocation = of(program, "").ok().unwrap();
            assert!(invocation.stands_in);
            let Command::Sim(sim) = invocation.cli.command else { panic!("another command") };
            assert!(format!("{sim:?}").contains("congestion_unaware"));
        }
        assert!(!of("astra-store", "sim").ok().unwrap().stands_in);
    }

    #[test]
    fn an_unknown_option_of_the_simulation_is_left_out_with_its_value() {
        let ignored = |more: &str| of("AstraSim_Analytical_Congestion_Aware", more).ok().unwrap().ignored;
        assert_eq!(ignored("--colour=red"), ["`--colour=red` is not known and has no effect"]);
        assert_eq!(
            ignored("--colour red -x"),
            ["`--colour red` is not known and has no effect", "`-x` is not known and has no effect"]
        );
        assert_eq!(ignored("stray"), ["`stray` is not known and has no effect"]);
        let near = ignored("--num-queue-per-dim=2");
        assert_eq!(
            near,
            ["`--num-queue-per-dim=2` is not known and has no effect; did you mean `--num-queues-per-dim`?"]
        );
    }

    #[test]
    fn unknown_options_of_other_commands_are_errors() {
        let words = ["astra-store", "build", "sim", "--colour=red"].map(OsString::from);
        assert!(Invocation::of(words).is_err());
    }
}
