//! The policies that a recipe names: found and read when a build begins, opened when one of them is first asked.
//!
//! One session serves all decisions of a build. Paths are for messages; what identifies a policy is its name and version, or
//! the bytes of its library.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use artifact_store::{Blob, Digest, Store};
use astra_policy::Request;

use crate::decision::BEST;
use crate::error::{Error, Result};
use crate::files;
use crate::policy::{Isolation, Limits, Platform, Ruling, Session, Shipped, Source};
use crate::recipe::{PolicyConfig, PolicyPlugin, Recipe};

use super::plugin_path::{Library, PluginPath};

/// A policy with its configuration, as a recipe names both.
pub(super) type Named = (PolicyPlugin, Option<PolicyConfig>);

/// A policy with its configuration, found.
#[derive(Debug)]
pub struct FoundPolicy {
    pub(super) kind: Kind,
    /// The text of the configuration; none when it is empty.
    config: Option<Blob>,
    config_text: String,
    library: Option<Library>,
}

/// How a policy decides.
#[derive(Debug)]
pub(super) enum Kind {
    /// By the default, which the program knows without asking.
    Default,
    /// It is asked.
    Asked(Source),
    /// The engine is asked.
    Best,
}

impl FoundPolicy {
    /// Finds a policy and reads what belongs to it.
    pub(super) fn read(
        (plugin, config): &Named,
        beside: &Path,
        path: &PluginPath,
        store: Option<&Store>,
    ) -> Result<Self> {
        let config_text = match config {
            None => String::new(),
            Some(PolicyConfig::Text(text)) => text.clone(),
            Some(PolicyConfig::File(name)) => {
                config_file(&beside.join(name)).map_err(|e| e.key("policy.config_file"))?
            }
        };
        let config = (!config_text.is_empty()).then(|| Blob::new(config_text.as_bytes()));
        let library = path.library(plugin, beside, store)?;
        let kind = match (&library, plugin) {
            (Some(Library { name, blob, .. }), _) => {
                Kind::Asked(Source::Library { name: name.clone(), bytes: blob.bytes().clone() })
            }
            (None, PolicyPlugin::Named(name)) if *plugin == PolicyPlugin::default() => match &config {
                None => Kind::Default,
                Some(_) => return Err(no_configuration(name)),
            },
            (None, PolicyPlugin::Named(name)) if name == BEST.name => match &config {
                None => Kind::Best,
                Some(_) => return Err(no_configuration(name)),
            },
            (None, _) => match Shipped::named(plugin.as_str()) {
                Some(shipped) => Kind::Asked(Source::Shipped(shipped)),
                None => return Err(path.unknown(plugin.as_str(), "beside the recipe")),
            },
        };
        Ok(Self { kind, config, config_text, library })
    }

    /// Whether it looks at nothing but the collective and the topologies.
    pub(super) fn is_default(&self) -> bool {
        matches!(self.kind, Kind::Default)
    }

    /// Whether points are asked about one by one: what a further point asks is not to cost the answers that are there.
    pub(super) fn is_asked_alone(&self) -> bool {
        matches!(self.kind, Kind::Best)
    }

    /// Name and version of a policy that is part of this program.
    pub(super) fn shipped(&self) -> Option<String> {
        match &self.kind {
            Kind::Default => {
                Shipped::named(PolicyPlugin::default().as_str()).map(|s| Source::Shipped(s).identity())
            }
            Kind::Asked(source @ Source::Shipped(_)) => Some(source.identity()),
            Kind::Asked(Source::Library { .. }) => None,
            Kind::Best => Some(format!("{} {}", BEST.name, BEST.version)),
        }
    }

    /// What identifies the policy and its configuration.
    pub(super) fn identity(&self) -> String {
        let policy =
            self.shipped().or_else(|| self.library().map(|digest| digest.to_string())).unwrap_or_default();
        match self.config_digest() {
            Some(config) => format!("{policy} configured by {config}"),
            None => policy,
        }
    }

