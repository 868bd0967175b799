//! A recipe read from a file: checked as far as one point goes, its sweep not yet expanded.
//!
//! The recipe without its sweep is itself a complete recipe; that is what is checked here. Never opens the files that a
//! recipe names.

use std::path::Path;
use std::sync::Arc;

use artifact_store::Digest;
use serde::Serialize;

use super::document::Json;
use super::edits;
use super::options::{self, Engine, EngineKind, LayoutOptions, Policy, PolicyConfig, PolicyPlugin};
use super::place::{Fault, Place, Source};
use super::section::{Section, object, relative_path, text};
use super::sweep::{self, Axis, Part};
use super::workload::{self, FILE_KEYS, Workload};
use crate::et::Edit;
use crate::files;
use crate::{Error, ErrorKind, Result};

/// The recipe format this version reads.
pub const RECIPE_VERSION: u64 = 1;

/// The keys of a recipe.
pub(super) const RECIPE_KEYS: &[&str] = &[
    "$schema",
    "description",
    "recipe",
    "name",
    "hw",
    "workload",
    "policy",
    "engine",
    "system",
    "layout",
    "salt",
    "sweep",
];

/// The longest name of a recipe, so that names made from it stay valid file names.
const MAX_NAME: usize = 100;

/// The longest salt, in characters: every key of a build holds it.
const MAX_SALT: usize = 100;

/// A recipe: the base point and the axes of its sweep.
#[derive(Debug)]
pub struct Recipe {
    pub(super) source: Arc<Source>,
    pub(super) document: Json,
    pub(super) name: String,
    salt: Option<String>,
    pub(super) axes: Vec<Axis>,
    base: Base,
}

/// The recipe without its sweep.
#[derive(Debug)]
struct Base {
    hw: String,
    workload: Workload,
    edits: Vec<Edit>,
    policy: Policy,
    engine: Engine,
    layout: LayoutOptions,
}

impl Recipe {
    /// Reads a recipe file.
    ///
    /// # Errors
    /// When the file cannot be read, and as [`Recipe::parse`].
    pub fn load(path: &Path) -> Result<Self> {
        let file = path.display().to_string();
        let bytes = files::read_or_hint(path, "`astra-store init` writes a recipe to start from")?;
        Self::parse(&bytes, &file)
    }

