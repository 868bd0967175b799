//! The text of single events.

use std::fmt::{Display, Write as _};
use std::io::{self, Write};

use astra_engine::Nanos;

/// Where an event is shown: ids of a process and of a thread. No thread is 0, for viewers take that for an idle
/// processor, and no two processes share a thread id, for viewers look threads up by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Track {
    pub(super) process: u32,
    /// `None` for a process as a whole.
    pub(super) thread: Option<u32>,
}

/// The text of an event so far. Fields follow each other in the order in which they are added.
#[derive(Debug)]
pub(super) struct Event(String);

impl Event {
    /// An event of a phase, as the format calls its kinds: `X` for an interval, `s` and `f` for the ends of an arrow,
    /// `M` for names.
    fn new(phase: &str, track: Track) -> Self {
        let mut text = String::with_capacity(256);
        write!(text, r#"{{"ph":"{phase}","pid":{}"#, track.process).expect("memory can be written");
        let mut event = Self(text);
        if let Some(thread) = track.thread {
            event.field("tid", thread);
        }
        event
    }

    /// An interval. Its arguments follow, then [`Event::end`].
    pub(super) fn interval(track: Track, start: Nanos, end: Nanos, name: &str, category: &str) -> Self {
        let mut event = Self::new("X", track);
        event.field("ts", Micros(start.0));
        event.field("dur", Micros(end.0.saturating_sub(start.0)));
        event.text("name", name);
        event.text("cat", category);
        event.0.push_str(r#","args":{"#);
        event
    }

    /// Where an arrow begins or ends.
    pub(super) fn arrow(end: ArrowEnd, track: Track, at: Nanos, id: u64) -> String {
        let mut event = Self::new(if end == ArrowEnd::From { "s" } else { "f" }, track);
        event.field("ts", Micros(at.0));
        event.field("id", id);
        event.text("name", "message");
        event.text("cat", "message");
        if end == ArrowEnd::IntoOpen {
            event.text("bp", "e");
        }
        event.0.push('}');
        event.0
    }

    /// The name of a process or thread, or its place among others.
    pub(super) fn label(what: &str, track: Track, value: impl Display) -> String {
        let mut event = Self::new("M", track);
        event.text("name", what);
        event.0.push_str(r#","args":{"#);
        if what.ends_with("_name") {
            event.text("name", &value.to_string());
        } else {
            event.field("sort_index", value);
        }
        event.end()
    }

    /// A field that is a number.
    pub(super) fn field(&mut self, name: &str, value: impl Display) {
        self.separate();
        write!(self.0, r#""{name}":{value}"#).expect("memory can be written");
    }

    /// A field that is text.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.separate();
        let value = serde_json::to_string(value).expect("text always encodes");
        write!(self.0, r#""{name}":{value}"#).expect("memory can be written");
    }

    fn separate(&mut self) {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
    }

    /// Closes arguments and event.
    pub(super) fn end(mut self) -> String {
        self.0.push_str("}}");
        self.0
    }
}

/// Which end of an arrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ArrowEnd {
    /// It begins in the interval that is open at its time.
    From,
    /// It ends in the interval that is open at its time.
    IntoOpen,
    /// It ends in the next interval that opens: one without length is never open.
    IntoNext,
}

/// Nanoseconds written as the microseconds of the format, with all digits.
struct Micros(u64);

impl Display for Micros {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// Writes events one after the other as one JSON object.
#[derive(Debug)]
pub(super) struct Events<W> {
    out: W,
    any: bool,
}

impl<W: Write> Events<W> {
    pub(super) fn begin(mut out: W) -> io::Result<Self> {
        out.write_all(br#"{"displayTimeUnit":"ns","traceEvents":["#)?;
        Ok(Self { out, any: false })
    }

    pub(super) fn write(&mut self, event: &str) -> io::Result<()> {
        self.out.write_all(if self.any { b",\n" } else { b"\n" })?;
        self.any = true;
        self.out.write_all(event.as_bytes())
    }

    /// Gives the writer back, with everything written to it.
    pub(super) fn end(mut self) -> io::Result<W> {
        self.out.write_all(b"\n]}\n")?;
        self.out.flush()?;
        Ok(self.out)
    }
}
