//! Numbers as ASTRA-sim's configuration files write them.

/// The value rounded to `digits` decimals, ties to even on the exact value.
pub(super) fn rounded(value: f64, digits: usize) -> f64 {
    format!("{value:.digits$}").parse().expect("a formatted float is a float")
}

/// Shortest text that reads back as the value, always with `.0` or a two-digit exponent (`100.0`, `1e-06`).
pub(super) fn float(value: f64) -> String {
    let text = format!("{value:?}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{}e{sign}{digits:0>2}", mantissa.strip_suffix(".0").unwrap_or(mantissa))
}

/// Six significant digits without trailing zeros, as C's `%g` prints a fraction between 0 and 1.
pub(super) fn general(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{value:.5e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a small integer");
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < -4 {
        return format!("{}e-{:02}", trim(mantissa), -exponent);
    }
    let decimals = usize::try_from(5 - exponent).unwrap_or(0);
    trim(&format!("{value:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_always_look_like_floats() {
        for (value, text) in [
            (100.0, "100.0"),
            (93.132257, "93.132257"),
            (1e-6, "1e-06"),
            (9.5e-7, "9.5e-07"),
            (0.0001, "0.0001"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0, "0.0"),
        ] {
            assert_eq!(float(value), text);
            assert_eq!(text.parse::<f64>().unwrap(), value);
        }
    }

    #[test]
    fn a_health_has_six_significant_digits() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.5, "0.5"),
            (0.123456789, "0.123457"),
            (0.9999999, "1"),
            (0.00012345678, "0.000123457"),
            (0.000012345678, "1.23457e-05"),
            (1e-10, "1e-10"),
        ] {
            assert_eq!(general(value), text);
        }
    }

    #[test]
    fn rounding_is_to_even_on_the_exact_value() {
        assert_eq!(rounded(0.0000005, 6), 0.0);
        assert_eq!(rounded(0.125, 2), 0.12);
        assert_eq!(rounded(93.132_257_461_547_85, 6), 93.132257);
    }
}
