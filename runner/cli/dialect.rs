//! Whose rules count: what `--dialect` says, and the variable that says the same for programs that cannot pass it.

use astra_engine::{Dialect, UnknownName};

use crate::error::{Error, ErrorKind, Result};

/// What counts where no option does: a program that calls the original passes none.
const VARIABLE: &str = "ASTRA_STORE_DIALECT";

/// The dialect that the option or else the environment asks for, if one does.
pub(super) fn asked(option: Option<&str>) -> Result<Option<Dialect>> {
    let variable = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let (place, name) = match (option, &variable) {
        (Some(option), _) => ("--dialect", option),
        (None, Some(variable)) => (VARIABLE, variable.as_str()),
        (None, None) => return Ok(None),
    };
    let wrong = |e: UnknownName| Error::new(ErrorKind::Usage, format!("{place}: {e}"));
    name.parse().map(Some).map_err(wrong)
}
