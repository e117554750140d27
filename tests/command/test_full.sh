#!/bin/sh
# test_full.sh: what a full disk, a quota or a kill leaves of --results and --joblog is
# gone on with: no row is lost, torn or behind half of another. (What a machine that loses
# its power leaves is not looked at: nothing is synced.)
. "$(dirname "$0")/lib.sh"
model=serial

# the columns that do not depend on the clock
plain() {
    sed -E 's/[0-9]{10}\.[0-9]{3}/T/; s/([,	]|: )[0-9]+\.[0-9]{3}([,	])/\1R\2/' "$1"
}

# rows with newlines and quotes inside, of which the last is cut anywhere
for form in t.csv t.tsv t.json; do
    set -- -- printf '%s,"\n"\n' ::: a '"b
b'
    rm -f log
    m --joblog log --results $form "$@" 'c
c"'
    plain $form >expected
    cp $form whole
    head -n 3 log >log.two
    m --results $form "$@"
    set -- "$@" 'c
c"'
    n_two=$(wc -c <$form)
    size=$(wc -c <whole)
    n_differ=0
    while size=$((size - 1)) && [ $size -ge "$n_two" ]; do
        head -c $size whole >$form
        cp log.two log
        m --joblog log --resume --results $form "$@"
        plain $form | cmp -s expected - || n_differ=$((n_differ + 1))
        size=$((size - 4))
    done
    same "torn rows of $form that are not whole again" 0 $n_differ
    same "records of $form" 4 "$(wc -l <log)"
    # a torn header is none
    rm log
    printf 'Seq' >$form
    [ $form != t.json ] || : >$form
    m --joblog log --resume --results $form "$@"
    plain $form >got
    same_files "$form with a torn header" expected got
done

# what is no table is not touched
for form in t.csv t.tsv t.json; do
    printf 'a,b\n1,2' >$form
    rm -f log
    got=$(m --joblog log --resume --results $form work.c:echo ::: a 2>&1)
    same "status with another $form" 255 $?
    has "another $form" "^muster: $form is no table of --results: name the one of .*, or a new file" "$got"
    same "$form stays as it is" 'a,b 1,2' "$(tr '\n' ' ' <$form)"
    same "and there is no log" 1 "$([ -e log ] || echo 1)"
done

# a row torn within quotes hides where those behind it end
rm -f log
m --joblog log --results t.csv -- 'echo {}' ::: 1 2 3 4
sed '4s/,"echo.*/,"echo/; 5d' t.csv >torn.csv
cp torn.csv t.csv
got=$(m --joblog log --resume --results t.csv -- 'echo {}' ::: 1 2 3 4 5 2>&1)
same 'status with a row torn before others' 255 $?
has 'a row torn before others' '^muster: t.csv has a torn row with others behind it: ' "$got"
same_files 'a table that is torn before its end' torn.csv t.csv

# and so does one that others are glued to: in its command, its numbers, its output
for how in '/^4,/{s/,"echo.*/,"ec/; N; s/\n//}' '/^4,/{s/^\(4,:,17\).*/\1/; N; s/\n//}' \
    '/^4,/{s/\(.*\),.*/\1/; N; s/\n//}'; do
    rm -f log
    m --joblog log --results t.csv -- printf %s ::: 1 2 3 4 5
    sed "$how" t.csv >torn.csv
    cp torn.csv t.csv
    got=$(m --joblog log --resume --results t.csv -- printf %s ::: 1 2 3 4 5 6 2>&1)
    same "status with a row glued to another, $how" 255 $?
    has 'a row glued to another' '^muster: t.csv has a torn row with others behind it: ' "$got"
    same_files 'a table with rows glued together' torn.csv t.csv
done

# also one torn in its numbers that has fewer fields than the head, with the other
rm -f log
printf 'a,b,c\nd\ne\n' >short
m --joblog log --results t.csv -C , -a short -- echo '{1}'
sed "/^2,/{N; N; s/^2,.*\n3/2,:,3/}" t.csv >torn.csv
cp torn.csv t.csv
got=$(m --joblog log --resume --results t.csv -C , -a short -- echo '{1}' 2>&1)
same 'status with a row glued to the beginning of one' 255 $?
same_files 'a table with a row glued to the beginning of one' torn.csv t.csv

# and within quotes that nothing closes, for no row behind has any
printf 'printf "$0"\n' >give1
chmod +x give1
cp give1 give2
cp give1 give3
for what in '' ',"a ""b"" c'; do
    rm -f log
    m --joblog log --results t.csv -- ./give{} ::: 1 2 3
    sed "/^1,/{s/\.\/give.*/\"x$what/; N; s/\n//}" t.csv >torn.csv
    cp torn.csv t.csv
    got=$(m --joblog log --resume --results t.csv -- ./give{} ::: 1 2 3 2>&1)
    same "status with rows behind an open quote$what" 255 $?
    same_files "a table with rows behind an open quote$what" torn.csv t.csv
done

# values that look like the beginning of a row are none, in rows of any length
printf ':,1.000,2.000,3,4,5,6\na\na,b,c,d,e,f,g\n' >like.first
printf 'a\n:,1,2,3,4,5,6\na,b,c,d,e,f,g,h\n' >like.longer
for like in like.first like.longer; do
    for form in t.csv t.tsv; do
        rm -f log
        m --joblog log --results $form -C , -a $like -- echo '{1}'
        cp $form whole
        m --joblog log --resume --results $form -C , -a $like -- echo '{1}'
        same "status with values like a row, $form of $like" 0 $?
        same_files "values like a row, $form of $like" whole $form
    done
done

