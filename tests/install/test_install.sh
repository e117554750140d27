#!/bin/sh
# test_install.sh BUILD-FOLDER SOURCE-FOLDER: what `make install` leaves is found by
# pkg-config and by CMake, from C and from C++, and works after it was moved.
set -eu
build=$1
source=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
export LC_ALL=C XDG_CACHE_HOME="$scratch/cache"

fail() {
    echo "FAILED: $*"
    exit 1
}

# What was installed can be taken away, and nothing else is.
mkdir -p away/usr/lib
touch away/usr/lib/of-others
DESTDIR=$scratch/away cmake --install "$build" --prefix /usr >install.log ||
    { cat install.log; fail 'cmake --install'; }
if [ -x away/usr/bin/muster ] && [ ! -f away/usr/share/zsh/vendor-completions/_muster ]; then
    fail "Debian's zsh does not find its completion"
fi
make -s -C "$source" uninstall BUILD="$build" DESTDIR="$scratch/away" || fail 'make uninstall'
left=$(cd away && find . ! -type d; find . -path '*/muster')
[ "$left" = ./usr/lib/of-others ] || fail "make uninstall left $left"

# Into a DESTDIR, then moved: nothing may remember where it was.
DESTDIR=$scratch/stage cmake --install "$build" --prefix /opt/somewhere >install.log ||
    { cat install.log; fail 'cmake --install'; }
mv stage/opt/somewhere prefix
prefix=$scratch/prefix
lib=$(dirname "$(find "$prefix" -name libmuster.so)")
# The name that programs ask for has the minor version, whose structures they know.
readelf -d "$lib/libmuster.so" | grep -q 'SONAME.*libmuster\.so\.[0-9]*\.[0-9]*\]' ||
    fail 'the soname has no minor version'
grep -rIl "$scratch\|$build" "$prefix" --include='*.pc' --include='*.cmake' &&
    fail 'installed files name the build folder'

for file in include/muster/muster.h share/doc/muster/LICENSE share/man/man3/mu_pool_open.3 \
    share/man/man3/mu_fork.3 share/man/man3/mu_team_enter.3 \
    share/man/man3/MU_LOOP.3 share/man/man3/muster.3; do
    [ -f "$prefix/$file" ] || fail "$file is not installed"
done
grep -rl 'MUI_\|mui_' "$prefix/share/man/man3" && fail 'the manual shows the inside'

printf 'a\nb\nc\n' >three
# ... and is bound at once, not anew in each worker.
check_run() { # PROGRAM
    readelf -d "$1" | grep -qw NOW || fail "$1 is bound lazily"
    for model in serial threads processes; do
        got=$(LD_LIBRARY_PATH=$lib "$1" "$model" three) || fail "$1 $model"
        [ "$got" = '       3 three' ] || fail "$1 $model printed '$got'"
    done
}

export PKG_CONFIG_PATH="$lib/pkgconfig"
cp "$source/examples/lines.c" lines.c
cp lines.c lines.cc
flags=$(pkg-config --cflags --libs muster)
cc -std=c99 -Wall -Wextra -Werror lines.c -o by-pkg-c $flags
c++ -std=c++11 -Wall -Wextra -Werror lines.cc -o by-pkg-cxx $flags
check_run ./by-pkg-c
check_run ./by-pkg-cxx

mkdir package
cat >package/CMakeLists.txt <<'EOF'
cmake_minimum_required(VERSION 3.20)
project(user LANGUAGES C CXX)
find_package(muster 0.1 REQUIRED)
add_executable(by-cmake-c ../lines.c)
target_link_libraries(by-cmake-c muster::muster)
add_executable(by-cmake-cxx ../lines.cc)
target_link_libraries(by-cmake-cxx muster::muster)
EOF
cmake -S package -B out -DCMAKE_PREFIX_PATH="$prefix" >cmake.log 2>&1 &&
    cmake --build out >>cmake.log 2>&1 || { cat cmake.log; fail 'CMake package'; }
check_run out/by-cmake-c
check_run out/by-cmake-cxx

# The command finds its library and its headers without being told, and shells how it is
# completed.
if [ -x "$prefix/bin/muster" ]; then
    for file in bash-completion/completions/muster zsh/site-functions/_muster \
        fish/vendor_completions.d/muster.fish; do
        [ -f "$prefix/share/$file" ] || fail "$file is not installed"
    done
    cat >size.c <<'EOF'
#include <muster/task.h>
int size(struct mu_task *t)
{
    size_t n;
    mu_task_input(t, &n);
    return mu_task_printf(t, "%zu\n", n);
}
EOF
    got=$(env -u LD_LIBRARY_PATH "$prefix/bin/muster" map --quiet size.c:size ::: four)
    [ "$got" = 4 ] || fail "the installed command printed '$got'"
fi
