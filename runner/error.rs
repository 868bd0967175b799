//! The one error type of this crate: what is wrong, where, what was expected, what to do next.
//!
//! Messages are lower-case fragments that read well after `error: `. The kind decides the exit code.

use std::fmt;

use astra_engine::Stall;

/// Result with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure this is; decides the exit code of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A step ran and failed, or a simulation stalled: exit 1.
    Failed,
    /// The command line is wrong: exit 2.
    Usage,
    /// A recipe, hardware file, trace or other input is missing or wrong: exit 3.
    Input,
    /// The store cannot be opened, read or written: exit 4.
    Store,
    /// The file of the store is damaged: exit 4.
    Damaged,
    /// Content that a record names is damaged or gone. A build executes the step that wrote it again: exit 4.
    Missing,
    /// Somebody else holds what is needed and did not let go in time: exit 5.
    Busy,
    /// A file that is not the store's could not be written, or the system refused something: exit 6.
    System,
    /// The user asked to stop: exit 130.
    Interrupted,
}

impl ErrorKind {
    /// The process exit code that stands for this kind; documented in `docs/cli.md`.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Input => 3,
            Self::Store | Self::Damaged | Self::Missing => 4,
            Self::Busy => 5,
            Self::System => 6,
            Self::Interrupted => 130,
        }
    }
}

/// An error with its place: file, line and column, key path, and a hint what to do.
#[derive(Clone, Debug)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    point: Option<String>,
    file: Option<String>,
    /// 1-based line and column.
    position: Option<(u64, u64)>,
    key: Option<String>,
    hint: Option<String>,
    stall: Option<Stall>,
    cause: Option<Error>,
}

impl Error {
    /// An error of a kind with a message: what was found and what was expected.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            point: None,
            file: None,
            position: None,
            key: None,
            hint: None,
            stall: None,
            cause: None,
        }))
    }

    /// Something the user gave is missing or wrong.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// A step ran and failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// A simulation stalled; the message explains it in at most twenty lines.
    pub fn stalled(stall: Stall) -> Self {
        let mut error = Self::failed(stall.to_string());
        error.0.stall = Some(stall);
        error
    }

    /// Adds what is behind it, on lines of its own; its hint is the hint then.
    #[must_use]
    pub fn because(mut self, cause: Self) -> Self {
        self.0.hint = self.0.hint.or_else(|| cause.0.hint.clone());
        self.0.cause = Some(cause);
        self
    }

    /// Names the file, unless an inner layer already did.
    #[must_use]
    pub fn in_file(mut self, file: impl fmt::Display) -> Self {
        self.0.file.get_or_insert_with(|| file.to_string());
        self
    }

    /// Gives the 1-based line and column, unless an inner layer already did.
    #[must_use]
    pub fn at(mut self, line: u64, column: u64) -> Self {
        self.0.position.get_or_insert((line, column));
        self
    }

    /// Names the key path (`network.dimensions[1].topology.type`), unless an inner layer already did.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.0.key.get_or_insert_with(|| key.into());
        self
    }

    /// Puts an outer key in front of the key path: an error at `type` under `topology` is at `topology.type`.
    #[must_use]
    pub fn under(mut self, outer: &str) -> Self {
        self.0.key = Some(match self.0.key.take() {
            Some(inner) if inner.starts_with('[') => format!("{outer}{inner}"),
            Some(inner) => format!("{outer}.{inner}"),
            None => outer.to_owned(),
        });
        self
    }

    /// Names the point of a sweep that the error is about, in front of everything else.
    #[must_use]
    pub fn in_point(mut self, point: &str) -> Self {
        self.0.point.get_or_insert_with(|| point.to_owned());
        self
    }

    /// Says what to do next, unless an inner layer already did.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Adds the hint `did you mean …?` when one of the candidates is close to what was found.
    #[must_use]
    pub fn suggest<'a>(self, found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match closest(found, candidates) {
            Some(candidate) => self.hint(format!("did you mean `{candidate}`?")),
            None => self,
        }
    }

    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message without place and hint.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The stall behind the error, if there is one.
    pub fn stall(&self) -> Option<&Stall> {
        self.0.stall.as_ref().or_else(|| self.0.cause.as_ref()?.stall())
    }

    /// The key path, if any.
    pub fn key_path(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// The 1-based line and column, if known.
    pub fn position(&self) -> Option<(u64, u64)> {
        self.0.position
    }

    /// The hint, if any.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The error with everything there is to say about a stall, however many lines that takes.
    pub fn in_full(&self) -> impl fmt::Display {
        InFull(self)
    }

    /// `file:line:column: key: `, as far as each is known.
    fn write_place(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        if let Some(point) = &inner.point {
            write!(f, "point `{point}`: ")?;
        }
        match (&inner.file, inner.position) {
            (Some(file), Some((line, column))) => write!(f, "{file}:{line}:{column}: ")?,
            (Some(file), None) => write!(f, "{file}: ")?,
            (None, Some((line, column))) => write!(f, "line {line}, column {column}: ")?,
            (None, None) => {}
        }
        inner.key.as_ref().map_or(Ok(()), |key| write!(f, "{key}: "))
    }
}

