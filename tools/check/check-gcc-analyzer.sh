#!/bin/sh
# gcc's own path analysis of the library. Its leak reports are left out: gcc 12
# takes a pointer stored in an array of pointers for lost.
set -eu
find src -name '*.c' | sort | xargs -P "$(nproc)" -I{} gcc -std=gnu17 \
    -D_GNU_SOURCE '-DMUSTER_HWLOC="hwloc"' '-DMUSTER_LIBDW="dw"' \
    '-DMUSTER_SECCOMP="seccomp"' '-DMUSTER_SODIUM="sodium"' -O1 -Iinclude -Isrc -Werror -fanalyzer \
    -Wno-analyzer-malloc-leak -c -o /dev/null {}
