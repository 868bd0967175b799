//! Where in a document a value stands: key paths while reading, line and column for what is wrong.
//!
//! Paths cost nothing until something fails: a [`Place`] is a chain on the stack, a [`Fault`] owns its path. The position
//! is looked up in the text only then. Knows JSON's syntax, nothing of a recipe's keys.

use std::fmt;

use crate::Error;

/// One step of a path: into an object or into a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl Step {
    /// Whether a segment of a dotted path means this step; numbers index lists.
    pub(super) fn matches(&self, segment: &str) -> bool {
        match self {
            Self::Key(key) => key == segment,
            Self::Index(index) => segment.parse() == Ok(*index),
        }
    }
}

/// The place of a value, as a chain to the root of the document.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: StepRef<'a>,
}

#[derive(Clone, Copy)]
enum StepRef<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    pub(super) const ROOT: Place<'static> = Place { parent: None, step: StepRef::Root };

    pub(super) fn key(&'a self, key: &'a str) -> Place<'a> {
        Place { parent: Some(self), step: StepRef::Key(key) }
    }

    pub(super) fn index(&'a self, index: usize) -> Place<'a> {
        Place { parent: Some(self), step: StepRef::Index(index) }
    }

    /// The steps from the root to here.
    pub(super) fn path(&self) -> Vec<Step> {
        let mut path = self.parent.map(Place::path).unwrap_or_default();
        match self.step {
            StepRef::Root => {}
            StepRef::Key(key) => path.push(Step::Key(key.to_owned())),
            StepRef::Index(index) => path.push(Step::Index(index)),
        }
        path
    }

    /// Something is wrong here.
    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault { path: self.path(), error: Error::input(message) }
    }

    /// What another room says about the value here; the place is this one, whatever it called it.
    pub(super) fn adopt(&self, error: &Error) -> Fault {
        Fault { path: self.path(), error: reworded(error, error.message()) }
    }
}

/// The same error with another message, and no place yet.
pub(super) fn reworded(error: &Error, message: impl Into<String>) -> Error {
    let bare = Error::new(error.kind(), message);
    match error.hint_text() {
        Some(hint) => bare.hint(hint),
        None => bare,
    }
}

/// A recipe as it was read: what places lead into.
#[derive(Debug)]
pub(super) struct Source {
    /// The file, as it was named.
    pub(super) file: String,
    pub(super) text: String,
}

/// What is wrong, and at which path; becomes an [`Error`] once it is known which text the path leads into.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) path: Vec<Step>,
    pub(super) error: Error,
}

impl Fault {
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.error = self.error.hint(hint);
        self
    }

    pub(super) fn suggest<'a>(mut self, found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        self.error = self.error.suggest(found, candidates);
        self
    }

    /// The same, with something added to the message.
    pub(super) fn remark(self, remark: &str) -> Self {
        let error = reworded(&self.error, format!("{}; {remark}", self.error.message()));
        Self { error, ..self }
    }

    /// The error with file, line, column and key path.
    pub(super) fn into_error(self, source: &Source) -> Error {
        let mut error = self.error.in_file(&source.file);
        if let Some((line, column)) = locate(&source.text, &self.path) {
            error = error.at(line, column);
        }
        if self.path.is_empty() { error } else { error.key(PathText(&self.path).to_string()) }
    }
}

/// `workload.items[1].size`; a key that itself holds dots is quoted: `sweep.grid."workload.size"[3]`.
pub(super) struct PathText<'a>(pub(super) &'a [Step]);

impl fmt::Display for PathText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    let dot = if i == 0 { "" } else { "." };
                    let quote = if key.contains(['.', '[', ' ']) { "\"" } else { "" };
                    write!(f, "{dot}{quote}{key}{quote}")?;
                }
            }
        }
        Ok(())
    }
}

