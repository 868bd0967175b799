//! What `pull` and `import` say in the end.

use serde_json::{Map, json};

use crate::error::Result;
use crate::exec::Adopted;

use super::transfer::Transfer;
use super::ui::Ui;

/// Says what came, and which recipes can be shown now.
pub(super) fn received(ui: &Ui, transfer: &Transfer, adopted: &Adopted) -> Result<()> {
    let recipes: Vec<String> = adopted.recipes.iter().map(ToString::to_string).collect();
    let mut more = Map::new();
    more.insert("recipes".to_owned(), json!(recipes));
    transfer.tell(ui, more)?;
    if !recipes.is_empty() {
        ui.say(format!("new builds: {}; `astra-store show` prints one", recipes.join(", ")));
    }
    transfer.verdict()
}
