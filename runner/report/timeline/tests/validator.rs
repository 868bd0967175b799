//! Checks a text against the Trace Event Format, as far as a timeline uses it, and against what viewers need beyond.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// An interval in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Interval {
    pub(super) process: String,
    pub(super) thread: String,
    pub(super) name: String,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// What a valid text shows.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// In the order of the text.
    pub(super) intervals: Vec<Interval>,
    /// Arguments of the intervals, in the same order.
    pub(super) args: Vec<Value>,
    /// Process and time of both ends of each arrow, by id.
    pub(super) arrows: Vec<[(String, u64); 2]>,
}

impl Shown {
    /// Start, end and name of what a thread of a process shows, by start.
    pub(super) fn on(&self, process: &str, thread: &str) -> Vec<(u64, u64, &str)> {
        let there = self.intervals.iter().filter(|i| (&*i.process, &*i.thread) == (process, thread));
        let mut found: Vec<_> = there.map(|i| (i.start, i.end, &*i.name)).collect();
        found.sort_unstable();
        found
    }

    /// Threads of a process that show something.
    pub(super) fn threads(&self, process: &str) -> BTreeSet<&str> {
        self.intervals.iter().filter(|i| i.process == process).map(|i| &*i.thread).collect()
    }

    pub(super) fn processes(&self) -> BTreeSet<&str> {
        self.intervals.iter().map(|i| &*i.process).collect()
    }
}

type Thread = (u64, u64);

#[derive(Default)]
struct Checker {
    processes: BTreeMap<u64, String>,
    threads: BTreeMap<Thread, String>,
    places: BTreeSet<(String, u64, Option<u64>)>,
    /// Start, end, place in the text, by thread.
    intervals: BTreeMap<Thread, Vec<(u64, u64, usize)>>,
    /// Thread, time, place in the text and kind of both ends, by id.
    arrows: BTreeMap<u64, Vec<(Thread, u64, usize, String)>>,
    raw: Vec<(Thread, u64, u64, String, Value)>,
}

/// What the text shows, or the first thing that is wrong with it.
pub(super) fn validate(text: &str) -> Result<Shown, String> {
    let document: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let document = document.as_object().ok_or("not an object")?;
    only(document, &["displayTimeUnit", "traceEvents"])?;
    if !matches!(document["displayTimeUnit"].as_str(), Some("ns" | "ms")) {
        return Err("displayTimeUnit is neither ns nor ms".to_owned());
    }
    let events = document["traceEvents"].as_array().ok_or("traceEvents is not a list")?;
    let mut checker = Checker::default();
    for (place, event) in events.iter().enumerate() {
        let fields = event.as_object().ok_or("an event is not an object")?;
        checker.event(fields, place).map_err(|wrong| format!("{wrong}: {event}"))?;
    }
    checker.check_names()?;
    checker.check_nesting()?;
    checker.check_arrows()?;
    Ok(checker.shown())
}

impl Checker {
    fn event(&mut self, event: &Map<String, Value>, place: usize) -> Result<(), String> {
        text(event, "name")?;
        let process = whole(event, "pid")?;
        match text(event, "ph")? {
            "M" => self.label(event, process),
            "X" => {
                only(event, &["ph", "pid", "tid", "ts", "dur", "name", "cat", "args"])?;
                text(event, "cat")?;
                let thread = (process, whole(event, "tid")?);
                let (start, length) = (nanos(event, "ts")?, nanos(event, "dur")?);
                let args =
                    event.get("args").filter(|args| args.is_object()).ok_or("args is not an object")?;
                self.intervals.entry(thread).or_default().push((start, start + length, place));
                self.raw.push((thread, start, start + length, text(event, "name")?.to_owned(), args.clone()));
                Ok(())
            }
            phase @ ("s" | "f") => {
                only(event, &["ph", "pid", "tid", "ts", "id", "name", "cat", "bp"])?;
                text(event, "cat")?;
                let binding = event.get("bp").map(|binding| binding.as_str() == Some("e"));
                let kind = match (phase, binding) {
                    ("s", None) => "s",
                    ("f", None) => "f",
                    ("f", Some(true)) => "fe",
                    _ => return Err("bp where it means nothing".to_owned()),
                };
                let end = ((process, whole(event, "tid")?), nanos(event, "ts")?, place, kind.to_owned());
                self.arrows.entry(whole(event, "id")?).or_default().push(end);
                Ok(())
            }
            other => Err(format!("unknown phase {other}")),
        }
    }