/// Line and column (1-based, in characters) of the last step of a path that the text has: of the key in an object, of
/// the value in a list. The text must be valid JSON.
pub(super) fn locate(text: &str, path: &[Step]) -> Option<(u64, u64)> {
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0 };
    scanner.skip_blanks();
    let mut found = scanner.at;
    for step in path {
        match scanner.enter(step) {
            Some(at) => found = at,
            None => break,
        }
    }
    let before = text.get(..found)?;
    let line = before.matches('\n').count() as u64 + 1;
    let column = before.rsplit('\n').next()?.chars().count() as u64 + 1;
    Some((line, column))
}

/// Walks over JSON that has been parsed before.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    /// Moves to the value of a step; gives where its key (or the value itself) starts.
    fn enter(&mut self, step: &Step) -> Option<usize> {
        let open = self.peek()?;
        self.at += 1;
        let mut index = 0;
        loop {
            self.skip_blanks();
            let start = self.at;
            let found = match (open, step) {
                (b'{', Step::Key(key)) => self.key()? == *key,
                (b'[', Step::Index(wanted)) => index == *wanted && self.peek()? != b']',
                _ => return None,
            };
            if found {
                return Some(start);
            }
            self.skip_value();
            self.skip_blanks();
            if self.peek()? != b',' {
                return None;
            }
            self.at += 1;
            index += 1;
        }
    }

    /// Reads a key and moves to its value.
    fn key(&mut self) -> Option<String> {
        let start = self.at;
        self.skip_string();
        let key = serde_json::from_slice(self.bytes.get(start..self.at)?).ok()?;
        self.skip_blanks();
        self.at += 1;
        self.skip_blanks();
        Some(key)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn skip_string(&mut self) {
        self.at += 1;
        while let Some(b) = self.peek() {
            self.at += if b == b'\\' { 2 } else { 1 };
            if b == b'"' {
                return;
            }
        }
    }

    fn skip_value(&mut self) {
        let mut depth = 0usize;
        while let Some(b) = self.peek() {
            match b {
                b'"' => {
                    self.skip_string();
                    if depth == 0 {
                        return;
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 0 => return,
                b'}' | b']' => depth -= 1,
                b',' if depth == 0 => return,
                _ => {}
            }
            self.at += 1;
            if depth == 0 && matches!(b, b'}' | b']') {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{\n  \"a\": {\"x\": [1, {\"y\\\"\": \"}\"}, [2]], \"z\": 3},\n  \"b.c\": [true, \"\u{b5}\", 9],\n  \"e\": []\n}";

    fn at(path: &[&str]) -> (u64, u64) {
        let steps: Vec<_> =
            path.iter().map(|s| s.parse().map_or_else(|_| Step::Key((*s).to_owned()), Step::Index)).collect();
        locate(TEXT, &steps).unwrap()
    }

    #[test]
    fn a_path_leads_to_its_line_and_column() {
        assert_eq!(at(&[]), (1, 1));
        assert_eq!(at(&["a"]), (2, 3));
        assert_eq!(at(&["a", "x"]), (2, 9));
        assert_eq!(at(&["a", "x", "0"]), (2, 15));
        assert_eq!(at(&["a", "x", "1", "y\""]), (2, 19));
        assert_eq!(at(&["a", "x", "2", "0"]), (2, 33));
        assert_eq!(at(&["a", "z"]), (2, 38));
        assert_eq!(at(&["b.c", "2"]), (3, 22));
    }

    #[test]
    fn a_path_that_is_not_there_leads_to_the_deepest_place_that_is() {
        assert_eq!(at(&["nowhere"]), (1, 1));
        assert_eq!(at(&["a", "nowhere"]), (2, 3));
        assert_eq!(at(&["a", "x", "9"]), (2, 9));
        assert_eq!(at(&["a", "z", "deeper"]), (2, 38));
        assert_eq!(at(&["e", "0"]), (4, 3));
    }

    #[test]
    fn a_key_with_dots_is_quoted_in_a_path() {
        let place = Place::ROOT;
        let (sweep, grid, axis);
        sweep = place.key("sweep");
        grid = sweep.key("grid");
        axis = grid.key("workload.size");
        assert_eq!(PathText(&axis.index(3).path()).to_string(), "sweep.grid.\"workload.size\"[3]");
    }
}
