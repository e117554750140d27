#!/bin/sh
# test_results.sh: --results in its four forms.
. "$(dirname "$0")/lib.sh"

# the columns that do not depend on the clock
plain() {
    sed -E 's/[0-9]{10}\.[0-9]{3}/T/; s/([,	]|: )[0-9]+\.[0-9]{3}([,	])/\1R\2/' "$1"
}

long=$(printf '%0300d' 0)
for model in $MODELS; do
    rm -rf tree named
    same 'nothing on standard output' '' \
        "$(m --results tree -- 'echo {}; echo e >&2' ::: a/b 'c d' 2>&1)"
    same 'the files' 'tree/1/a\_b/seq tree/1/a\_b/stderr tree/1/a\_b/stdout tree/1/c d/seq tree/1/c d/stderr tree/1/c d/stdout ' \
        "$(find tree -type f | sort | tr '\n' ' ')"
    same 'output' 'a/b' "$(cat 'tree/1/a\_b/stdout')"
    same 'errors' 'e' "$(cat 'tree/1/a\_b/stderr')"
    same 'number' 2 "$(cat 'tree/1/c d/seq')"
    m --results 'named/{/.}.txt' work.c:echo ::: x/a.c b.c
    same 'named files' 'a.txt a.txt.err a.txt.seq b.txt b.txt.err b.txt.seq ' \
        "$(cd named && find . -type f | sed 's|./||' | sort | tr '\n' ' ')"
    same 'its output' 'x/a.c' "$(cat named/a.txt)"
    m --results 'dirs/{#}/' work.c:echo ::: x
    same 'a directory for each' 'x' "$(cat dirs/1/stdout)"
    m -k --results t.csv work.c:echo ::: 'a,"b' c
    same 'a table' 'Seq,Host,Starttime,JobRuntime,Send,Receive,Exitval,Signal,Command,V1,Stdout,Stderr' \
        "$(head -n 1 t.csv)"
    has 'its quotes' '^1,:,.*,0,5,0,0,"work.c:echo .a,""b.","a,""b","a,""b$' "$(cat t.csv)"
    # a name that cannot be costs its own task alone
    for order in '' -k; do
        rm -rf own log
        mkdir own
        : >own/file
        # shellcheck disable=SC2086
        got=$("$MUSTER" map --model "$model" $order --joblog log --results 'own/{}' \
            -- 'echo {}; exit {#}1' ::: file/x "$long" 2>&1)
        same "two that fail besides $order" 2 $?
        has "why besides $order" "^muster: input 1, 'file/x', failed: exit status 11; cannot write to --results own/file/x.seq: Not a directory: " "$got"
        has "why else besides $order" '^muster: input 2, .*, failed: exit status 21; cannot write to --results own/0.*: File name too long: ' "$got"
        # shellcheck disable=SC2086
        got=$("$MUSTER" map --model "$model" $order --joblog log --results 'own/{}' \
            work.c:echo ::: a file/x b "$long" c 2>&1)
        same "two without a place $order" 2 $?
        has "why the one $order" "^muster: input 2, 'file/x', failed: cannot write to --results own/file/x.seq: Not a directory: " "$got"
        has "why the other $order" '^muster: input 4, .*, failed: cannot write to --results own/0.*: File name too long: ' "$got"
        has "the counts $order" '^muster: 3 done, 2 failed in' "$got"
        same "those beside them $order" 'a b c ' "$(cat own/a own/b own/c | tr '\n' ' ')"
        same "their records $order" '1:0 2:-20 3:0 4:-36 5:0 ' \
            "$(tail -n +2 log | sort -n | cut -f1,7 | tr '\t\n' ': ')"
    done
    rm -rf own
    # nor does one that could have some of its files, as x.seq, write over another's
    m --results 'own/{}' -- 'echo {}' ::: x/y x.seq
    has 'a name that is a folder' 'failed: cannot write to --results own/x: Is a directory: ' \
        "$("$MUSTER" map --model "$model" --results 'own/{}' -- echo ::: x 2>&1)"
    same 'leaves what is there' x.seq "$(cat own/x.seq)"
    m --results 'own/{}' -- ': {}' ::: first x.seq
    same 'what is shorter is all there is' '' "$(cat own/x.seq)"
    : >own/file
    m --halt soon,success=1 --results 'own/{}' -- 'echo {}' ::: file/x d
    same 'a success is one that is saved' 0 $?
    m --halt now,fail=1 --results 'own/{}' -- 'echo {}' ::: file/x
    same 'what is not saved is a failure' 255 $?
    m -k --results t.json work.c:echo ::: 'a"b'
    has 'objects' '"Seq": 1, .*"V": \[ "a\\"b" \], "Stdout": "a\\"b\\u000a", "Stderr": "" \}$' \
        "$(cat t.json)"
