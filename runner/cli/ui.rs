//! How commands speak: data on stdout, talk on stderr, colours and progress only on a terminal.

use std::io::{self, BufWriter, IsTerminal, Write};

use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};

/// The terminal, or what stands in for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ui {
    json: bool,
    quiet: bool,
    verbose: bool,
    colour: bool,
}

impl Ui {
    pub(crate) fn new(json: bool, quiet: bool, verbose: bool) -> Self {
        let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { json, quiet, verbose, colour }
    }

    /// Whether data is to be JSON.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Whether a progress bar would be seen by somebody.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// A line for the person at the terminal.
    pub(crate) fn say(&self, text: impl AsRef<str>) {
        if !self.quiet {
            Self::talk(text.as_ref());
        }
    }

    /// A line that starts with `warning:`.
    pub(crate) fn warn(&self, text: impl AsRef<str>) {
        if !self.quiet {
            Self::talk(&format!("{} {}", self.paint("33", "warning:"), text.as_ref()));
        }
    }

    /// An error with its hint.
    pub(crate) fn error(&self, e: &Error) {
        let text = if self.verbose { e.in_full().to_string() } else { e.to_string() };
        Self::talk(&format!("{} {text}", self.paint("31", "error:")));
        if let Some(hint) = e.hint_text() {
            Self::talk(&format!("{} {hint}", self.paint("36", "hint:")));
        }
    }

    fn talk(text: &str) {
        // Nobody may be listening any more; that must not end the work.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[1;{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Writes data to stdout. A reader that went away (`| head`) ends the command quietly.
    pub(crate) fn data(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        match write(&mut out).and_then(|()| out.flush()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
            result => {
                result.map_err(|e| Error::new(ErrorKind::System, format!("cannot write to stdout: {e}")))
            }
        }
    }

    /// Writes one JSON value as a line of data.
    pub(crate) fn json_line(&self, value: &impl Serialize) -> Result<()> {
        self.data(|out| {
            serde_json::to_writer(&mut *out, value)?;
            writeln!(out)
        })
    }
}

/// Text that somebody else wrote, for a terminal: what would do something else there than appear is escaped.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            c if c.is_control() => shown.extend(c.escape_debug()),
            c => shown.push(c),
        }
    }
    shown
}

/// A number of things: `1 point`, `2 points`.
pub(crate) fn counted(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_would_control_a_terminal_is_escaped_and_lines_stay() {
        assert_eq!(shown("a\tb\nö \u{1b}[2J\u{9b}\r"), "a\tb\nö \\u{1b}[2J\\u{9b}\\r");
    }
}
