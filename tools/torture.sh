#!/bin/sh
# torture.sh BUILD: every deed with 10,000 innocent tasks around it, a minute of
# random kills, and the rest of the tests of isolation.
set -eu
build=$1
TORTURE_TASKS=${TORTURE_TASKS:-10000} TORTURE_SECONDS=${TORTURE_SECONDS:-60} \
    "$build/tests/test_chaos_deeds"
for name in lies supervisor host limits steps; do
    "$build/tests/test_chaos_$name"
done
