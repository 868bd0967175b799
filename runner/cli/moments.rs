//! Moments as people say them.

use std::time::{SystemTime, UNIX_EPOCH};

/// How long ago a moment is, coarsely: `3 h ago`.
pub(super) fn ago(unix_ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let seconds = now.saturating_sub(u128::from(unix_ms)) / 1000;
    let units = [("d", 86_400), ("h", 3_600), ("min", 60)];
    match units.into_iter().find(|(_, unit)| seconds >= *unit) {
        Some((name, unit)) => format!("{} {name} ago", seconds / unit),
        None => "just now".to_owned(),
    }
}
