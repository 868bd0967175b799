//! Quantities as people write them in a recipe: sizes in bytes, times in nanoseconds.
//!
//! `MB` is 10^6 and `MiB` is 2^20 here. The unit rule inside a hardware YAML is another one (there `GB` is 2^30) and
//! lives with its reader. Depends on the engine's units; knows nothing of documents and key paths.

use std::time::Duration;

use astra_engine::{Bytes, Nanos};

/// The largest size and time: traces hold both as signed 64-bit integers.
pub const MAX_QUANTITY: u64 = i64::MAX as u64;

/// What a size may look like; for error messages and documentation.
pub const SIZE_FORMS: &str = "a whole number of bytes, or text such as \"64 MiB\" (B, KiB, MiB, GiB, TiB: powers of 1024; kB, MB, GB, TB: powers of 1000)";

/// What a time may look like; for error messages and documentation.
pub const TIME_FORMS: &str = "a whole number of nanoseconds, or text such as \"5 us\" (ns, us, ms, s)";

/// What a span of calendar time may look like; for error messages and documentation.
pub const SPAN_FORMS: &str = "a whole number of seconds, or text such as \"12h\" (s, min, h, d, w)";

/// Why a text is no quantity: the message, and the unit that was probably meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAQuantity {
    /// A lower-case fragment that names what was found.
    pub message: String,
    /// What to write instead, where that can be guessed.
    pub hint: Option<String>,
}

const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

const TIME_UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
];

const SPAN_UNITS: &[(&str, u64)] =
    &[("s", 1), ("min", 60), ("h", 3_600), ("d", 24 * 3_600), ("w", 7 * 24 * 3_600)];

/// Reads `90 min`, `12h`, `7d`, `0`, as people say how long something has been lying about.
///
/// # Errors
/// When the number or the unit is not one of [`SPAN_FORMS`], or is not a whole number of seconds.
pub fn parse_span(text: &str) -> Result<Duration, NotAQuantity> {
    quantity(text, SPAN_UNITS, "seconds", SPAN_FORMS).map(Duration::from_secs)
}

/// Reads `64 MiB`, `1.5 GB`, `4096`. A fraction is fine as long as the result is a whole number of bytes.
///
/// # Errors
/// When the number or the unit is not one of [`SIZE_FORMS`], is not whole, or is above [`MAX_QUANTITY`].
pub fn parse_size(text: &str) -> Result<Bytes, NotAQuantity> {
    quantity(text, SIZE_UNITS, "bytes", SIZE_FORMS).map(Bytes)
}

/// Reads `500 ns`, `1.5 us`, `2 ms`, `1 s`, `250`. A fraction is fine as long as the result is a whole number of ns.
///
/// # Errors
/// When the number or the unit is not one of [`TIME_FORMS`], is not whole, or is above [`MAX_QUANTITY`].
pub fn parse_time(text: &str) -> Result<Nanos, NotAQuantity> {
    quantity(text, TIME_UNITS, "ns", TIME_FORMS).map(Nanos)
}

/// The shortest exact form of a time: `5 us`, `1500 ns`. [`parse_time`] reads it back.
pub fn time_text(time: Nanos) -> String {
    let (unit, factor) = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)]
        .into_iter()
        .find(|(_, factor)| time.0 != 0 && time.0.is_multiple_of(*factor))
        .unwrap_or(("ns", 1));
    format!("{} {unit}", time.0 / factor)
}

/// Splits number and unit and multiplies exactly: decimal digits are never rounded through a float.
fn quantity(text: &str, units: &[(&str, u64)], base: &str, forms: &str) -> Result<u64, NotAQuantity> {
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = (&trimmed[..split], trimmed[split..].trim_start());
    let (digits, decimals) = decimal(number)
        .ok_or_else(|| NotAQuantity { message: format!("`{text}` is not {forms}"), hint: None })?;
    let factor = match units.iter().find(|(name, _)| *name == unit) {
        Some((_, factor)) => *factor,
        None if unit.is_empty() => 1,
        None => return Err(unknown_unit(text, unit, units, forms)),
    };
    let too_large = || {
        let message = format!("`{text}` is more than {MAX_QUANTITY} {base}");
        NotAQuantity { message, hint: None }
    };
    let digits: u128 = digits.parse().map_err(|_| too_large())?;
    let scale = 10u128.checked_pow(decimals).ok_or_else(too_large)?;
    let scaled = digits.checked_mul(u128::from(factor)).ok_or_else(too_large)?;
    if scaled % scale != 0 {
        let message = format!("`{text}` is not a whole number of {base}");
        return Err(NotAQuantity { message, hint: None });
    }
    u64::try_from(scaled / scale).ok().filter(|value| *value <= MAX_QUANTITY).ok_or_else(too_large)
}

