#!/bin/sh
# The examples in README.md, in the manual page and in the comments of the public headers
# compile; with the build folder as argument those of the first two are run too.
#
# In a header an example is what stands indented by five spaces after an empty line and
# has a line that ends as C does. One with a function body is a file; else it is the body of one.
# Lines that begin with "..." are left out.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
rc=0

# What examples take as given.
given='#include <muster/muster.h>
#include <stdio.h>
#include <string.h>'
context='int count_lines(struct mu_task *t);
int render(void *arg, size_t size);
struct table { struct mu_mutex lock; };
extern char page[100];'

for header in include/muster/*.h; do
    awk -v out="$folder/$(basename "$header" .h)" -v given="$given
$context" '
    function flush_block(    file)
    {
        if (is_code) {
            file = out "-" ++n ".c"
            print given > file
            if (!has_body)
                print "int example(void)\n{" > file
            printf "%s", block > file
            if (!has_body)
                print "return 0;\n}" > file
            close(file)
        }
        block = ""
        is_code = has_body = 0
    }
    /^ \*     / && (block != "" || before == " *") {
        line = substr($0, 8)
        if (line ~ /^ *\.\.\./)
            next
        block = block line "\n"
        is_code = is_code || line ~ /[;{}]$/
        has_body = has_body || line == "{"
        next
    }
    /^ \*$/ && block != "" { block = block "\n"; next }
    { flush_block(); before = $0 }
    ' "$header"
done
awk -v out="$folder/README" '
/^```c$/ { file = out "-" ++n ".c"; next }
/^```/ { file = ""; next }
file { print > file }' README.md
awk -v out="$folder/man" '
/^\.Bd -literal/ { block = "start"; next }
/^\.Ed/ { block = file = ""; next }
block == "start" { block = "on"; file = /^#include/ ? out "-" ++n ".c" : "" }
file { gsub(/\\e/, "\\"); print > file }' man/muster.1

for example in "$folder"/*.c; do
    for cc in gcc clang; do
        $cc -std=gnu17 -Iinclude -fsyntax-only -Werror=unused-result \
            -Werror=implicit-function-declaration -Werror=int-conversion \
            -Werror=incompatible-pointer-types "$example" 2>"$folder/said" ||
            { cat "$folder/said"; echo "does not compile: $example ($cc)"; rc=1; }
    done
done
# one of each was found: this looks where they are
for name in README-1 README-2 man-1 pool-1 task-1 team-1 team-2 team-3 shared-1 channel-1 \
    worker-1; do
    [ -f "$folder/$name.c" ] || { echo "not found: $name"; rc=1; }
done
[ "${1:-}" ] || exit $rc

expect() { # WHAT EXPECTED GOT
    [ "$2" = "$3" ] || { echo "$1 says '$3', not '$2'"; rc=1; }
}
export XDG_CACHE_HOME="$folder/cache" LD_LIBRARY_PATH="$1"
printf 'a\nb\nc\n' >"$folder/three"
for task in README-1.c:lines man-1.c:count_lines; do
    expect "$task" 3 "$("$1/cli/muster" map --quiet --each file "$folder/$task" ::: "$folder/three")"
done
gcc -Iinclude "$folder/README-2.c" -o "$folder/README-2" -L"$1" -lmuster
expect README-2 "$(seq 0 9 | awk '{ print $1 ": done: " 2 * $1 }')" "$("$folder/README-2" | sort -n)"
exit $rc