    /// Reads a recipe from memory; `file` is its name in messages.
    ///
    /// # Errors
    /// Whatever is wrong with the recipe without its sweep, and with the form of the sweep: with line, column and key path.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|e| {
            Error::input(format!("not UTF-8 text: byte {} is not part of a character", e.valid_up_to()))
                .in_file(file)
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let document = Json::parse(text).map_err(|e| e.in_file(file))?;
        let source = Arc::new(Source { file: file.to_owned(), text: text.to_owned() });
        Self::from_document(document, &source).map_err(|fault| fault.into_error(&source))
    }

    fn from_document(document: Json, source: &Arc<Source>) -> Result<Self, Fault> {
        let root = Place::ROOT;
        version(&document, &root)?;
        let section = Section::open(&document, &root, RECIPE_KEYS)?;
        section.optional("$schema", text)?;
        section.optional("description", text)?;
        let system = section.optional("system", options::system)?.unwrap_or_default();
        let name = section.required("name", "a name for the recipe's results", name)?;
        let salt = section.optional("salt", salt)?;
        let base = Base {
            hw: section.required("hw", "the path of a hardware file", relative_path)?,
            workload: section.required("workload", "what the ranks do", workload::read)?,
            edits: section.optional("workload", edits::read)?.unwrap_or_default(),
            policy: section.optional("policy", options::policy)?.unwrap_or_default(),
            engine: section.optional("engine", options::engine)?.unwrap_or_default(),
            layout: section.optional("layout", options::layout)?.unwrap_or_default(),
        };
        options::fixed_once(&base.policy, &system)?;
        let axes = section.optional("sweep", sweep::read)?.unwrap_or_default();
        Ok(Self { source: Arc::clone(source), document, name, salt, axes, base })
    }

    /// The same recipe under another policy, with a name of its own. What it fixes stays fixed; without a configuration the
    /// policy has that of the recipe, where it is the recipe's.
    ///
    /// # Errors
    /// A recipe that sweeps its policy, and a name that becomes too long.
    pub fn under_policy(
        &self,
        name: &str,
        plugin: &PolicyPlugin,
        config: Option<&PolicyConfig>,
    ) -> Result<Self> {
        if self.axes.iter().any(|axis| axis.changes(Part::Policy)) {
            return Err(Error::input("the recipe sweeps its policy, so it cannot be built under others")
                .in_file(self.file())
                .key("sweep"));
        }
        let name = name_under_policy(&self.name, name);
        let own = self.base.policy.config.as_ref().filter(|_| self.base.policy.plugin == *plugin);
        let mut policy = vec![("plugin".to_owned(), Json::String(plugin.as_str().to_owned()))];
        match config.or(own) {
            Some(PolicyConfig::Text(text)) => policy.push(("config".to_owned(), Json::String(text.clone()))),
            Some(PolicyConfig::File(file)) => {
                policy.push(("config_file".to_owned(), Json::String(file.clone())))
            }
            None => {}
        }
        let (section, key) = (Part::Policy.key(), "collectives");
        let fixed = self.document.get(section).and_then(|policy| policy.get(key)).cloned();
        policy.extend(fixed.map(|fixed| (key.to_owned(), fixed)));
        let mut document = self.document.clone();
        document.set("name", Json::String(name));
        document.set(section, Json::Object(policy));
        Self::from_document(document, &self.source).map_err(|fault| fault.into_error(&self.source))
    }

    /// The recipe's name; safe as a file name and as a name in the store.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What sets the keys of this recipe's builds apart from those of equal ones, if anything does. It is in every key and
    /// changes no result.
    pub fn salt(&self) -> Option<&str> {
        self.salt.as_deref()
    }

    /// The same recipe with this salt in place of its own.
    ///
    /// # Errors
    /// When this cannot be a salt.
    pub fn with_salt(self, salt: &str) -> Result<Self> {
        match not_a_salt(salt) {
            None => Ok(Self { salt: Some(salt.to_owned()), ..self }),
            Some(why) => Err(Error::new(ErrorKind::Usage, why).key("--salt")),
        }
    }

    /// Whether a recipe can be called this.
    pub fn is_name(name: &str) -> bool {
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            && name.len() <= MAX_NAME
    }

    /// The file this was read from, as it was named.
    pub fn file(&self) -> &str {
        &self.source.file
    }

    /// How many points there are.
    pub fn point_count(&self) -> usize {
        self.axes.iter().map(|axis| axis.entries.len()).product()
    }

    /// Every hardware file that some point reads, as written, each once, without expanding the points.
    pub fn sources(&self) -> Vec<String> {
        let mut sources = Vec::new();
        let mut add = |source: &str| {
            if !sources.iter().any(|known| known == source) {
                sources.push(source.to_owned());
            }
        };
        let chooses = |axis: &&Axis| axis.entries.iter().any(|entry| chosen_hw(entry).is_some());
        match self.axes.iter().find(chooses) {
            None => add(&self.base.hw),
            Some(axis) => {
                for entry in &axis.entries {
                    add(chosen_hw(entry).unwrap_or(&self.base.hw));
                }
            }
        }
        sources
    }

    /// Every workload of a point that names files, each once, in the order of the points. Values of the sweep that do not
    /// fit are left out; [`Recipe::points`] reports them.
    pub fn workloads_with_files(&self) -> Vec<Workload> {
        let changed = self
            .axes
            .iter()
            .flat_map(|axis| &axis.entries)
            .flat_map(|entry| &entry.overrides)
            .any(|o| o.target.part == Part::Workload && FILE_KEYS.contains(&o.target.inner_text()));
        let workloads = if changed {
            self.all_of(Part::Workload, workload::read)
        } else {
            vec![self.base.workload.clone()]
        };
        let mut with_files: Vec<Workload> = Vec::new();
        for workload in workloads {
            if workload.names_files() && !with_files.contains(&workload) {
                with_files.push(workload);
            }
        }
        with_files
    }

    /// Every policy with its configuration that some point names, each once. What does not fit is left out, as above.
    pub fn policies(&self) -> Vec<(PolicyPlugin, Option<PolicyConfig>)> {
        let is_swept = self.axes.iter().any(|axis| axis.changes(Part::Policy));
        let policies = if is_swept {
            self.all_of(Part::Policy, options::policy)
        } else {
            vec![self.base.policy.clone()]
        };
        let mut distinct = Vec::new();
        for Policy { plugin, config, .. } in policies {
            if !distinct.iter().any(|(p, c)| (p, c) == (&plugin, &config)) {
                distinct.push((plugin, config));
            }
        }
        distinct
    }

    /// The executable of every point that another program simulates, as written; nothing where the environment is to name
    /// it. Each once, in the order of the points. What does not fit is left out, as above.
    pub fn binaries(&self) -> Vec<Option<Arc<str>>> {
        let mut binaries = Vec::new();
        for engine in self.all_of(Part::Engine, options::engine) {
            if engine.kind == EngineKind::AstraSim && !binaries.contains(&engine.external.binary) {
                binaries.push(engine.external.binary);
            }
        }
        binaries
    }

    /// Everything in the recipe that decides what a build gives, as canonical JSON: defaults filled, units resolved, no
    /// whitespace, keys in one order. Not the salt, which is a part of keys beside it. The sweep is not expanded; its values stay as written, because they name the points.
    pub fn canonical(&self) -> Vec<u8> {
        let empty = Json::Object(Vec::new());
        let canonical = Canonical {
            recipe: RECIPE_VERSION,
            name: &self.name,
            hw: &self.base.hw,
            workload: &self.base.workload,
            edits: &self.base.edits,
            policy: &self.base.policy,
            engine: &self.base.engine,
            layout: &self.base.layout,
            system: self.document.get(Part::System.key()).unwrap_or(&empty),
            sweep: self.axes.iter().map(CanonicalAxis::new).collect(),
        };
        serde_json::to_vec(&canonical).expect("text keys and finite numbers always serialise")
    }
}

