#!/usr/bin/env bash
# Copies what fuzzing found interesting from the build cache into testdata/fuzz,
# a dozen small inputs a target at the most, so that plain `go test` replays them.
set -euo pipefail
cache=$(go env GOCACHE)/fuzz/$(go list -m)
most=${1:-12}
find "$cache" -mindepth 1 -type d -name 'Fuzz*' | while read -r d; do
  rel=${d#"$cache"/}
  pkg=$(dirname "$rel")
  [ -d "$pkg" ] || continue
  out=$pkg/testdata/fuzz/$(basename "$rel")
  mkdir -p "$out"
  find "$d" -type f -size -3k -printf '%s %p\n' | sort -rn | awk '{print $2}' | awk -v most="$most" '{a[NR]=$0} END{step=NR>most?NR/most:1; for(i=1;i<=NR;i+=step) print a[int(i)]}' |
    while read -r f; do cp -n "$f" "$out/"; done
done