/// `12.50` as digits `1250` and 2 decimals; nothing when it is not plain decimal notation.
fn decimal(number: &str) -> Option<(String, u32)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    Some((format!("{whole}{fraction}"), u32::try_from(fraction.len()).ok()?))
}

fn unknown_unit(text: &str, unit: &str, units: &[(&str, u64)], forms: &str) -> NotAQuantity {
    let message = format!("unknown unit `{unit}` in `{text}`, expected {forms}");
    let same_letters = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
    let with_byte = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(&format!("{unit}iB")));
    let hint = same_letters.or(with_byte).map(|(name, _)| format!("did you mean `{name}`?"));
    NotAQuantity { message, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: &str) -> u64 {
        parse_size(text).unwrap().0
    }

    fn time(text: &str) -> u64 {
        parse_time(text).unwrap().0
    }

    #[test]
    fn mb_is_a_power_of_1000_and_mib_of_1024() {
        assert_eq!(size("64 MiB"), 64 << 20);
        assert_eq!(size("64 MB"), 64_000_000);
        assert_eq!(size("1 kB"), 1_000);
        assert_eq!(size("1 KB"), 1_000);
        assert_eq!(size("1 KiB"), 1_024);
        assert_eq!(size("2 TiB"), 2 << 40);
        assert_eq!(size("7 B"), 7);
    }

    #[test]
    fn blanks_are_optional_and_no_unit_means_the_base_unit() {
        assert_eq!(size("64MiB"), 64 << 20);
        assert_eq!(size("  4096 "), 4096);
        assert_eq!(time("250"), 250);
    }

    #[test]
    fn fractions_are_exact_or_refused() {
        assert_eq!(size("1.5 KiB"), 1536);
        assert_eq!(size("0.1 MB"), 100_000);
        assert_eq!(size("1.0000 B"), 1);
        assert_eq!(time("0.5 us"), 500);
        assert_eq!(parse_size("0.1 KiB").unwrap_err().message, "`0.1 KiB` is not a whole number of bytes");
        assert_eq!(parse_time("0.5 ns").unwrap_err().message, "`0.5 ns` is not a whole number of ns");
    }

    #[test]
    fn times_know_ns_us_ms_s_and_both_micro_signs() {
        assert_eq!(time("500 ns"), 500);
        assert_eq!(time("5 us"), 5_000);
        assert_eq!(time("5 \u{b5}s"), 5_000);
        assert_eq!(time("5 \u{3bc}s"), 5_000);
        assert_eq!(time("1 ms"), 1_000_000);
        assert_eq!(time("2 s"), 2_000_000_000);
    }

    #[test]
    fn spans_reach_from_seconds_to_weeks() {
        let seconds = |text: &str| parse_span(text).unwrap().as_secs();
        assert_eq!(["0", "90 min", "1.5h", "7d", "2w"].map(seconds), [0, 5_400, 5_400, 604_800, 1_209_600]);
        assert!(parse_span("3 months").unwrap_err().message.contains("s, min, h, d, w"));
    }

    #[test]
    fn an_unknown_unit_lists_what_is_accepted_and_guesses() {
        let e = parse_size("64 mib").unwrap_err();
        assert!(e.message.starts_with("unknown unit `mib` in `64 mib`, expected "), "{}", e.message);
        assert!(e.message.contains("MiB"), "{}", e.message);
        assert_eq!(e.hint.as_deref(), Some("did you mean `MiB`?"));
        assert_eq!(parse_size("64 M").unwrap_err().hint.as_deref(), Some("did you mean `MiB`?"));
        assert_eq!(parse_size("1 parsec").unwrap_err().hint, None);
        assert!(parse_time("1 min").unwrap_err().message.contains("ns, us, ms, s"));
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for text in ["", "MiB", "-1 MiB", "1..5 KiB", ".5 KiB", "1. KiB", "+1", "1,5 MiB", "NaN"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_beyond_64_bits_are_refused_without_a_panic() {
        assert_eq!(size("9223372036854775807"), i64::MAX as u64);
        let long = "9".repeat(400);
        let precise = format!("0.{}1 TiB", "0".repeat(200));
        for text in ["9223372036854775808", "18446744073709551616 TiB", "9000000 TiB", &long, &precise] {
            assert!(parse_size(text).unwrap_err().message.contains("is more than"), "{text}");
        }
    }

    #[test]
    fn a_time_prints_so_that_it_reads_back() {
        for ns in [0, 999, 5_000, 1_000_000, 60_000_000_000] {
            assert_eq!(time(&time_text(Nanos(ns))), ns);
        }
        assert_eq!(time_text(Nanos(5_000)), "5 us");
    }
}
