#!/bin/sh
# Usage: check-clang-tidy.sh BUILD-FOLDER. Every C file that is compiled there, with
# the checks of .clang-tidy in its folder or above.
set -eu
sed -n 's/^ *"file": "\(.*\.c\)",*$/\1/p' "$1/compile_commands.json" | sort -u |
    xargs -P "$(nproc)" -n 1 clang-tidy --quiet -p "$1" \
        --extra-arg=-Wno-unknown-warning-option 2>/dev/null
