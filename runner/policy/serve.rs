//! The helper process: loads one plugin and answers questions about it on its standard pipes until they close.
//!
//! It judges nothing and remembers nothing. Whatever happens to it happens to it alone.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use super::abi_v1::{Plugin, Reply};
use super::isolation::{Descendants, end_with, limit, take_pipes};
use super::wire::{self, FromHelper, NoOpinion, Open, Questions, Said, Told};

/// Serves until the other side, the process with the number `parent`, closes the pipe or ends.
///
/// # Errors
/// When the pipes cannot be used, or what comes is not for a helper.
pub fn serve(parent: u32) -> io::Result<()> {
    let (input, output) = take_pipes()?;
    end_with(parent);
    let mut helper = Helper { input: BufReader::new(input), output, descendants: Descendants::watch() };
    let Some(Told::Open(open)) = helper.next()? else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "astra-store starts this process by itself"));
    };
    let Some(mut plugin) = helper.open(&open)? else { return Ok(()) };
    while let Some(Told::Questions(questions)) = helper.next()? {
        if !helper.answer(&mut plugin, questions)? {
            return Ok(());
        }
    }
    Ok(())
}

struct Helper {
    input: BufReader<File>,
    output: File,
    descendants: Descendants,
}

impl Helper {
    fn next(&mut self) -> io::Result<Option<Told>> {
        Ok(wire::read::<wire::ToHelper>(&mut self.input)?.and_then(|message| message.what))
    }

    /// Loads the plugin; nothing when that failed, which has been said then.
    fn open(&mut self, open: &Open) -> io::Result<Option<Plugin>> {
        limit(open.memory_bytes, open.cpu_s);
        match Plugin::open(Path::new(&open.library), &open.config) {
            Ok(plugin) => {
                let about = Said::About(plugin.about().into());
                Ok(self.say(0, about)?.then_some(plugin))
            }
            Err(reply) => self.say(0, said(reply)).map(|_| None),
        }
    }

    /// Answers each question as soon as it can, so that whoever waits knows which one a plugin was at when it failed.
    /// Gives whether there may be more.
    fn answer(&mut self, plugin: &mut Plugin, questions: Questions) -> io::Result<bool> {
        for (number, question) in (questions.first_number..).zip(questions.questions) {
            let request = question.request().ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "a question with a number of no meaning")
            })?;
            let reply = plugin.ask(&request);
            if !self.say(number, said(reply))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Says something, unless the plugin has started a process: then that. Gives whether this process goes on.
    fn say(&mut self, number: u64, said: Said) -> io::Result<bool> {
        if !self.descendants.is_this_process() {
            return Ok(false);
        }
        let started = self.descendants.exist();
        let said = if started { Said::Broken("started another process".to_owned()) } else { said };
        wire::write(&mut self.output, &FromHelper { number, what: Some(said) })?;
        Ok(!started)
    }
}

fn said(reply: Reply) -> Said {
    match reply {
        Reply::Answered(answer) => Said::Answer(answer),
        Reply::NoOpinion => Said::NoOpinion(NoOpinion {}),
        Reply::Refused(text) => Said::Refused(text),
        Reply::Broken(what) => Said::Broken(what),
    }
}