# but a table may be the output of a task, as a whole
rm -f log
m --joblog log --results t.csv -- printf %s ::: 1 2 3
cp t.csv inner.csv
rm log
m --joblog log --results t.csv -- cat ::: inner.csv inner.csv inner.csv
plain t.csv >expected
head -n -2 t.csv >torn.csv
cp torn.csv t.csv
head -n 3 log >log.two
cp log.two log
m --joblog log --resume --results t.csv -- cat ::: inner.csv inner.csv inner.csv
same 'status with a table in a table' 0 $?
plain t.csv >got
same_files 'a table in a table' expected got

# a pipe is not read by who writes it, else nobody sees that its reader has gone
mkfifo pipe.csv
rm -f log
head -c 100 pipe.csv >/dev/null &
seq 3000 | m --joblog log --resume --results pipe.csv -- 'printf %0500d {}' 2>/dev/null
same 'status without a reader' 141 $?
wait

# a disk that fills up at any row, where a user may mount one
mkdir full
cat >full.sh <<'EOF2'
mount -t tmpfs -o size=256k tmpfs full || exit 77
[ $# -gt 0 ] || exit 0
name=$1
shift
cd full || exit 1
# its room comes little by little
for filler in 2 3 4 5 6; do
    head -c 44000 /dev/zero >filler.$filler
done
for filler in 2 3 4 5 6; do
    "$@" --joblog log --results "$name" --resume -- "$WORK" ::: 1 2 3 4 5 6 7 8 9 10 >>"$OUT/said" 2>&1
    echo $? >>"$OUT/statuses"
    rm filler.$filler
done
"$@" --joblog log --results "$name" --resume -- "$WORK" ::: 1 2 3 4 5 6 7 8 9 10 || exit 1
cp -r "$name" log "$OUT"
EOF2
WORK='head -c 11000 /dev/zero | tr "\\0" x; echo {}; echo \"'
OUT=$scratch/out
export WORK OUT
if ! unshare -rm sh ./full.sh 2>/dev/null; then
    echo 'not tried: a disk that is full, for none can be mounted'
else
    for name in t.csv t.json tree; do
        rm -rf out
        mkdir out
        unshare -rm sh ./full.sh $name "$MUSTER" map --quiet --model serial
        same "status with a full disk, $name" 0 $?
        has "a full disk is told, $name" 'cannot write to --(results|joblog) .*No space left on device' "$(cat out/said)"
        has "and is an error, $name" 255 "$(cat out/statuses)"
        same "all have a record, $name" '1 2 3 4 5 6 7 8 9 10 ' "$(tail -n +2 out/log | cut -f1 | sort -n | tr '\n' ' ')"
        # one may be there twice: when there was no room for its record
        case $name in
        t.csv) grep -o '^[0-9]*,:' out/t.csv | tr -d ',:' ;;
        t.json) sed -n 's/^{ "Seq": \([0-9]*\), .*x\1\\u000a.* }$/\1/p' out/t.json ;;
        tree) for i in 1 2 3 4 5 6 7 8 9 10; do
            tail -n 2 out/tree/1/$i/stdout | sed -n 's/^x*//p' | grep -xE '[0-9]+'
        done ;;
        esac | sort -nu >rows
        same "all have a row, $name" '1 2 3 4 5 6 7 8 9 10 ' "$(tr '\n' ' ' <rows)"
        same "nothing else is said, $name" '' "$(grep -v 'No space left' out/said)"
    done
fi

# what is known only when a file is closed; a sanitizer's library has to be the first
if [ -n "${SANITIZER:-}" ]; then
    finish
fi
cat >closes.c <<'EOF2'
/* close() as a quota on another machine may have it, of names that end in $OVER */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int close(int fd)
{
    char link[64], path[4096] = "";
    const char *end = getenv("OVER");
    size_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof path - 1) < 0)
        path[0] = '\0';
    if (syscall(SYS_close, fd) < 0)
        return -1;
    n = strlen(path);
    if (strlen(end) > n || strcmp(path + n - strlen(end), end) != 0)
        return 0;
    errno = EDQUOT;
    return -1;
}
EOF2
cc -shared -fPIC -o closes.so closes.c || exit 1

# over WHAT ENDING OPTION...: it is told, and the inputs that have a record
over() {
    what=$1
    ending=$2
    shift 2
    rm -rf log tree t.csv
    said=$(LD_PRELOAD=$scratch/closes.so OVER=$ending "$MUSTER" map --quiet -k --model processes:1 \
        --joblog log "$@" work.c:echo ::: a b c 2>&1 >out.txt)
    same "status over quota, $what" 255 $?
    has "over quota, $what" "^muster: cannot write to $what: Disk quota exceeded: make room there$" "$said"
    same "said once, $what" 1 "$(printf '%s\n' "$said" | wc -l)"
    records=$(tail -n +2 log | cut -f1 | tr '\n' ' ')
}
for file in seq stderr stdout; do
    over "--results tree/1/b/$file" /1/b/$file --results tree
    same "records, $file" '1 ' "$records"
    same "--resume, $file" '2 3 ' "$(m --joblog log --resume --results tree work.c:echo ::: a b c
        tail -n +3 log | cut -f1 | sort -n | tr '\n' ' ')"
done
over '--results t.csv' /t.csv --results t.csv
same 'no record before the row is saved' '' "$records"
over '--joblog log' /log
same 'what has a record is out' 'a b c ' "$(tr '\n' ' ' <out.txt)"
over 'standard output' /out.txt
rm -f t.csv
said=$(LD_PRELOAD=$scratch/closes.so OVER=/t.csv "$MUSTER" map --quiet --results t.csv work.c:echo ::: a b 2>&1)
same 'status over quota without a log' 255 $?
has 'over quota without a log' '^muster: cannot write to --results t.csv: Disk quota' "$said"
finish
