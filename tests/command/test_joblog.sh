#!/bin/sh
# test_joblog.sh: --joblog and --resume, in GNU parallel's format and meaning.
. "$(dirname "$0")/lib.sh"

# the columns that do not depend on the clock
plain() {
    cut -f1,2,5- "$1" | sort -n
}

for model in $MODELS; do
    rm -f log
    m --joblog log -- 'echo {}; exit {}' ::: 0 3 0 >/dev/null
    same 'status' 1 $?
    same 'header' \
        'Seq Host Starttime JobRuntime Send Receive Exitval Signal Command ' \
        "$(head -n 1 log | tr '\t\n' '  ')"
    same 'records' '2 : 0 2 3 0 echo 3; exit 3' \
        "$(plain log | grep '^2' | tr '\t' ' ')"
    has 'format of the times' \
        '^1	:	[0-9]+\.[0-9]{3}	 +[0-9]+\.[0-9]{3}	0	2	0	0	echo 0; exit 0$' \
        "$(cat log)"

    # one and three have run: only they have a record
    head -n 1 log >part
    grep '^[13]	' log >>part
    cp part log
    same '--dry-run --resume shows what has no record' 'exit 3 exit 4 ' \
        "$(m --dry-run --joblog log --resume -- 'exit {}' ::: 0 3 0 4 | tr '\n' ' ')"
    same 'and writes none' '' "$(cmp log part)"
    same '--resume runs what has no record' '3 4 ' \
        "$(m -k --joblog log --resume -- 'echo {}; exit {}' ::: 0 3 0 4 | tr '\n' ' ')"
    same 'and appends' 5 "$(wc -l <log)"
    same '--resume runs it once' '' \
        "$(m --joblog log --resume -- 'echo {}; exit {}' ::: 0 3 0 4)"
    same '--resume-failed' '3 4 ' \
        "$(m -k --joblog log --resume-failed -- 'echo {}; exit 0' ::: 0 3 0 4 | tr '\n' ' ')"
    same '--resume-failed again' '' \
        "$(m --joblog log --resume-failed -- 'echo {}; exit {}' ::: 0 3 0 4)"
    printf '9\t:\t1.0\t' >>log
    same 'a torn line is no record' '5' \
        "$(m --joblog log --resume -- 'echo {}' ::: 0 3 0 4 5)"
    same 'and is cut off' '' "$(grep '^9' log)"
    head -c 100000 /dev/zero | tr '\0' x >>log
    same 'nor is a long one' '6' "$(m --joblog log --resume -- 'echo {}' ::: 0 3 0 4 5 6)"
    same 'which is cut off too' '' "$(grep xx log)"
    same '+FILE is gone on with' '7' \
        "$(m --joblog +log --resume -- 'echo {}' ::: 0 3 0 4 5 6 7)"
    same 'a log that is not there' '1' "$(m --joblog new --resume work.c:echo ::: 1)"
    same 'has a header then' 2 "$(wc -l <new)"
    rm -f new
    m --joblog +new work.c:echo ::: 1 >/dev/null
    m --joblog +new work.c:echo ::: 1 >/dev/null
    same '+FILE appends' 3 "$(wc -l <new)"
    printf '9\t:\t1.0\t' >>new
    m --joblog +new work.c:echo ::: 1 >/dev/null
    same 'behind the last whole line' '1 1 1' "$(echo $(tail -n +2 new | cut -f1))"
    for how in '--joblog +new' '--joblog new --resume'; do
        printf 'Seq\tHost' >new
        # shellcheck disable=SC2086
        m $how work.c:echo ::: 1 >/dev/null
        same "a torn header is cut off, $how" "$(head -n 1 log)" "$(head -n 1 new)"
        same "and there is a record, $how" 2 "$(wc -l <new)"
    done
    m --joblog new work.c:echo ::: 'a b' >/dev/null
    same 'FILE begins anew' 2 "$(wc -l <new)"
    same 'a function has its call' "work.c:echo 'a b'" "$(tail -n 1 new | cut -f9)"
    seq 500 | m --joblog new work.c:echo >/dev/null
    same 'one line each' '500' "$(tail -n +2 new | sort -un | wc -l)"
    # more than is read at a time
    seq 3000 | m --joblog new work.c:echo >/dev/null
    printf '9\t:' >>new
    same 'a long log is gone on with' 3001 "$(seq 3001 | m --joblog new --resume work.c:echo)"
    same 'and keeps its records' 3001 "$(tail -n +2 new | cut -f1 | sort -un | wc -l)"
    rm -f new
done

need_gnu_parallel
PARALLEL_HOME=$scratch
export PARALLEL_HOME
: >will-cite
model=threads:2
parallel --joblog expected 'echo {}; exit {}' ::: 0 3 "0;echo 'a b'" >/dev/null 2>&1
m --joblog got -- 'echo {}; exit {}' ::: 0 3 "0;echo 'a b'" >/dev/null 2>&1
plain expected >expected.plain
plain got >got.plain
same_files 'as GNU parallel writes it' expected.plain got.plain
same 'widths' "$(awk -F'\t' '{print length($4)}' expected)" \
    "$(awk -F'\t' '{print length($4)}' got)"
# each goes on with the log of the other
same 'parallel goes on' '9' \
    "$(parallel --joblog got --resume 'echo {}; exit {}' ::: 0 3 x 9 2>/dev/null)"
same 'muster goes on' '8' \
    "$(m --joblog got --resume -- 'echo {}; exit {}' ::: 0 3 x 9 8 2>/dev/null)"
finish
