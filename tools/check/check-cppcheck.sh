#!/bin/sh
# Usage: check-cppcheck.sh BUILD-FOLDER. Tests and benchmarks are left out, which do
# harm and leak on purpose; and one report, which takes what a call fills through a
# pointer in a struct for unset: gcc and clang look for that too.
set -eu
exec cppcheck --project="$1/compile_commands.json" --quiet --error-exitcode=1 \
    --enable=warning,performance,portability --inline-suppr -j "$(nproc)" \
    -D__"$(uname -m)"__=1 --suppress=uninitvar --suppress='*:/usr/include/*' \
    -i"$PWD/tests" -i"$PWD/bench"