/// The hardware file an entry of an axis chooses.
fn chosen_hw(entry: &sweep::Entry) -> Option<&str> {
    let chosen =
        entry.overrides.iter().find(|o| o.target.part == Part::Hw && o.target.inner_text().is_empty());
    match &chosen?.value {
        Json::String(path) => Some(path),
        _ => None,
    }
}

#[derive(Serialize)]
struct Canonical<'a> {
    recipe: u64,
    name: &'a str,
    hw: &'a str,
    workload: &'a Workload,
    #[serde(skip_serializing_if = "<[Edit]>::is_empty")]
    edits: &'a [Edit],
    policy: &'a Policy,
    engine: &'a Engine,
    layout: &'a LayoutOptions,
    system: &'a Json,
    sweep: Vec<CanonicalAxis<'a>>,
}

#[derive(Serialize)]
struct CanonicalAxis<'a> {
    block: &'static str,
    entries: Vec<CanonicalEntry<'a>>,
}

#[derive(Serialize)]
struct CanonicalEntry<'a> {
    settings: Vec<(&'a str, &'a str)>,
    overrides: Vec<(&'a str, &'a Json)>,
}

impl<'a> CanonicalAxis<'a> {
    fn new(axis: &'a Axis) -> Self {
        let entry = |entry: &'a sweep::Entry| CanonicalEntry {
            settings: entry.settings.iter().map(|(label, value)| (&**label, &**value)).collect(),
            overrides: entry.overrides.iter().map(|o| (&*o.target.path, &o.value)).collect(),
        };
        Self { block: axis.block.key(), entries: axis.entries.iter().map(entry).collect() }
    }
}

/// The format's number is looked at before anything else: a newer format may have other keys.
fn version(document: &Json, root: &Place<'_>) -> Result<(), Fault> {
    object(document, root)?;
    let place = root.key("recipe");
    let Some(found) = document.get("recipe") else {
        return Err(place.fault(format!("missing: `\"recipe\": {RECIPE_VERSION}` says which format this is")));
    };
    let number = match found {
        Json::Number(number) => number.as_u64(),
        _ => None,
    };
    match number {
        Some(RECIPE_VERSION) => Ok(()),
        Some(newer) if newer > RECIPE_VERSION => {
            let message = format!("format {newer} is newer than this program, which reads {RECIPE_VERSION}");
            Err(place.fault(message).hint("use a newer astra-store"))
        }
        _ => Err(place.fault(format!(
            "expected the format number {RECIPE_VERSION}, found {}",
            super::section::describe(found)
        ))),
    }
}

fn salt(json: &Json, place: &Place<'_>) -> Result<String, Fault> {
    let salt = text(json, place)?;
    not_a_salt(&salt).map_or(Ok(salt), |why| Err(place.fault(why)))
}

/// Why a text cannot be a salt, if it cannot.
fn not_a_salt(text: &str) -> Option<String> {
    let is_salt =
        !text.trim().is_empty() && !text.contains(char::is_control) && text.chars().count() <= MAX_SALT;
    (!is_salt).then(|| format!("a salt is 1 to {MAX_SALT} characters in one line, and not only blanks"))
}

/// What a recipe is called under a policy. Of a long path the end is kept, which says most, behind what sets it apart.
fn name_under_policy(recipe: &str, policy: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let beginning = format!("{recipe}.under-");
    let words: String = policy.trim_matches(['.', '/']).chars().map(fit).collect();
    let room = MAX_NAME.saturating_sub(beginning.len());
    if words.len() <= room {
        return beginning + &words;
    }
    let apart = Digest::of(policy.as_bytes()).to_string();
    let end = &words[words.len() - room.saturating_sub(9)..];
    format!("{beginning}{}-{end}", &apart[..8])
}

fn name(json: &Json, place: &Place<'_>) -> Result<String, Fault> {
    let name = text(json, place)?;
    if !Recipe::is_name(&name) {
        return Err(place.fault(format!(
            "the name `{name}` is not 1 to {MAX_NAME} letters, digits, `.`, `_` and `-`, beginning with a letter or digit"
        )));
    }
    Ok(name)
}