    /// The digest of its library, if it has one.
    pub(super) fn library(&self) -> Option<Digest> {
        self.library.as_ref().map(|library| library.blob.digest())
    }

    /// The digest of its configuration, if it has one.
    pub(super) fn config_digest(&self) -> Option<Digest> {
        self.config.as_ref().map(Blob::digest)
    }

    /// What is worth saying about where it was found.
    pub(super) fn notice(&self) -> Option<&String> {
        self.library.as_ref()?.shadowed.as_ref()
    }

    /// Whether it may be asked now, beyond what is recorded.
    fn may_run(&self) -> Result<()> {
        let Some(library @ Library { name, blob, .. }) = &self.library else { return Ok(()) };
        let here = Platform::here();
        if let Some(platform) = Platform::of(blob.bytes()).filter(|platform| !platform.runs_here()) {
            let message = format!(
                "the library is for {platform}, this is {here}: what is recorded of its decisions is used, and this decision is \
                 not recorded"
            );
            return Err(Error::failed(message)
                .in_file(name)
                .hint("build the recipe where the library runs, and pull what it gives; or name a library for this platform"));
        }
        let besides = ": what is recorded of its decisions is used, and this decision is not recorded";
        library.refused(besides).map_or(Ok(()), Err)
    }

    /// What is to be kept of it in the store.
    pub(super) fn blobs(&self) -> impl Iterator<Item = &Blob> {
        self.library.iter().map(|library| &library.blob).chain(&self.config)
    }
}

fn no_configuration(name: &str) -> Error {
    Error::input(format!("the policy `{name}` takes no configuration")).key("policy.config")
}

fn config_file(path: &Path) -> Result<String> {
    let bytes = files::read_or_hint(path, "paths in a recipe are relative to the recipe")?;
    String::from_utf8(bytes)
        .map_err(|_| Error::input("the configuration of a policy is not UTF-8 text").in_file(path.display()))
}

/// Policies that are asked, each with its configuration.
#[derive(Debug, Default)]
pub struct Sessions {
    in_process: bool,
    /// By [`FoundPolicy::identity`].
    open: Mutex<HashMap<String, Shared>>,
}

/// A session that several threads ask, one after the other.
type Shared = Arc<Mutex<Session>>;

impl Sessions {
    /// Where libraries run: in a helper process, or for debuggers in this one.
    pub fn new(in_process: bool) -> Self {
        Self { in_process, open: Mutex::default() }
    }

    /// Asks a policy, which is opened when it has not been.
    pub(super) fn ask(
        &self,
        source: &Source,
        found: &FoundPolicy,
        requests: &[Request],
    ) -> Result<Vec<Ruling>> {
        let key = found.identity();
        let known = lock(&self.open).get(&key).map(Arc::clone);
        found.may_run()?;
        let session = match known {
            Some(session) => session,
            None => {
                let isolation =
                    if self.in_process { Isolation::InProcess } else { Isolation::this_program()? };
                let config = found.config_text.as_str();
                let session = Session::open(source.clone(), config, isolation, Limits::default())?;
                // Two threads may open the same at once; one is kept.
                Arc::clone(lock(&self.open).entry(key).or_insert_with(|| Arc::new(Mutex::new(session))))
            }
        };
        lock(&session).ask(requests)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The policies that a recipe names.
pub(super) fn read_all(
    recipe: &Recipe,
    path: &PluginPath,
    store: Option<&Store>,
) -> Result<Vec<(Named, FoundPolicy)>> {
    let beside = Path::new(recipe.file()).parent().unwrap_or(Path::new(""));
    let read = |named: Named| {
        let found = FoundPolicy::read(&named, beside, path, store);
        found.map_err(|e| e.key("policy.plugin").in_file(recipe.file())).map(|found| (named, found))
    };
    recipe.policies().into_iter().map(read).collect()
}
