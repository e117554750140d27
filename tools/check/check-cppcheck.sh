#!/bin/sh
# Usage: check-cppcheck.sh BUILD-FOLDER
set -eu
exec cppcheck --project="$1/compile_commands.json" --quiet --error-exitcode=1 \
    --enable=warning,performance,portability --inline-suppr -j "$(nproc)" \
    --suppress='*:/usr/include/*'
