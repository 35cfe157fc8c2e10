#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time each, with progress.
set -euo pipefail
time=${1:-20s}
mapfile -t targets < <(grep -rl --include='*_test.go' -E '^func Fuzz' internal api cmd | xargs -n1 dirname | sort -u | while read -r d; do
  grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$d"/*_test.go | awk -v d="$d" '{print d" "$2}'
done)
i=0
for t in "${targets[@]}"; do
  i=$((i + 1))
  read -r dir name <<<"$t"
  echo "[$i/${#targets[@]}] $dir $name ($time)"
  go test "./$dir" -run '^$' -fuzz "^$name\$" -fuzztime "$time" | grep -vE '^(fuzz: elapsed|PASS)' || exit 1
done
echo "${#targets[@]} fuzz targets, no crash"
