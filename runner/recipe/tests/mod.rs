//! What a recipe accepts, refuses and expands to. All through the public types.

mod blame;
mod reading;
mod refusals;
mod schema;
mod study;
mod sweeps;

use super::{Point, Recipe};
use crate::Result;

/// A recipe whose keys beside the format, name and hardware are given as JSON text.
fn recipe(rest: &str) -> Result<Recipe> {
    Recipe::parse(format!(r#"{{"recipe":1,"name":"t","hw":"a.yaml",{rest}}}"#).as_bytes(), "r.json")
}

const WORKLOAD: &str = r#""workload":{"kind":"collective","collective":"all_reduce","ranks":8,"size":1024}"#;

/// The points of a recipe with one all-reduce of 1 KiB over 8 ranks, and this sweep.
fn swept(sweep: &str) -> Result<Vec<Point>> {
    recipe(&format!(r#"{WORKLOAD},"sweep":{sweep}"#))?.points()
}

fn names(points: &[Point]) -> Vec<&str> {
    points.iter().map(|point| point.name.as_str()).collect()
}

/// The whole message of what must fail.
fn refused<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("accepted"),
        Err(error) => match error.hint_text() {
            Some(hint) => format!("{error} [{hint}]"),
            None => error.to_string(),
        },
    }
}
