#!/bin/sh
# Runs every fuzz target for some seconds each (default 30): fuzz/run.sh [SECONDS]
# Needs a nightly compiler and cargo-fuzz; without them nothing runs, it says so, and that is no failure.
set -eu
cd "$(dirname "$0")"
seconds=${1:-30}
skip() {
    echo "SKIPPED: no fuzz target was run: $1" >&2
    exit 0
}
cargo +nightly --version >/dev/null 2>&1 || skip "there is no nightly compiler (rustup toolchain install nightly)"
cargo +nightly fuzz --version >/dev/null 2>&1 || skip "there is no cargo-fuzz (cargo install cargo-fuzz)"
for target in $(cargo +nightly fuzz list); do
    echo "fuzzing $target for $seconds s" >&2
    cargo +nightly fuzz run "$target" -- -max_total_time="$seconds" -rss_limit_mb=2048
done
