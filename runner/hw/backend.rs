//! The `execution_backend` section: algorithms chosen for all dimensions, and settings of the system layer.

use super::dimension::choices;
use super::spec::{CollectiveChoices, SysOptions};
use crate::yaml::Node;
use crate::yaml::{Section, integer_to, text};
use crate::{Notice, Result};

const BACKEND: [&str; 2] = ["model", "astra"];
/// `backend` has no effect anywhere; `mode` says which graphs are simulated, not on what.
const ASTRA: [&str; 4] = ["backend", "mode", "collectives", "sys_options"];
const SYS_OPTIONS: [&str; 3] = ["endpoint_delay", "active_chunks_per_dimension", "preferred_dataset_splits"];
/// The largest that ASTRA-sim's system file takes.
const MAX_OPTION: u32 = i32::MAX as u32;
const MODELS: [&str; 2] = ["analytical", "astra"];

/// Reads the section. Its `astra` block is used whatever the model says; when DeepFlow would not have, that is a notice.
pub(super) fn read(
    node: Option<&Node>,
    notices: &mut Vec<Notice>,
) -> Result<(CollectiveChoices, SysOptions)> {
    let mut out = (CollectiveChoices::default(), SysOptions::default());
    let Some(node) = node else { return Ok(out) };
    let section = Section::open(node, &BACKEND)?;
    let model = section.read("model", model)?;
    if let Some(astra) = section.get("astra") {
        out = astra_block(astra).map_err(|error| error.under("astra"))?;
    }
    let says_something = out != (CollectiveChoices::default(), SysOptions::default());
    if says_something && model.as_deref() != Some("astra") {
        let message = "collectives and sys_options are used although the model is `analytical` \
                       (DeepFlow ignores them then)";
        notices.push(Notice::new("execution_backend.astra", message));
    }
    Ok(out)
}

fn model(node: &Node) -> Result<String> {
    let model = text(node)?;
    if MODELS.contains(&model.as_str()) {
        return Ok(model);
    }
    let error = node.error(format!("unknown model `{model}`")).suggest(&model, MODELS);
    Err(error.hint("one of analytical, astra"))
}

fn astra_block(node: &Node) -> Result<(CollectiveChoices, SysOptions)> {
    let section = Section::open(node, &ASTRA)?;
    let collectives = section.read("collectives", choices)?.unwrap_or_default();
    let sys_options = section.read("sys_options", sys_options)?.unwrap_or_default();
    Ok((collectives, sys_options))
}

fn sys_options(node: &Node) -> Result<SysOptions> {
    let section = Section::open(node, &SYS_OPTIONS)?;
    let option = |key: &str, least: u32| section.read(key, |node| integer_to(MAX_OPTION, node, least));
    Ok(SysOptions {
        endpoint_delay_ns: option("endpoint_delay", 0)?,
        active_chunks_per_dimension: option("active_chunks_per_dimension", 1)?,
        preferred_dataset_splits: option("preferred_dataset_splits", 1)?,
    })
}
