#!/bin/sh
# Usage: check-cppcheck.sh BUILD-FOLDER. One report is left out, which takes what a call
# fills through a pointer in a struct for unset: gcc and clang look for that too. In
# tests and benchmarks also leaks, which end with their process.
set -eu
exec cppcheck --project="$1/compile_commands.json" --quiet --error-exitcode=1 \
    --enable=warning,performance,portability --inline-suppr -j "$(nproc)" \
    -D__"$(uname -m)"__=1 --suppress=uninitvar --suppress='*:/usr/include/*' \
    --suppress='memleak:*tests/*' --suppress='memleak:*bench/*' \
    --suppress='leakNoVarFunctionCall:*bench/*'
