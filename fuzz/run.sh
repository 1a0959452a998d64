#!/usr/bin/env bash
# Runs every fuzz target for a bounded time and fails when one of them finds a crash.
#
#   fuzz/run.sh SECONDS_PER_TARGET [TARGET...]
#
# Found inputs are kept in fuzz/corpus/TARGET (not in git), beginnings are in fuzz/seeds/TARGET (in git).
# A crash lies in fuzz/artifacts/TARGET; it becomes a test before it is mended.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds="${1:?usage: fuzz/run.sh SECONDS_PER_TARGET [TARGET...]}"
shift
if [ "$#" -gt 0 ]; then
    targets=("$@")
else
    mapfile -t targets < <(cargo +nightly fuzz list)
fi

cargo +nightly fuzz build --release

failed=()
number=0
for target in "${targets[@]}"; do
    number=$((number + 1))
    echo "[$number/${#targets[@]}] $target: ${seconds} s"
    mkdir -p "fuzz/corpus/$target"
    directories=("fuzz/corpus/$target")
    [ -d "fuzz/seeds/$target" ] && directories+=("fuzz/seeds/$target")
    log="$(mktemp)"
    # A parser that takes seconds for one input is a crash too (a shared machine may take one).
    if cargo +nightly fuzz run --release "$target" "${directories[@]}" -- \
        "-max_total_time=$seconds" -timeout=5 -rss_limit_mb=1024 -max_len=4096 -print_final_stats=1 >"$log" 2>&1; then
        grep -E 'stat::number_of_executed_units|stat::peak_rss_mb' "$log" | sed 's/^stat::/    /' || true
    else
        tail -n 60 "$log"
        failed+=("$target")
    fi
    rm -f "$log"
done

if [ "${#failed[@]}" -gt 0 ]; then
    echo "crashed: ${failed[*]}"
    exit 1
fi
echo "all ${#targets[@]} targets ran without a crash"
