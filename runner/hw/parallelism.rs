//! The `parallelism` section: the degree of each axis.

use super::spec::Parallelism;
use crate::Result;
use crate::yaml::Node;
use crate::yaml::{Section, boolean, integer};

const KNOWN: [&str; 7] = ["auto", "tp", "tp_sp", "cp", "lp", "mb", "dp"];

/// Reads the section; a missing section or degree is 1. `mb`, `tp_sp` and `auto` shape the workload, not the network:
/// they are checked, but not kept.
pub(super) fn read(node: Option<&Node>) -> Result<Parallelism> {
    let Some(node) = node else { return Ok(Parallelism { tp: 1, cp: 1, lp: 1, dp: 1 }) };
    let section = Section::open(node, &KNOWN)?;
    let degree = |key: &str| section.read(key, |node| integer(node, 1)).map(|value| value.unwrap_or(1));
    degree("mb")?;
    section.read("auto", boolean)?;
    section.read("tp_sp", boolean)?;
    Ok(Parallelism { tp: degree("tp")?, cp: degree("cp")?, lp: degree("lp")?, dp: degree("dp")? })
}
