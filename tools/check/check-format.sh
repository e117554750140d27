#!/bin/sh
# Every C file is as clang-format would write it.
set -eu
find include src cli bench tests examples -name '*.[ch]' 2>/dev/null |
    xargs clang-format --dry-run -Werror
