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
before=$(ls -i "$cache"/*.so)
same 'again' '1 2 1' "$(m t.c:f ::: a)"
same 'was not compiled again' "$before" "$(ls -i "$cache"/*.so)"
echo '#define FIRST 3' >t.h
same 'a header has changed' '3 2 -0' "$(m t.c:f ::: a)"
same 'its object replaces the old one' 1 "$(objects)"
sed -i 's/SECOND=2/SECOND=5/' t.c
same 'the file has changed' '3 5 -0' "$(m t.c:f ::: a)"
same 'two objects' 2 "$(objects)"
same 'nothing else is left' '' "$(find "$cache" -type f ! -name '*.so' ! -name '*.headers')"

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
has 'no compiler' 'install gcc, or set CC' "$(CC=no-such-cc m e.c:f ::: a 2>&1)"
has 'no place for the cache' 'HOME is not set' \
    "$(env -u HOME -u XDG_CACHE_HOME "$MUSTER" map --model serial t.c:f ::: a 2>&1)"
same 'HOME/.cache' 1 \
    "$(HOME=$scratch/home; export HOME; mkdir home; unset XDG_CACHE_HOME
        "$MUSTER" map --quiet --model serial t.c:f ::: a >/dev/null; find home -name '*.so' | wc -l)"
finish