done

# a place where nobody may write is that of all: it ends the run. Root may write anywhere
# with one of its capabilities, which is given up.
unable=
[ "$(id -u)" != 0 ] || unable='setpriv --bounding-set=-dac_override'
mkdir kept
chmod 555 kept
if ! $unable true 2>/dev/null || $unable sh -c ': >kept/any' 2>/dev/null; then
    echo 'not tried: a place where nobody may write, for root may, and cannot give that up'
else
    for model in $MODELS; do
        for name in 'kept/{}' kept/tree; do
            got=$($unable "$MUSTER" map --quiet --model "$model" --results "$name" work.c:echo ::: a b c 2>&1)
            same "status of $name" 255 $?
            has "why of $name" '^muster: cannot write to --results kept/[^ ]*: Permission denied: check who may use it' "$got"
            same "said once of $name" 1 "$(printf '%s\n' "$got" | wc -l)"
        done
    done
fi

# names that are none, or another's, do not lead elsewhere; the same twice is said
model=serial
rm -rf tree esc
same 'nothing to say' '' "$(m --results tree -- echo ::: '' . .. "${long}a" "${long}b" 2>&1)"
same 'a place for each' 5 "$(find tree/1 -mindepth 2 -name stdout | wc -l)"
same 'the one they are to have' ' . .. ' "$(cat 'tree/1/\/stdout' 'tree/1/\./stdout' 'tree/1/\../stdout' |
    tr '\n' ' ')"
has 'two that are the same' 'input 2 writes over what input 1 left in tree/1/a/' \
    "$(m --results tree -- echo ::: a a 2>&1)"
mkdir -p deep/er
(cd deep/er && m --results 'esc/{}' -- echo ::: ../../../zz)
same 'not above where it leads' 'deep/er/esc/\../\../\../zz' "$(find . -name zz | sed 's|./||')"
(cd deep/er && m --results 'esc/.{}' -- echo ::: ./yy)
same 'nor with what stands before it' 'deep/er/esc/\../yy' "$(find . -name yy | sed 's|./||')"
need_gnu_parallel
PARALLEL_HOME=$scratch
export PARALLEL_HOME
: >will-cite
model=threads:2
for form in t.csv t.tsv t.json '{}.csv' '{}.json'; do
    parallel -k --results "$form" 'echo {}; echo 2 >&2; exit 3' ::: 'a b' "c'd" 'e,f"' 2>/dev/null
    plain "$form" >expected
    m -k --results "$form" -- 'echo {}; echo 2 >&2; exit 3' ::: 'a b' "c'd" 'e,f"'
    plain "$form" >got
    same_files "$form" expected got
done
# a file of one input is one of another's, whichever comes first
model=serial
for two in 'x x.err:x.err' 'x.err x:x.err' 'x x.seq:x.seq' 'x.seq x:x.seq'; do
    # shellcheck disable=SC2086
    has "files of ${two%:*}" "input 2 writes over what input 1 left in mixed/${two#*:}\$" \
        "$(m --results 'mixed/{}' -- 'echo {}; echo e{} >&2' ::: ${two%:*} 2>&1)"
    # shellcheck disable=SC2086
    same "the same again, ${two%:*}" 1 \
        "$(m --results 'mixed/{}' -- 'echo {}; echo e{} >&2' ::: ${two%:*} 2>&1 | wc -l)"
    rm -r mixed
done
same 'others have none in common' '' "$(m --results 'mixed/{}' -- 'echo {}' ::: x x.err.c y xerr x.c)"

for name in out 'o_{}/' 'o_{/.}.{#}'; do
    rm -rf expected.dir got.dir
    mkdir expected.dir got.dir
    (cd expected.dir && parallel --results "$name" 'echo {}; echo 2 >&2' ::: 'a b' c.d 'x\y' 2>/dev/null)
    (cd got.dir && m --results "$name" -- 'echo {}; echo 2 >&2' ::: 'a b' c.d 'x\y')
    same "--results $name" '' "$(diff -r expected.dir got.dir 2>&1)"
done
finish
