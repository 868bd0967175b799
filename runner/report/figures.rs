//! Figures derived from times, and how quantities are written for people.

use astra_engine::Nanos;
use astra_policy::Collective;

/// Bus bandwidth of a collective in bytes per second: the bandwidth each link would need, were the algorithm
/// ideal, as the NCCL tests define it. Total bytes × factor ÷ time, where the factor is 2(N−1)/N for an
/// all-reduce and (N−1)/N for the others, and the total of an all-gather is N times what one rank contributes.
/// `None` for one rank, where nothing crosses a link.
pub fn bus_bandwidth(collective: Collective, ranks: u32, size_bytes: u64, time: Nanos) -> Option<f64> {
    if ranks < 2 || time.0 == 0 {
        return None;
    }
    let n = f64::from(ranks);
    let total = match collective {
        Collective::AllGather => size_bytes as f64 * n,
        _ => size_bytes as f64,
    };
    let factor = match collective {
        Collective::AllReduce => 2.0 * (n - 1.0) / n,
        _ => (n - 1.0) / n,
    };
    Some(total * factor / (time.0 as f64 * 1e-9))
}

/// Nanoseconds with the unit that keeps the number readable; always exact in text of less than a millisecond.
pub fn format_nanos(time_ns: u64) -> String {
    let ns = time_ns as f64;
    match time_ns {
        0..1_000 => format!("{time_ns} ns"),
        1_000..1_000_000 => format!("{:.3} us", ns / 1e3),
        1_000_000..1_000_000_000 => format!("{:.3} ms", ns / 1e6),
        _ => format!("{:.3} s", ns / 1e9),
    }
}

/// Bytes per second in decimal gigabytes, as link and bus bandwidths are quoted.
pub fn format_bandwidth(bytes_per_s: f64) -> String {
    format!("{:.2} GB/s", bytes_per_s / 1e9)
}

/// Bytes with binary prefixes.
pub fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bus_bandwidth_counts_what_crosses_the_links() {
        let one_second = Nanos(1_000_000_000);
        let of = |c| bus_bandwidth(c, 4, 1_000, one_second);
        assert_eq!(of(Collective::AllReduce), Some(1_500.0));
        assert_eq!(of(Collective::ReduceScatter), Some(750.0));
        assert_eq!(of(Collective::AllToAll), Some(750.0));
        assert_eq!(of(Collective::AllGather), Some(3_000.0));
        assert_eq!(bus_bandwidth(Collective::AllReduce, 1, 1_000, one_second), None);
    }

    #[test]
    fn quantities_are_written_with_a_readable_unit() {
        assert_eq!(format_nanos(999), "999 ns");
        assert_eq!(format_nanos(57_426), "57.426 us");
        assert_eq!(format_nanos(1_234_567), "1.235 ms");
        assert_eq!(format_bytes(1 << 20), "1.0 MiB");
        assert_eq!(format_bytes(17), "17 B");
    }
}
