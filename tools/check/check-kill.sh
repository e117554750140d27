#!/bin/sh
# A test signals the one process that it means: kill(-1) would reach every process of the
# machine, and -1 is what looking up a process gives that is not there.
set -eu
if grep -nP '(?<![\w>.])kill\((?!\)|getpid\(\),|getppid\(\),|0,|-get|-group,|pid, signal\))' \
    $(find tests -name '*.[ch]'); then
    echo 'use test_kill() of support/check.h'
    exit 1
fi
