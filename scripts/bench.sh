#!/bin/sh
# make bench: see docs/benchmarks.md and scripts/bench/doc.go.
cd "$(dirname "$0")/.." || exit 1
exec go run ./scripts/bench "$@"
