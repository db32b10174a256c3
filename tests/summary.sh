#!/usr/bin/env bash
# Runs one group of tests and keeps its count (`run NAME COMMAND...`), or sums the groups up.
set -euo pipefail
results="${WHARF_CACHE:-$HOME/.cache/wharf}/results"

if [ "${1:-}" = run ]; then
    name="$2"
    shift 2
    mkdir -p "$results"
    log="$results/$name.log"
    status=0
    "$@" 2>&1 | tee "$log" || status=$?
    # Of cargo each binary has a closing line, of our own runners the last one is the sum.
    if grep -q '^test result:' "$log"; then
        sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed; \([0-9]*\) ignored.*/\1 \2 \3/p' "$log" |
            awk '{ p += $1; f += $2; s += $3 } END { print p, f, s }' > "$results/$name.count"
    else
        sed -n 's/^\(.*: \)\{0,1\}\([0-9]*\) passed, \([0-9]*\) failed.*/\2 \3 0/p' "$log" | tail -n 1 > "$results/$name.count"
    fi
    exit "$status"
fi

cat "$results"/*.count | awk '{ p += $1; f += $2; s += $3 } END { printf "%d passed, %d failed, %d skipped\n", p, f, s }'
