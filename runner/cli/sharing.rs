//! What `build` does with other people's results and for them: where it asks, what it signs, where it pushes.

use std::path::PathBuf;
use std::sync::Arc;

use artifact_store::remote::{DirectoryRemote, PullOptions, PushOptions, Remote, Upstream};
use artifact_store::trust::{SecretKey, TrustPolicy};
use artifact_store::{ActionKey, Store};
use clap::Args;
use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::exec::{KnownRecipe, UpstreamReport, actions_of, selection_of};
use crate::report::format_bytes;

use super::Global;
use super::cache::Workplace;
use super::push::push_to;
use super::transfer::{
    Transfer, create_remote, disagreement_json, find_remote, open_remote, refusal_json, tell_trouble, trust,
};
use super::ui::{Ui, counted};

/// Options of `build` about other stores.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sharing")]
pub(super) struct SharingArgs {
    /// Ask the remote in this directory before a step is executed; may be given several times. What is there is
    /// checked and kept in this store; nothing is written there. One that is away is not asked, which is said. With
    /// --dry-run it is only asked, and nothing kept.
    #[arg(long, value_name = "DIR")]
    upstream: Vec<PathBuf>,
    /// Use no record from upstream that no key of `astra-store trust` has signed.
    #[arg(long, requires = "upstream")]
    require_signed: bool,
    /// Sign the records of this build with the secret key in this file.
    #[arg(long, value_name = "KEY", conflicts_with = "dry_run")]
    sign: Option<PathBuf>,
    /// Push what the build needs to the remote in this directory when it ends.
    #[arg(long, value_name = "DIR", conflicts_with = "dry_run")]
    push: Option<PathBuf>,
}

/// What the options name, found to be usable before the build begins.
pub(super) struct Sharing {
    upstream: Option<Upstream>,
    asks_others: bool,
    /// Why remotes are not asked that are away.
    away: Vec<Error>,
    key: Option<SecretKey>,
    push: Option<(PathBuf, DirectoryRemote)>,
}

impl SharingArgs {
    /// Opens everything that the options name, and says what is away.
    pub(super) fn open(
        &self,
        ui: &Ui,
        global: &Global,
        workplace: &Workplace,
        dry_run: bool,
    ) -> Result<Sharing> {
        let store = &workplace.store;
        if global.read_only && !dry_run && (!self.upstream.is_empty() || self.sign.is_some()) {
            return Err(Error::new(
                ErrorKind::Usage,
                "what comes from upstream and signatures are kept in the store",
            )
            .key("--read-only")
            .hint("leave out --read-only, or --upstream and --sign"));
        }
        if self.require_signed && workplace.is_temporary() {
            let message =
                "whose signatures count is kept in the store, which this cache mode does not write to";
            return Err(Error::new(ErrorKind::Usage, message)
                .key("--require-signed")
                .hint("build with --cache CACHE_READWRITE"));
        }
        let found = self.upstream.iter().map(|place| find_remote(place)).collect::<Result<Vec<_>>>()?;
        let options =
            PullOptions { trust: trust(store, self.require_signed)?, dry_run, ..PullOptions::default() };
        let key = self.sign.as_deref().map(SecretKey::read).transpose();
        let key = key.map_err(|e| Error::outside_store(&e))?;
        let push = self.push.clone().map(|place| create_remote(&place).map(|remote| (place, remote)));
        let push = push.transpose()?;
        let mut remotes: Vec<Arc<dyn Remote>> = workplace.cached.iter().cloned().collect();
        let mut away = Vec::new();
        for (place, found) in self.upstream.iter().zip(found) {
            // Where this build pushes to there is a remote by now.
            match found.or_else(|e| open_remote(place).map_err(|_| e)) {
                Ok(remote) => remotes.push(Arc::new(remote)),
                Err(e) => {
                    ui.warn(format!("upstream {e}; it is not asked"));
                    away.push(e);
                }
            }
        }
        Ok(Sharing {
            asks_others: !self.upstream.is_empty(),
            upstream: (!remotes.is_empty()).then(|| Upstream::new(remotes, options)),
            away,
            key,
            push,
        })
    }
}