    fn label(&mut self, event: &Map<String, Value>, process: u64) -> Result<(), String> {
        only(event, &["ph", "pid", "tid", "name", "args"])?;
        let args = event.get("args").and_then(Value::as_object).ok_or("args is not an object")?;
        let name = text(event, "name")?;
        let thread = name.starts_with("thread_").then(|| whole(event, "tid")).transpose()?;
        if !self.places.insert((name.to_owned(), process, thread)) {
            return Err("said twice".to_owned());
        }
        match (name, thread) {
            ("process_name", None) => {
                self.processes.insert(process, text(args, "name")?.to_owned());
            }
            ("thread_name", Some(thread)) => {
                self.threads.insert((process, thread), text(args, "name")?.to_owned());
            }
            ("process_sort_index" | "thread_sort_index", _) => {
                i32::try_from(whole(args, "sort_index")?).map_err(|e| e.to_string())?;
            }
            _ => return Err("unknown metadata".to_owned()),
        }
        Ok(())
    }

    /// Everything shown has a name and an order; no thread id is 0 or that of two processes.
    fn check_names(&self) -> Result<(), String> {
        let mut owner = BTreeMap::new();
        for &(process, thread) in self.threads.keys() {
            if thread == 0 || owner.insert(thread, process).is_some() {
                return Err(format!("thread {thread} of process {process} is 0 or somebody else's too"));
            }
        }
        for thread in self.intervals.keys().chain(self.arrows.values().flatten().map(|end| &end.0)) {
            if !self.threads.contains_key(thread) || !self.processes.contains_key(&thread.0) {
                return Err(format!("thread {thread:?} has no name"));
            }
        }
        let names: BTreeSet<&String> = self.processes.values().collect();
        if names.len() < self.processes.len() {
            return Err("two processes have one name".to_owned());
        }
        Ok(())
    }

    /// Of two intervals on a thread one is inside the other, or they do not overlap.
    fn check_nesting(&self) -> Result<(), String> {
        for (thread, intervals) in &self.intervals {
            let mut sorted = intervals.clone();
            sorted.sort_unstable_by_key(|&(start, end, place)| (start, std::cmp::Reverse(end), place));
            let mut open: Vec<u64> = Vec::new();
            for (start, end, _) in sorted {
                open.retain(|&until| until > start);
                if open.last().is_some_and(|&until| until < end) {
                    return Err(format!("intervals on {thread:?} overlap at {start} ns"));
                }
                open.push(end);
            }
        }
        Ok(())
    }

    /// Every arrow has two ends in order of time, each in an interval that a viewer finds.
    fn check_arrows(&self) -> Result<(), String> {
        for (id, ends) in &self.arrows {
            let [(_, begin, _, first), (_, end, _, last)] = &ends[..] else {
                return Err(format!("arrow {id} has {} ends", ends.len()));
            };
            if first != "s" || last == "s" || begin > end {
                return Err(format!("arrow {id} goes backwards"));
            }
            for (thread, at, place, kind) in ends {
                let none = Vec::new();
                let found =
                    self.intervals.get(thread).unwrap_or(&none).iter().any(|&(start, end, interval)| {
                        match &**kind {
                            "f" => start == *at && interval > *place,
                            _ => {
                                start <= *at
                                    && (*at < end || start == end)
                                    && (start < *at || interval < *place)
                            }
                        }
                    });
                if !found {
                    return Err(format!("arrow {id} touches nothing at {at} ns on {thread:?}"));
                }
            }
        }
        Ok(())
    }

    fn shown(self) -> Shown {
        let mut shown = Shown::default();
        for (thread, start, end, name, args) in self.raw {
            let (process, thread) = (self.processes[&thread.0].clone(), self.threads[&thread].clone());
            shown.intervals.push(Interval { process, thread, name, start, end });
            shown.args.push(args);
        }
        for ends in self.arrows.into_values() {
            let ends = ends.into_iter().map(|(thread, at, ..)| (self.processes[&thread.0].clone(), at));
            shown.arrows.extend(<[_; 2]>::try_from(ends.collect::<Vec<_>>()));
        }
        shown
    }
}

fn only(object: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match object.keys().find(|key| !known.contains(&&***key)) {
        Some(key) => Err(format!("unknown field {key}")),
        None => Ok(()),
    }
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    object.get(name).and_then(Value::as_str).ok_or_else(|| format!("{name} is not text"))
}

fn whole(object: &Map<String, Value>, name: &str) -> Result<u64, String> {
    object.get(name).and_then(Value::as_u64).ok_or_else(|| format!("{name} is not a whole number"))
}

/// Microseconds with at most three decimals.
fn nanos(object: &Map<String, Value>, name: &str) -> Result<u64, String> {
    let micros = object.get(name).and_then(Value::as_f64).ok_or_else(|| format!("{name} is not a number"))?;
    let nanos = (micros * 1000.0).round();
    if nanos < 0.0 || (nanos / 1000.0).to_bits() != micros.to_bits() {
        return Err(format!("{name} is not a whole number of nanoseconds"));
    }
    Ok(nanos as u64)
}
