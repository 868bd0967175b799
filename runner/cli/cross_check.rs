//! What `build --cross-check` prints: where the two engines differ.

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::exec::{CrossChecked, Difference};
use crate::report::{Align, Table, format_nanos};

use super::ui::{Ui, counted};

/// Prints the points of which the engines say different things, each with the rank that differs most.
pub(super) fn print(ui: &Ui, compared: &[CrossChecked]) -> Result<()> {
    let columns = [("differs", Align::Left), ("ranks", Align::Right), ("most in rank", Align::Right)];
    let times = [("built-in", Align::Right), ("external", Align::Right), ("difference", Align::Right)];
    let mut table = Table::new(columns.into_iter().chain(times));
    for point in compared {
        let Some(worst) = point.differing.iter().max_by_key(|d| (distance(d), std::cmp::Reverse(d.rank)))
        else {
            continue;
        };
        let (builtin, external) = (worst.builtin.finish_ns, worst.external.finish_ns);
        table.row([
            point.point.clone(),
            format!("{} of {}", point.differing.len(), point.ranks),
            worst.rank.to_string(),
            format_nanos(builtin),
            format_nanos(external),
            percent(builtin, external),
        ]);
    }
    let agree = compared.iter().filter(|point| point.agrees()).count();
    ui.say(format!(
        "cross-check: {}, {agree} with the same times of every rank",
        counted(compared.len(), "point")
    ));
    if table.is_empty() { Ok(()) } else { ui.data(|out| table.write(out)) }
}

/// By how much a rank's finish times differ.
fn distance(difference: &Difference) -> u64 {
    difference.builtin.finish_ns.abs_diff(difference.external.finish_ns)
}

/// How much later the external simulator is, as a part of what the built-in engine says.
fn percent(builtin_ns: u64, external_ns: u64) -> String {
    if builtin_ns == external_ns {
        return "exposed only".to_owned();
    }
    format!("{:+.3} %", (external_ns as f64 - builtin_ns as f64) / builtin_ns as f64 * 100.0)
}

/// All differences, as the key `cross_check` of the summary.
pub(super) fn json(compared: &[CrossChecked]) -> Value {
    let difference = |d: &Difference| {
        json!({
            "rank": d.rank,
            "builtin_finish_ns": d.builtin.finish_ns,
            "external_finish_ns": d.external.finish_ns,
            "builtin_exposed_ns": d.builtin.exposed_ns,
            "external_exposed_ns": d.external.exposed_ns,
        })
    };
    let points = compared.iter().map(|point| {
        let differing: Vec<Value> = point.differing.iter().map(difference).collect();
        let mut value = json!({ "name": point.point, "ranks": point.ranks, "differing": differing });
        if let Some(error) = &point.error {
            value["error"] = error.to_string().into();
        }
        value
    });
    json!(points.collect::<Vec<_>>())
}

/// The error of engines that do not agree.
pub(super) fn verdict(compared: &[CrossChecked]) -> Result<()> {
    let several = compared.len() > 1;
    if let Some(point) = compared.iter().find(|point| point.error.is_some())
        && let Some(error) = &point.error
    {
        let failed = compared.iter().filter(|point| point.error.is_some()).count();
        let message = format!("the other engine failed at {failed} of {}", counted(compared.len(), "point"));
        let cause = if several { (**error).clone().in_point(&point.point) } else { (**error).clone() };
        return Err(Error::failed(message).because(cause));
    }
    let differ = compared.iter().filter(|point| !point.agrees()).count();
    if differ == 0 {
        return Ok(());
    }
    let message = format!("the engines differ at {differ} of {}", counted(compared.len(), "point"));
    Err(Error::failed(message).hint(
        "see whether `engine.dialect` and `engine.network` are those of the executable; `--json` lists every rank",
    ))
}