impl fmt::Display for Error {
    /// Place and message; the hint is not part of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_place(f)?;
        f.write_str(&self.0.message)?;
        self.0.cause.as_ref().map_or(Ok(()), |cause| write!(f, "\n{cause}"))
    }
}

struct InFull<'a>(&'a Error);

impl fmt::Display for InFull<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0.0;
        self.0.write_place(f)?;
        match &inner.stall {
            Some(stall) => stall.in_full().fmt(f)?,
            None => f.write_str(&inner.message)?,
        }
        inner.cause.as_ref().map_or(Ok(()), |cause| write!(f, "\n{}", cause.in_full()))
    }
}

impl std::error::Error for Error {}

impl From<artifact_store::Error> for Error {
    fn from(e: artifact_store::Error) -> Self {
        let kind = match e.kind() {
            artifact_store::ErrorKind::Busy => ErrorKind::Busy,
            artifact_store::ErrorKind::Corrupt => ErrorKind::Damaged,
            _ => ErrorKind::Store,
        };
        Self::new(kind, e.message()).with_place_of(&e)
    }
}

impl Error {
    /// An error of the store's crate about something that is no store: a remote, a bundle, a key.
    pub fn outside_store(e: &artifact_store::Error) -> Self {
        use artifact_store::ErrorKind as Of;
        let kind = match e.kind() {
            Of::Permission | Of::Full | Of::Io => ErrorKind::System,
            _ => ErrorKind::Input,
        };
        Self::new(kind, e.message()).with_place_of(e)
    }

    fn with_place_of(self, e: &artifact_store::Error) -> Self {
        let mut error = self;
        if let Some(path) = e.path() {
            error = error.in_file(path.display());
        }
        match e.hint_text() {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// What a JSON parser says, without where: places are told in one form everywhere.
pub(crate) fn json_message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).map_or(text.clone(), str::to_owned)
}

/// The candidate that `found` is most likely a misspelling of, ignoring case, `-` and `_`.
pub fn closest<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |s: &str| s.to_lowercase().replace(['-', '_', ' '], "");
    let found = plain(found);
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&found, &plain(c)), c))
        .filter(|(distance, c)| *distance <= 1 + c.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_place_key_message() {
        let e =
            Error::input("unknown topology `Rng`").key("type").under("topology").in_file("hw.yaml").at(3, 7);
        assert_eq!(e.to_string(), "hw.yaml:3:7: topology.type: unknown topology `Rng`");
    }

    #[test]
    fn what_is_behind_an_error_follows_on_lines_of_its_own_and_gives_the_hint() {
        let cause = Error::input("no bandwidth").key("topology").hint("write one");
        let e = Error::failed("it ended with exit code 1; the network says:").in_file("sim").because(cause);
        assert_eq!(
            e.to_string(),
            "sim: it ended with exit code 1; the network says:\ntopology: no bandwidth"
        );
        assert_eq!((e.kind(), e.hint_text()), (ErrorKind::Failed, Some("write one")));
        assert_eq!(e.in_full().to_string(), e.to_string());
    }

    #[test]
    fn a_misspelling_finds_its_word_and_nonsense_finds_none() {
        assert_eq!(closest("bandwith", ["bandwidth", "latency"]), Some("bandwidth"));
        assert_eq!(closest("all-reduce", ["all_reduce", "all_gather"]), Some("all_reduce"));
        assert_eq!(closest("banana", ["bandwidth", "latency"]), None);
    }
}
