//! From a hardware description to the configuration files of a run on a part of it.

use std::path::Path;

use astra_policy::Collective;
use serde_json::{Value, json};

use crate::astrasim::{self, ConfigFiles, ConfigRequest, Layout};
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::hw::{Axis, Document};
use crate::sim::SimSettings;

use super::request::{Configs, Hardware, Part};

/// What a hardware description that is part of a request is called in messages.
const INLINE: &str = "hardware";

/// The configuration of a run, and what is worth saying about its hardware.
pub(super) struct Configuration {
    pub(super) layout: Layout,
    pub(super) files: ConfigFiles,
    pub(super) notices: Vec<String>,
}

/// Makes the configuration of a run that uses these collectives.
pub(super) fn configuration(
    hardware: &Hardware,
    part: &Part,
    settings: &SimSettings,
    used: &[Collective],
) -> Result<Configuration> {
    let (name, bytes) = match hardware {
        Hardware::File(path) => (path.display().to_string(), files::read(path)?),
        Hardware::Document(document) => (INLINE.to_owned(), document.to_string().into_bytes()),
    };
    let (spec, notices) = Document::parse(&bytes, &name)?.network_spec(&[])?;
    let request = ConfigRequest {
        ranks: part.ranks,
        axes: part.axes.as_deref().map(|names| axes("axes", names)).transpose()?,
        flatten_2d: part.flatten_2d,
        synthetic_pair: part
            .synthetic_pair
            .as_deref()
            .map(|names| axes("synthetic_pair", names))
            .transpose()?,
        faulty_links: None,
    };
    let configuration = || {
        let dialect = settings.dialect;
        let (layout, lists, files) = astrasim::usual_files(&spec, &request, dialect)?;
        astrasim::check_network(&layout, settings.network_model)?;
        astrasim::check_algorithms(&layout, &lists, dialect, used.iter().copied(), &name)?;
        Ok((layout, files))
    };
    let (layout, files) = configuration().map_err(|e: Error| e.in_file(&name))?;
    Ok(Configuration {
        layout,
        files,
        notices: notices.iter().map(|notice| format!("{name}: {notice}")).collect(),
    })
}

fn axes(key: &str, names: &[String]) -> Result<Vec<Axis>> {
    names.iter().map(|name| Axis::parse(name).map_err(|e| e.key(key))).collect()
}

/// Writes the configuration files and says what they are called and describe.
pub(super) fn write(request: &Configs) -> Result<Value> {
    let settings = request.engine.settings()?;
    let Configuration { layout, files, notices } =
        configuration(&request.hardware, &request.part, &settings, &[])?;
    let path = |name: &str| match &request.unique {
        Some(unique) => with_suffix(&request.out, name, unique),
        None => Ok(request.out.join(name)),
    };
    let (network, system) = (path(&files.network_name)?, path(&files.system_name)?);
    files::write(&network, files.network_yml.as_bytes())?;
    files::write(&system, files.system_json.as_bytes())?;
    let dimensions = layout.dimensions.iter();
    Ok(json!({
        "network": network.display().to_string(),
        "system": system.display().to_string(),
        "topology": dimensions.clone().map(|d| d.link.topology.as_str()).collect::<Vec<_>>(),
        "npus": dimensions.map(|d| d.link.npus).collect::<Vec<_>>(),
        "notices": notices,
    }))
}

/// `network_4.yml` with `x` is `network_4_x.yml`.
fn with_suffix(out: &Path, name: &str, unique: &str) -> Result<std::path::PathBuf> {
    if unique.is_empty() || !unique.bytes().all(|b| b.is_ascii_alphanumeric()) {
        let message = format!("`{unique}` cannot be part of a name, expected letters and digits");
        return Err(Error::new(ErrorKind::Usage, message).key("unique"));
    }
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    Ok(out.join(format!("{stem}_{unique}.{extension}")))
}
