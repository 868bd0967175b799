//! `astra-store show RECIPE --decisions`.

use artifact_store::Store;
use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::exec::{KnownRecipe, LatestBuild};
use crate::report::{Align, Table};
use crate::steps::{DecisionReader, PointDecision};

use super::super::locate;
use super::super::ui::Ui;

pub(super) fn show(ui: &Ui, store: &Store, what: &str) -> Result<()> {
    let Some(recipe) = KnownRecipe::find(store, what)? else {
        return Err(if locate::is_digest(what) {
            Error::new(ErrorKind::Usage, "--decisions shows those of a recipe's points").hint("name a recipe")
        } else {
            locate::unknown_recipe(store, what)?
        });
    };
    let mut reader = DecisionReader::new(store);
    let points = LatestBuild::points(store, &recipe)?.into_iter();
    let points = points.map(|(name, keys)| Ok((name, reader.of_point(&keys)?)));
    let points = points.collect::<Result<Vec<(String, Vec<PointDecision>)>>>()?;
    if ui.json() {
        let points: Vec<Value> = points
            .iter()
            .map(|(name, of_point)| {
                json!({ "name": name, "decisions": of_point.iter().map(described).collect::<Vec<_>>() })
            })
            .collect();
        return ui.json_line(&json!({ "recipe": recipe.name, "points": points }));
    }
    let columns =
        ["point", "collective", "bytes", "group", "decided", "by", "predicted ns", "simulated", "why"];
    let numbers = ["bytes", "group", "predicted ns"];
    let align = |column: &str| if numbers.contains(&column) { Align::Right } else { Align::Left };
    let mut table = Table::new(columns.map(|column| (column, align(column))));
    for (name, of_point) in &points {
        of_point.iter().for_each(|decision| table.row(cells(name, decision)));
    }
    ui.data(|out| table.write(out))
}

/// One row. The bytes and the group are those of the question; `-` is any size, and all ranks.
fn cells(point: &str, decision: &PointDecision) -> Vec<String> {
    let PointDecision { question, row, simulated, is_lost, .. } = decision;
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        point.to_owned(),
        question.collective.to_string(),
        or_dash(question.bytes.map(|bytes| bytes.to_string())),
        or_dash(question.group.as_ref().map(|group| group.len().to_string())),
        row.algorithms().join(", "),
        distinct(row.decisions.iter().map(|d| d.decided_by.as_str())),
        or_dash(row.predicted_ns.map(|ns| ns.to_string())),
        if *is_lost { simulated.join(", ") } else { "as decided".to_owned() },
        distinct(row.decisions.iter().map(|d| d.reason.as_str())),
    ]
}

/// The words, each once, in their order.
fn distinct<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut told: Vec<&str> = Vec::new();
    for word in words.filter(|word| !word.is_empty()) {
        if !told.contains(&word) {
            told.push(word);
        }
    }
    told.join("; ")
}

fn described(decision: &PointDecision) -> Value {
    let PointDecision { question, nodes, row, simulated, is_lost } = decision;
    json!({
        "question": question,
        "nodes": nodes,
        "decisions": row.decisions,
        "predicted_ns": row.predicted_ns,
        "dataset_splits": row.dataset_splits,
        "active_chunks": row.active_chunks,
        "simulated": simulated,
        "lost": is_lost,
    })
}
