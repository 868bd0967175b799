//! `astra-store cat`.

use artifact_store::Found;
use clap::Args;

use crate::error::{Error, ErrorKind, Result};

use super::ui::Ui;
use super::{Global, locate};

/// Print the bytes of a blob.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  astra-store cat 3f2a91c0 > result.json   # any unique beginning of the digest"
)]
pub(super) struct CatArgs {
    /// Digest of the blob, or a unique beginning of it.
    digest: String,
}

pub(super) fn run(ui: &Ui, global: &Global, args: &CatArgs) -> Result<()> {
    let store = locate::open_existing(ui, global)?;
    let Found::Blob(digest) = locate::find(&store, &args.digest)? else {
        return Err(Error::new(ErrorKind::Usage, format!("`{}` is an action, not a blob", args.digest))
            .hint(format!("`astra-store show {}` says what it made", args.digest)));
    };
    let bytes = locate::blob(&store, &digest)?;
    ui.data(|out| out.write_all(&bytes))
}
