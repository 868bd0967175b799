//! Moments as people say them.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01 UTC.
pub(super) fn unix_ms_now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

/// How long ago a moment is, coarsely: `3 h ago`.
pub(super) fn ago(unix_ms: u64) -> String {
    let seconds = unix_ms_now().saturating_sub(unix_ms) / 1000;
    let units = [("d", 86_400), ("h", 3_600), ("min", 60)];
    match units.into_iter().find(|(_, unit)| seconds >= *unit) {
        Some((name, unit)) => format!("{} {name} ago", seconds / unit),
        None => "just now".to_owned(),
    }
}

/// A moment as log files have it, in UTC: `2026-11-22 23:54:09.401`.
pub(super) fn in_log(unix_ms: u64) -> String {
    let (seconds, milliseconds) = (unix_ms / 1000, unix_ms % 1000);
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{milliseconds:03}")
}

/// Year, month and day of a day since 1970-01-01.
fn date(day: u64) -> (u64, u64, u64) {
    // Counted from 0000-03-01, so that the day that some years have more is the last one of a year. A cycle of the
    // calendar is 400 years.
    let day = day + 719_468;
    let (cycle, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // From March on the lengths of months repeat after five: 31, 30, 31, 30, 31.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    (cycle * 400 + year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        // Days since 1970-01-01 as `date -u -d DAY +%s` gives them, divided by 86,400.
        for (text, day) in [
            ("1970-01-01", 0),
            ("1999-12-31", 10_956),
            ("2000-02-29", 11_016),
            ("2000-03-01", 11_017),
            ("2023-02-28", 19_416),
            ("2024-02-29", 19_782),
            ("2026-11-22", 20_779),
            ("2100-03-01", 47_541),
        ] {
            assert_eq!(in_log(day * 86_400_000), format!("{text} 00:00:00.000"));
        }
        assert_eq!(in_log(20_779 * 86_400_000 + 86_049_401), "2026-11-22 23:54:09.401");
    }
}
