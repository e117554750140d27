#!/bin/sh
# test_compile.sh: C files are compiled once, and again when something changes.
. "$(dirname "$0")/lib.sh"
model=serial
cache=$XDG_CACHE_HOME/muster

objects() {
    find "$cache" -name '*.so' | wc -l
}

cat >t.c <<'EOF'
#include <muster/task.h>
#include "t.h"
/* muster: cflags="-DSECOND=2" link=-lm */
double cos(double);
int f(struct mu_task *t)
{
    return mu_task_printf(t, "%d %d %.0f\n", FIRST, SECOND, cos(FIRST - 1));
}
EOF
echo '#define FIRST 1' >t.h
same 'flags of the comment' '1 2 1' "$(m t.c:f ::: a)"
same 'one object' 1 "$(objects)"
before=$(ls -i "$cache"/*)
same 'again' '1 2 1' "$(m t.c:f ::: a)"
same 'was not compiled again' "$before" "$(ls -i "$cache"/*)"
echo '#define FIRST 3' >t.h
same 'a header has changed' '3 2 -0' "$(m t.c:f ::: a)"
same 'its object is another one' 2 "$(objects)"
sed -i 's/SECOND=2/SECOND=5/' t.c
same 'the file has changed' '3 5 -0' "$(m t.c:f ::: a)"
same 'three objects' 3 "$(objects)"
same 'nothing else is left' '' "$(find "$cache" -type f ! -name '*.so' ! -name '*.list')"

# several at once make the same object and do not disturb each other
rm -rf "$cache"
for i in 1 2 3 4; do
    m t.c:f ::: a >"out$i" &
done
wait
for i in 1 2 3 4; do
    same 'compiled by several at once' '3 5 -0' "$(cat "out$i")"
done
same 'one object is left' 1 "$(objects)"

# what was damaged is made again
for damage in 'truncate -s 99' 'rm'; do
    object=$(find "$cache" -name '*.so')
    $damage "$object"
    same "after $damage" '3 5 -0' "$(m t.c:f ::: a 2>&1)"
    same "one object after $damage" 1 "$(objects)"
done

# Another run makes the same object behind the back of one that has loaded it and has yet
# to start its workers: the file is not exchanged.
mkfifo loaded done
cat >once.c <<'EOF'
#include <fcntl.h>
#include <muster/task.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
__attribute__((constructor)) static void meet(void)
{
    if (getenv("MEET") && mkdir("met", 0700) == 0) {
        close(open("loaded", O_WRONLY));
        close(open("done", O_RDONLY));
    }
}
int f(struct mu_task *t)
{
    return mu_task_printf(t, "made\n");
}
EOF
cat >slowcc <<'EOF'
#!/bin/sh
cc "$@" || exit
[ -z "${HOLD:-}" ] || : <loaded
EOF
chmod +x slowcc
map_once() {
    CC=$scratch/slowcc $HANG "$MUSTER" map --quiet --model processes:2 once.c:f ::: a 2>&1
}
rm -rf "$cache"
(HOLD=1; export HOLD; map_once >out1; : >done) &
(MEET=1; export MEET; map_once >out2)
wait
same 'who compiled last' 'made' "$(cat out1)"
same 'who had loaded it before' 'made' "$(cat out2)"
same 'one object of both' 1 "$(objects)"
rm -rf "$cache"
same 'from the beginning' '3 5 -0' "$(m t.c:f ::: a)"

# a library as it is
object=$(find "$cache" -name '*.so')
cp "$object" ./t.so
same 'lib.so:function' '3 5 -0' "$(m t.so:f ::: a)"
same '/path/lib.so:function' '3 5 -0' "$(m "$scratch/t.so:f" ::: a)"

# the compiler is CC; its messages are shown
rm -rf "$cache"
cat >fakecc <<EOF
#!/bin/sh
echo "called" >>"$scratch/calls"
exec cc "\$@"
EOF
chmod +x fakecc
same 'CC' '3 5 -0' "$(CC="$scratch/fakecc -DX" m t.c:f ::: a)"
same 'CC was called' 'called' "$(cat calls)"
echo 'int f(void) { return undeclared_thing; }' >e.c
has 'messages of the compiler' 'e.c:1:.*undeclared_thing' "$(m e.c:f ::: a 2>&1)"
# which it is that is missing, and how another is named
has 'no compiler' "no command 'no-such-cc' in PATH: install gcc, or name another C compiler by CC$" \
    "$(CC=no-such-cc m e.c:f ::: a 2>&1)"
has 'no compiler, and something like it' "no command 'carp' in PATH: install gcc, or name another C compiler by CC$" \
    "$(CC=carp; export CC; mkdir like; cp fakecc like/crap; PATH=$PATH:$scratch/like m e.c:f ::: a 2>&1)"
has 'a compiler that is not there' 'cannot run ./nocc: no such file: check the name, or name another C compiler by CC$' \
    "$(CC=./nocc m e.c:f ::: a 2>&1)"
printf '#!/no/such/sh\n' >lostcc
printf 'what is this' >oddcc
chmod +x lostcc oddcc
has 'a compiler without interpreter' 'cannot run ./lostcc: .* mend that line, or name another C compiler by CC$' \
    "$(CC=./lostcc m e.c:f ::: a 2>&1)"
has 'what is no program' 'cannot run ./oddcc: Exec format error: install it anew, or name another C compiler by CC$' \
    "$(CC=./oddcc m e.c:f ::: a 2>&1)"
same 'HOME/.cache' 1 \
    "$(HOME=$scratch/home; export HOME; mkdir home; unset XDG_CACHE_HOME
        "$MUSTER" map --quiet --model serial t.c:f ::: a >/dev/null; find home -name '*.so' | wc -l)"

# a directory of the cache whose parents are missing; no home, and one that cannot be
same 'XDG_CACHE_HOME is made' '3 5 -0' "$(XDG_CACHE_HOME=$scratch/x/y/z m t.c:f ::: a)"
same 'where it was asked for' 1 "$(find x/y/z/muster -name '*.so' | wc -l)"
mkdir tmp
for home in '' /proc/none; do
    same "HOME is '$home'" '3 5 -0' "$(HOME=$home; TMPDIR=$scratch/tmp; unset XDG_CACHE_HOME
        export HOME TMPDIR; m t.c:f ::: a)"
    same 'its place' 1 "$(find "tmp/muster-$(id -u)" -name '*.so' | wc -l)"
done
chmod 777 "tmp/muster-$(id -u)"
has 'not where others can write' 'is not ours alone: set XDG_CACHE_HOME' \
    "$(HOME=; TMPDIR=$scratch/tmp; unset XDG_CACHE_HOME; export HOME TMPDIR; m t.c:f ::: a 2>&1)"

# what nobody has used for a month goes when something is compiled
rm -rf "$cache"
same 'an object' '3 5 -0' "$(m t.c:f ::: a)"
touch -d '40 days ago' "$cache"/*
same 'is of use again' '3 5 -0' "$(m t.c:f ::: a)"
sed 's/FIRST - 1/0/' t.c >u.c
same 'another' '3 5 1' "$(m u.c:f ::: a)"
same 'what was used stays' 2 "$(objects)"
touch -d '40 days ago' "$cache"/t-*
echo '#define FIRST 4' >t.h
same 'one more' '4 5 1' "$(m u.c:f ::: a)"
same 'what was not used went' "$(find "$cache" -name 'u-*' | sort)" "$(find "$cache" -type f | sort)"

# where the compiler looks is a part of what was compiled
mkdir one two
for n in one two; do
    echo "#define WHERE \"$n\"" >$n/where.h
done
cat >w.c <<'EOF'
#include <muster/task.h>
#include <where.h>
int f(struct mu_task *t)
{
    return mu_task_printf(t, "%s\n", WHERE);
}
EOF
for variable in CPATH C_INCLUDE_PATH; do
    for n in one two; do
        same "$variable" $n "$(export "$variable=$scratch/$n"; m w.c:f ::: a 2>&1)"
    done
done

# names with characters that make escapes
for name in 'sp ace' 'do$lar' 'ha#sh' 'back\slash' 'back\ space' 'co: lon' 'two  '; do
    mkdir "$name"
    cp t.h "$name/$name.h"
    sed "s|\"t.h\"|\"$(echo "$name" | sed 's/\\/\\\\/g').h\"|" t.c >"$name/t.c"
    same "in '$name'" '4 5 -1' "$(m "$name/t.c:f" ::: a 2>&1)"
    sed -i 's/4/1/' "$name/$name.h"
    same "a header in '$name' has changed" '1 5 1' "$(m "$name/t.c:f" ::: a 2>&1)"
done

# C++: the name of a function is that of C or its own
cat >t.C <<'EOF'
#include <muster/task.h>
#include <string>
/* muster: cflags="-DTWICE=2" */
static int put(struct mu_task *t, const std::string &s)
{
    return mu_task_write(t, s.data(), s.size());
}
int plain(struct mu_task *t)
{
    return put(t, std::string(TWICE, 'x') + "\n");
}
extern "C" int with_c_name(struct mu_task *t)
{
    return put(t, "c\n");
}
namespace other { int hidden(struct mu_task *t) { return plain(t); } }
EOF
if command -v "${CXX:-c++}" >/dev/null; then
    for extension in C cc cpp cxx; do
        [ $extension = C ] || cp t.C t.$extension
        same "t.$extension" 'xx' "$(m t.$extension:plain ::: a)"
    done
    same 'extern "C"' 'c' "$(m t.C:with_c_name ::: a)"
    has 'the names of C++' "no function 'plian' in t.C: did you mean 'plain'" "$(m t.C:plian ::: a 2>&1)"
    has 'all of them' 'It has (plain, with_c_name|with_c_name, plain)$' "$(m t.C ::: a 2>&1)"
fi
# Ctrl-C reaches us and the compiler: it is not the file that is wrong
echo 'kill -INT $PPID $$' >interrupted.sh
got=$(CC="sh $scratch/interrupted.sh" m work.c:echo ::: a 2>&1)
same 'status of an interrupt while a file is compiled' 255 $?
same 'what it says' 'muster: interrupted: work.c is not compiled, and nothing has run' "$got"

# Whoever ends us ends the compiler with all that it runs, and what it has half made goes.
# Everybody here has the fifo "alive" open, which is at its end when nobody is left.
mkfifo alive up
exec 5<>up
cat >stuckcc <<'EOC'
#!/bin/sh
while [ $# -gt 1 ]; do
    [ "$1" != -o ] || echo half >"$2"
    [ "$1" != -MF ] || echo half >"$2"
    shift
done
trap "$STUCK" TERM
(trap "$STUCK" TERM; echo up >up; sleep 60; : >late) &
sleep 60
: >late
EOC
chmod +x stuckcc
# end_compiler SIGNAL COMMAND TRAP: TRAP is what the compiler does with SIGTERM
end_compiler() {
    what="SIG$1 while $2 compiles, SIGTERM is '$3'"
    rm -rf "$cache" late
    cat alive >alive.out &
    reader=$!
    STUCK=$3 CC=$scratch/stuckcc "$MUSTER" "$2" t.c:f ::: a >out 2>err 5<&- 8>alive &
    pid=$!
    read -r _ <&5
    kill -s "$1" $pid
    wait $pid 2>/dev/null
    status=$?
    wait $reader
    same "the compiler ends: $what" 1 "$([ -e late ] || echo 1)"
    same "nothing half made is left: $what" '' "$(find "$cache" -type f)"
}
for trap in - ''; do
    end_compiler TERM map "$trap"
    same "status: $what" 255 $status
    same "what it says: $what" 'muster: interrupted: t.c is not compiled, and nothing has run' "$(cat err)"
    end_compiler KILL map "$trap"
done
end_compiler HUP map -
for signal in TERM KILL; do
    end_compiler $signal compare -
    same "status: $what" $signal "$(kill -l $status)"
done
exec 5<&-
has 'no C++ compiler' 'install g[+][+], or name another C[+][+] compiler by CXX$' "$(CXX=no-such-c++ m t.C:plain ::: a 2>&1)"
finish
