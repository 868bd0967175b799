//! `astra-store serve`.

use std::io::{self, BufRead, Write};

use clap::Args;

use crate::error::{Error, ErrorKind, Result};
use crate::serve::{MAX_LINE_BYTES, Server};

use super::Global;
use super::cache::CacheArgs;
use super::ui::Ui;

/// Answer requests, a line of JSON each, until there are no more.
///
/// For programs that ask often: what is known is answered in a fraction of a millisecond. docs/interop.md describes the
/// requests. The answers come in the order of the requests; a line that cannot be answered is answered with an error, and
/// the next one is read.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  echo '{\"do\": \"hello\"}' | astra-store serve --stdio")]
pub(super) struct ServeArgs {
    /// Read requests from stdin and write answers to stdout; the only way there is.
    #[arg(long, required = true)]
    stdio: bool,
    #[command(flatten)]
    cache: CacheArgs,
}

pub(super) fn run(ui: &Ui, global: &Global, args: &ServeArgs) -> Result<()> {
    let mut server = Server::new(args.cache.mode()?.open(ui, global)?)?;
    let mut requests = io::stdin().lock();
    loop {
        let answer = match read_line(&mut requests).map_err(|e| system("read from stdin", &e))? {
            Line::Whole(line) if line.trim_ascii().is_empty() => continue,
            Line::Whole(line) => server.answer(&line),
            Line::TooLong => Server::answer_to_a_line_too_long(),
            Line::None => return Ok(()),
        };
        let mut out = io::stdout().lock();
        match writeln!(out, "{answer}").and_then(|()| out.flush()) {
            // Nobody waits for answers any more.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(|e| system("write to stdout", &e))?,
        }
    }
}

fn system(what: &str, e: &io::Error) -> Error {
    Error::new(ErrorKind::System, format!("cannot {what}: {e}"))
}

enum Line {
    /// Without its end.
    Whole(Vec<u8>),
    /// It has been skipped.
    TooLong,
    /// There are no more.
    None,
}

/// Reads a line, of which no more is kept than may be.
fn read_line(input: &mut impl BufRead) -> io::Result<Line> {
    let mut line = Vec::new();
    let mut len = 0;
    loop {
        let part = input.fill_buf()?;
        if part.is_empty() {
            return Ok(if len == 0 { Line::None } else { whole(line, len) });
        }
        let end = part.iter().position(|byte| *byte == b'\n');
        let content = &part[..end.unwrap_or(part.len())];
        len += content.len();
        if len <= MAX_LINE_BYTES {
            line.extend_from_slice(content);
        } else {
            line = Vec::new();
        }
        let used = content.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            return Ok(whole(line, len));
        }
    }
}

fn whole(line: Vec<u8>, len: usize) -> Line {
    if len > MAX_LINE_BYTES { Line::TooLong } else { Line::Whole(line) }
}
