#!/bin/sh
# test_subproject.sh SOURCE-FOLDER: a project in C that has muster's sources in it gets the
# library alone, by the name that the installed package gives it; and what a build of
# muster itself is asked to leave out, it does not look for.
set -eu
source=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
export LC_ALL=C

fail() {
    echo "FAILED: $*"
    cat log
    exit 1
}

# Nothing but the library's own needs is there.
cat >pkg-config-less <<'EOF'
#!/bin/sh
case $* in *cmocka* | *stb* | *zlib* | *libcrypto*) exit 1 ;; esac
exec pkg-config "$@"
EOF
chmod +x pkg-config-less
export PKG_CONFIG="$scratch/pkg-config-less"

cmake -S "$source" -B top -DBUILD_TESTING=OFF -DMUSTER_EXAMPLES=OFF -DMUSTER_BENCH=OFF \
    >log 2>&1 || fail 'without tests, examples and benchmarks'
cmake --build top --target help >log
grep -q 'test_\|bench' log && fail 'targets that were to be left out'

mkdir user
cp "$source/examples/lines.c" user
cat >user/CMakeLists.txt <<EOF
cmake_minimum_required(VERSION 3.20)
project(user LANGUAGES C)
include(CTest)
add_subdirectory($source muster)
add_executable(user lines.c)
target_link_libraries(user muster::muster)
EOF
cmake -S user -B out -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >log 2>&1 || fail 'configure'
grep -qw Werror out/compile_commands.json && fail '-Werror in the project of another'
cmake --build out --parallel 2 >log 2>&1 || fail 'build'
printf 'a\nb\nc\n' >three
for model in serial threads processes; do
    [ "$(out/user "$model" three)" = '       3 three' ] || fail "$model"
done
(cd out && ctest) >log 2>&1 || true
grep -q 'No tests were found' log || fail 'tests in the project of another'
find out -type f -perm -u+x ! -path '*/CMakeFiles/*' ! -name 'libmuster.so*' >log
[ "$(cat log)" = out/user ] || fail 'more programs than that of the project'

cmake --install out --prefix "$scratch/none" >log 2>&1 || fail 'install'
[ ! -e none ] || fail 'something is installed that nobody asked for'
cmake -DMUSTER_INSTALL=ON out >log 2>&1 && cmake --build out >>log 2>&1 &&
    cmake --install out --prefix "$scratch/prefix" >>log 2>&1 || fail 'install when asked'
[ -f prefix/include/muster/muster.h ] || fail 'nothing is installed when asked'
