#!/usr/bin/env bash
# Instructions per forwarded packet, by callgrind: the same program with two numbers of bursts; the difference is what the bursts between
# them cost. Valgrind 3.19 knows neither VAES nor AVX-512, so that crypto runs on other code than in reality: its instructions are printed
# apart and say nothing about its time.
#
#   bench/instructions.sh [subscribers] [bytes] [m-lines]     without arguments: the rows of docs/benchmarks.md
set -euo pipefail
cd "$(dirname "$0")/.."
few=50 many=200 burst=8
binary=${BENCH_BINARY:-target/release/bench}
[ -n "${BENCH_BINARY:-}" ] || cargo build --release -q -p bench
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

count() { # subscribers bytes m-lines bursts
  local file=$out/$1-$2-$3-$4
  valgrind --tool=callgrind --callgrind-out-file="$file" --collect-atstart=no --toggle-collect='*measured_burst*' \
    "$binary" --instructions "$1" "$2" "$3" "$4" >"$file.log" 2>&1 || { cat "$file.log" >&2; exit 1; }
  # Every function with its own instructions.
  callgrind_annotate --threshold=100 --auto=no --show-percs=no "$file" 2>/dev/null |
    sed -n 's/^ *\([0-9,]\{1,\}\) \{1,\}\(.*\)$/\1 \2/p' | sed 's/^\([0-9]*\),\([0-9]*\),*\([0-9]*\),*\([0-9]*\)/\1\2\3\4/' >"$file.functions"
}

row() { # subscribers bytes m-lines
  count "$1" "$2" "$3" $few
  count "$1" "$2" "$3" $many
  awk -v packets=$(((many - few) * burst * $1)) -v name="$2 B, $1 subscribers, $3 m-lines" '
    /PROGRAM TOTALS|=>|events annotated/ { next }
    {
      instructions = $1; $1 = ""
      group = /\/aws-lc\/|aws_lc_/ ? "crypto" : "rest"
      if (FILENAME ~ /-'$few'\.functions$/) instructions = -instructions
      sum[group] += instructions
    }
    END { printf "%-40s %8.0f %12.0f\n", name, sum["rest"] / packets, sum["crypto"] / packets }
  ' "$out/$1-$2-$3-$few.functions" "$out/$1-$2-$3-$many.functions"
  if [ -n "${TOP:-}" ]; then
    sort -rn "$out/$1-$2-$3-$many.functions" | awk -v packets=$((many * burst * $1)) '
      /PROGRAM TOTALS|=>|events annotated/ { next } { n = $1; $1 = ""; printf "  %8.1f %s\n", n / packets, $0 } ++lines == '"$TOP"' { exit }'
  fi
}

printf '%-40s %8s %12s\n' 'instructions per forwarded packet' 'all but' 'crypto, AVX2'
if [ $# -gt 0 ]; then
  row "${1:-20}" "${2:-1200}" "${3:-1}"
else
  for bytes in 1200 100; do
    for subscribers in 1 10; do row $subscribers $bytes 1; done
    row 10 $bytes 50
  done
  row 100 1200 1
fi
