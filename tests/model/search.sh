#!/bin/sh
# Usage: search.sh MODEL.pml [-DBUG_...]
# Search all interleavings of a model; prints spin's count of errors. Works in the
# current folder.
set -eu
model=$1
shift
spin -a "$@" "$model"
${CC:-cc} -O2 -w -DSAFETY -DNOREDUCE -o pan pan.c
./pan -m1000000
