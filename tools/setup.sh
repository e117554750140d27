#!/bin/sh
# Install what is missing from Debian's packages. Asks nothing, and does nothing
# where nothing is missing. Who may not install, or has no Debian, is told the names.
#
#   tools/setup.sh build    what the library, the command and the examples need
#   tools/setup.sh check    and what the checks need
#   tools/setup.sh bench    and the rivals of the benchmarks
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

# One word a need; a|b: the first that this Debian has.
build='make gcc g++ libc6-dev cmake ninja-build pkg-config|pkgconf
    libhwloc-dev libdw-dev libcmocka-dev libseccomp-dev libsodium-dev
    zlib1g-dev libssl-dev libstb-dev'
check='clang clang-format clang-tidy cppcheck libclang-rt-dev|libclang-rt-14-dev
    git spin binutils util-linux parallel bash-completion'
bench='parallel python3 python3-mpi4py xz-utils libomp-dev|libomp-14-dev libtbb-dev
    libboost-dev libck-dev libzmq3-dev libnng-dev
    openmpi-bin libopenmpi-dev wrk nginx-light'

case ${1-build} in
build) needs=$build ;;
check) needs="$build $check" ;;
bench) needs="$build $bench" ;;
*)
    echo 'usage: tools/setup.sh [build|check|bench]' >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "setup: not a Debian system: muster needs, by their names there:" $needs
    exit 0
fi

is_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# The package of one need that is to be installed: nothing when one is there.
# Returns 1 when apt knows none of them.
choose() {
    names=$(echo "$1" | tr '|' ' ')
    for name in $names; do
        if is_installed "$name"; then return 0; fi
    done
    for name in $names; do
        if apt-cache show "$name" >/dev/null 2>&1; then
            echo "$name"
            return 0
        fi
    done
    return 1
}

# Sets $missing, the packages to install, and $unknown, needs apt cannot meet.
look() {
    missing=
    unknown=
    for need in $needs; do
        if name=$(choose "$need"); then
            missing="$missing${name:+ $name}"
        else
            unknown="$unknown $need"
        fi
    done
}

look
if [ -z "$missing$unknown" ]; then exit 0; fi

as_root=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        # which may be of tests or examples alone: CMake says what it cannot do without
        echo "setup: missing, and neither root nor sudo to install it:$missing$unknown" >&2
        exit 0
    fi
    as_root='sudo DEBIAN_FRONTEND=noninteractive'
fi

update() {
    echo 'setup: apt-get update'
    $as_root apt-get update -qq </dev/null
}

install() {
    echo "setup: apt-get install$missing"
    $as_root apt-get install -qq -y --no-install-recommends $missing \
        </dev/null >"$log" 2>&1
}

if [ -n "$unknown" ]; then
    update
    look
    if [ -n "$unknown" ]; then
        echo "setup: this system's package lists have no$unknown" >&2
        exit 1
    fi
    updated=yes
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Lists that are old name files that are gone: then once more with new ones.
if ! install && { [ -n "${updated-}" ] || ! update || ! install; }; then
    tail -n 20 "$log" >&2
    exit 1
fi
