#!/usr/bin/env bash
# Every suite: those whose browsers keep both cores busy one after the other, the
# others two at a time. all.sh [REPORTER]
set -uo pipefail
cd "$(dirname "$0")"
light='/(access|moderation|outage|owner|pages)\.test'
mapfile -t busy < <(ls tests/*.test.mjs | grep -Ev "$light")
mapfile -t idle < <(ls tests/*.test.mjs | grep -E "$light")
run=(node --test "--test-reporter=${1:-spec}")
failed=0
"${run[@]}" --test-concurrency=1 "${busy[@]}" || failed=1
"${run[@]}" --test-concurrency=2 "${idle[@]}" || failed=1
exit "$failed"
