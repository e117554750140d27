#!/bin/sh
# Usage: check-cppcheck.sh BUILD-FOLDER. Two of its reports are left out: it takes
# what a call fills through a pointer in a struct for unset, and gcc and clang look
# for that too; and a test that gives up leaks.
set -eu
exec cppcheck --project="$1/compile_commands.json" --quiet --error-exitcode=1 \
    --enable=warning,performance,portability --inline-suppr -j "$(nproc)" \
    -D__"$(uname -m)"__=1 --suppress=uninitvar --suppress='memleak:*/tests/*' \
    --suppress='*:/usr/include/*'