impl Sharing {
    pub(super) fn upstream(&self) -> Option<&Upstream> {
        self.upstream.as_ref()
    }

    /// Whether others are asked, not only what is stored here.
    pub(super) fn asks_others(&self) -> bool {
        self.asks_others
    }

    /// What came from upstream, for the summary of `--json`; nothing where nobody else is asked.
    pub(super) fn upstream_json(&self, report: &UpstreamReport) -> Option<Value> {
        self.asks_others.then(|| {
            json!({
                "actions": report.actions,
                "blobs": report.blobs,
                "bytes": report.bytes,
                "left_out": report.left_out.iter().map(refusal_json).collect::<Vec<_>>(),
                "disagreements": report.disagreements.iter().map(disagreement_json).collect::<Vec<_>>(),
                "failed": self.away.iter().chain(&report.failed).map(ToString::to_string).collect::<Vec<_>>(),
            })
        })
    }

    /// Signs and pushes what a build has come to, as far as that is asked for.
    pub(super) fn hand_out(&self, ui: &Ui, store: &Store, recipe: &KnownRecipe) -> Result<Option<Transfer>> {
        if let Some(key) = &self.key {
            sign(ui, store, recipe, key)?;
        }
        let Some((place, remote)) = &self.push else { return Ok(None) };
        let selection = selection_of(store, recipe)?;
        // Nothing is mended by a push that does not read what is there.
        let (transfer, _) = push_to(ui, store, &selection, remote, &PushOptions::default(), place)?;
        Ok(Some(transfer))
    }
}

/// Signs the records of a build, except those of strangers: what came without provenance speaks for nobody here, unless
/// somebody who is trusted has signed it.
fn sign(ui: &Ui, store: &Store, recipe: &KnownRecipe, secret: &SecretKey) -> Result<()> {
    let TrustPolicy { trusted, .. } = trust(store, false)?;
    let own = secret.public();
    let mut unsigned: Vec<ActionKey> = Vec::new();
    let mut strangers = 0;
    store.flush()?;
    for key in actions_of(store, recipe)? {
        let signatures = store.signatures(&key)?;
        let by = |signer| signatures.iter().any(|signature| *signature.signer() == signer);
        if by(own) {
            continue;
        }
        if store.provenance(&key)?.is_some() || trusted.iter().any(|signer| by(*signer)) {
            unsigned.push(key);
        } else {
            strangers += 1;
        }
    }
    let signed = if unsigned.is_empty() { 0 } else { store.sign(&unsigned, secret)? };
    ui.say(format!("signed {}", counted(usize::try_from(signed).unwrap_or(usize::MAX), "record")));
    if strangers > 0 {
        let records = counted(strangers, "record");
        ui.warn(format!(
            "{records} of this build came from elsewhere, signed by nobody trusted here, and are not signed"
        ));
    }
    Ok(())
}

/// Says what came from upstream, where somebody else was asked, and what did not.
pub(super) fn tell_upstream(ui: &Ui, report: &UpstreamReport, asks_others: bool, dry_run: bool) {
    for error in &report.failed {
        ui.warn(format!("upstream {error}; it was not asked again"));
    }
    tell_trouble(ui, &report.disagreements, &report.left_out);
    if report.actions > 0 && asks_others {
        let actions = counted(usize::try_from(report.actions).unwrap_or(usize::MAX), "record");
        let blobs = counted(usize::try_from(report.blobs).unwrap_or(usize::MAX), "blob");
        let came = if dry_run { "would come" } else { "came" };
        ui.say(format!("{actions} and {blobs} ({}) {came} from upstream", format_bytes(report.bytes)));
    }
}
