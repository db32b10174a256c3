#!/usr/bin/env bash
# Fuzzes every decoder for so many seconds each, from the committed corpus. Stops at the first finding.
set -euo pipefail
cd "$(dirname "$0")/../services/protocol/fuzz"
seconds="${1:-20}"
cache="${WHARF_CACHE:-$HOME/.cache/wharf}"
export PATH="$cache/tools/bin:$PATH"
command -v cargo-fuzz > /dev/null ||
    cargo install --locked --root "$cache/tools" --target-dir "$cache/tools-target" cargo-fuzz
# The sanitizer ships with the stable compiler, behind this switch.
export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$cache/fuzz-target"
passed=0
for target in $(sed -n 's/^path = "fuzz_targets\/\(.*\)\.rs"/\1/p' Cargo.toml); do
    # What is found on the way stays out of the checkout.
    found="$cache/fuzz-corpus/$target"
    mkdir -p "$found" "$cache/fuzz-artifacts"
    cargo fuzz run --fuzz-dir . --target "$(rustc -vV | sed -n 's/^host: //p')" "$target" "$found" "corpus/$target" -- \
        -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 \
        -artifact_prefix="$cache/fuzz-artifacts/$target-" 2>&1 |
        sed -n "s/^Done/$target: done/p; /ERROR/p; /SUMMARY/p; /panicked/,+3p"
    passed=$((passed + 1))
done
echo "$passed passed, 0 failed"
