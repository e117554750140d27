#!/bin/sh
# Everything that is a check: four builds with their tests, and last the release
# build, whose tests include the static checks. Stops at the first that fails; its
# summary is then the last thing printed.
set -eu
cd "$(dirname "$0")/../.."

tools/setup.sh check
jobs=$(nproc)

build() { # preset
    echo "== $1: build"
    mkdir -p build
    if ! cmake --preset "$1" >"build/$1.log" 2>&1 ||
        ! cmake --build --preset "$1" >"build/$1.log" 2>&1; then
        cat "build/$1.log"
        exit 1
    fi
}

run_tests() { # preset
    echo "== $1: tests"
    ctest --preset "$1" -j "$jobs" --no-tests=error
}

for preset in clang asan tsan; do
    build "$preset"
    run_tests "$preset"
done
build release
run_tests release
