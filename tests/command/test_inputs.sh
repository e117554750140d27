#!/bin/sh
# test_inputs.sh: where inputs come from, and what one of them is.
. "$(dirname "$0")/lib.sh"

for model in $MODELS; do
    same 'words' 'a b c ' "$(m -k work.c:echo ::: a b c | tr '\n' ' ')"
    same 'no words' '' "$(m work.c:echo :::)"
    same 'an empty word' '0' "$(m work.c:size ::: '')"
    same 'lines' 'a b  c ' "$(printf 'a\nb\n\nc' | m -k work.c:echo | tr '\n' ' ')"
    same 'no lines' '' "$(m work.c:echo </dev/null)"
    same 'NUL' '3 1 ' "$(printf 'a\nb\0c' | m -k -0 work.c:size | tr '\n' ' ')"
    printf 'x\nyy\n' >list
    same '-a' '1 2 ' "$(m -k -a list work.c:size | tr '\n' ' ')"
    same '-a -' '1 2 ' "$(m -k -a - work.c:size <list | tr '\n' ' ')"
    same '::::' '1 2 ' "$(m -k work.c:size :::: list | tr '\n' ' ')"

    seq 20000 >numbers
    m -k work.c:echo <numbers >got
    same_files 'a file keeps its order' numbers got
    # shellcheck disable=SC2002
    cat numbers | m -k work.c:echo >got
    same_files 'a pipe keeps its order' numbers got
    m work.c:echo <numbers | sort -n >got
    same_files 'nothing is lost' numbers got
    head -c 3000000 /dev/zero | tr '\0' x >long
    same 'a long line' '3000000' "$(m work.c:size <long)"

    mkdir -p tree/a/b tree/c
    printf 12 >tree/a/two; printf 123 >tree/a/b/three; : >tree/c/none
    ln -sf ../a tree/c/link
    same 'files' '2 0 ' \
        "$(m -k --each file work.c:size ::: tree/a/two tree/c/none | tr '\n' ' ')"
    same 'a tree' '3 2 0 ' "$(m -k --each file work.c:size ::: tree | tr '\n' ' ')"
    # links that lead back up are not followed below an input, only as one
    ln -sfn .. tree/a/up
    ln -sfn . tree/a/b/self
    ln -sfn tree/a into
    same 'a tree with loops' '3 2 0 ' \
        "$(m -k --each file work.c:size ::: tree | tr '\n' ' ')"
    same 'a link to a tree' '3 2 ' \
        "$(m -k --each file work.c:size ::: into | tr '\n' ' ')"
    same 'a loop as an input' '3 2 0 ' \
        "$(m -k --each file work.c:size ::: tree/a/up | tr '\n' ' ')"
    same 'files by name on a pipe' '2 3 2 ' \
        "$(printf 'tree/a/two\ntree/a\n' |
            m -k --each file work.c:size | tr '\n' ' ')"
    m -k --each file --joblog log work.c:size ::: tree/a/two "$(printf '%05000d' 0)" tree/a/two >got
    same 'a name that is too long costs itself' 1 $?
    same 'and no other' '2 2 ' "$(tr '\n' ' ' <got)"
    same 'with a record' '1:0 2:-36 3:0 ' "$(tail -n +2 log | cut -f1,7 | tr '\t\n' ': ')"
    m -k --each file work.c:copy ::: numbers >got
    same_files 'the contents of a file' numbers got

    same 'records' '4 4 2 ' \
        "$(printf 0123456789 | m -k --each record=4 work.c:size | tr '\n' ' ')"
    printf 0123456789 >ten
    same 'records of a file' '4 4 2 ' \
        "$(m -k --each record=4 work.c:size ::: ten | tr '\n' ' ')"
    same 'records of two files' '8 2 8 2 ' \
        "$(m -k --each record=8 work.c:size ::: ten ten | tr '\n' ' ')"
    m -k --each chunk=1000 work.c:copy <numbers >got
    same_files 'chunks have every byte once' numbers got
    same 'chunks end with a line' '' \
        "$(m -k --each chunk=1000 --tag work.c:copy ::: numbers |
            cut -f2 | cmp - numbers)"
    seq 300000 >many
    (echo first && cat many) >tail
    m -k --each chunk=300K work.c:copy ::: many >got
    same_files 'chunks that are ranges' many got
    same 'how many chunks' '7' \
        "$(m --each chunk=300K work.c:size ::: many | wc -l)"
    # shellcheck disable=SC2002
    same 'sizes of chunks, by pipe and by range' \
        "$(m -k --each chunk=300K work.c:size ::: many)" \
        "$(cat many | m -k --each chunk=300K work.c:size)"
    # what only this process has by that name is read here; not a file of the name
    echo other >./-
    m -k --each chunk=300K work.c:copy <many >got
    same_files 'large chunks of standard input' many got
    m -k --each record=300K work.c:copy <many >got
    same_files 'large records of standard input' many got
    (read -r _ && m -k --each chunk=300K work.c:copy) <tail >got
    same_files 'from where it stands' many got
    m -k --each chunk=300K -a /dev/stdin work.c:copy <many >got
    same_files 'by its name' many got
    m -k --each chunk=300K work.c:copy ::: /dev/fd/3 3<many >got
    same_files 'large chunks of a descriptor' many got
    m -k --each file work.c:copy ::: /dev/fd/3 3<many >got
    same_files 'a descriptor as a file' many got
    printf 'a\nlonger than a chunk\nb' >uneven
    same 'a line longer than a chunk' '22 1 ' \
        "$(m -k --each chunk=3 work.c:size ::: uneven | tr '\n' ' ')"
done

# Behind a slow first task -k runs on for a while, and no further.
cat >hold.c <<'EOC'
#include <muster/task.h>
#include <stdatomic.h>
#include <unistd.h>

static _Atomic long n_run;

/* The first ends when no other has run for a while: too early on a machine that is
 * busy, but never too late. */
int hold(struct mu_task *t)
{
    long before = -1;

    if (*(const char *)mu_task_input(t, NULL) != 'x') {
        atomic_fetch_add(&n_run, 1);
        return 0;
    }
    while (before != atomic_load(&n_run)) {
        before = atomic_load(&n_run);
        usleep(300 * 1000);
    }
    return mu_task_printf(t, "%ld\n", before);
}
EOC
model=threads:2
n=$( (echo x; seq 300000) | m -k hold.c:hold)
same 'behind a slow task at most 100,000 run' 1 "$([ "$n" -le 100001 ] && echo 1)"

# A pipe is worked on as it arrives: the first answer comes before the writer
# writes on, else both wait for ever (the test times out).
model=threads:2
mkfifo there back
m work.c:echo <there >back &
exec 3>there 4<back
echo one >&3
read -r answer <&4
echo two >&3
read -r second <&4
exec 3>&-
wait $!
same 'a pipe is answered as it arrives' 'one two' "$answer $second"

# a named pipe as a file is read to its end; several in a row, and beside files
mkfifo first second
for model in $MODELS; do
    printf 123 >first &
    printf 12345 >second &
    same 'named pipes as files' 'first 3 ten 10 second 5 ' \
        "$(m -k --each file --tag work.c:size ::: first ten second | tr '\t\n' '  ')"
    wait
    seq 3 >first &
    same 'lines of a named pipe' '1 2 3 ' "$(m -k work.c:echo -a first | tr '\n' ' ')"
    wait
done
same 'a device as a file' 0 "$(m --each file work.c:size ::: /dev/null)"
has 'one without an end' '^muster: /dev/zero gives more than 1 GiB: --each chunk=SIZE cuts it$' \
    "$("$MUSTER" map --quiet --each file work.c:size ::: /dev/zero 2>&1)"
seq 3 >first &
same 'compare reads a named pipe once' 3 \
    "$("$MUSTER" compare --json --rounds 1 -a first work.c:echo 2>/dev/null | sed 's/.*"tasks":\([0-9]*\).*/\1/')"
wait

# what a name stands for cannot be read: that input has failed, wherever it came from,
# and the others run
model=processes:2
printf 'work.c\nnosuch\n/dev/null\nwork.c\n' >names
for each in 'work.c:size' '-- wc -l'; do
    # shellcheck disable=SC2086
    "$MUSTER" map --model "$model" --joblog log --each file $each <names >/dev/null 2>&1
    by_lines=$?
    # shellcheck disable=SC2086
    "$MUSTER" map --model "$model" --joblog log2 --each file $each ::: work.c nosuch /dev/null work.c \
        >/dev/null 2>&1
    same "missing files by words and by lines, $each" "$by_lines" $?
    same "all have a record, $each" "$(wc -l <log)" "$(wc -l <log2)"
done
m --each file work.c:size ::: work.c nosuch work.c >got 2>/dev/null
same 'status of a missing file' 1 $?
same 'the others run' 2 "$(wc -l <got)"

ln -s ring ring
same 'a link that leads in a circle' 1 "$(m --each file work.c:size ::: ring >/dev/null 2>&1; echo $?)"

# a file that has no size but contents
for model in $MODELS; do
    same 'a file of /proc' "$(wc -c </proc/version)" "$(m --each file work.c:size ::: /proc/version)"
    : >empty
    same 'an empty file' 0 "$(m --each file work.c:size ::: empty)"
done

# below a directory a path longer than the system takes is left out, and said so
name=$(printf '%0200d' 0)
mkdir deep
(
    cd deep || exit
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22; do
        mkdir "$name" && cd "$name" || exit
    done
    : >file
) 2>/dev/null
echo >deep/a
echo >deep/b
got=$(m -k --each file work.c:size ::: "$PWD/deep" 2>err)
same 'status of a path that is too long' 255 $?
same 'the others' '1 1' "$(echo $got)"
has 'it is said, shortened' '^muster: cannot read .{0,420}: File name too long: take a shorter name$' "$(cat err)"
rm -rf deep

# blank lines name no file, where they are to be left out
printf 'ab\n\n \t\nab\n' >blank
printf '%s\n' ab >ab
same '-r --each file' '3 3 0 ' "$( (m -r --each file -a blank work.c:size; echo $?) | tr '\n' ' ')"
same '-r --each record' 'ab' "$(m -r --each record=9 work.c:copy ::: '' ab ' ' 2>&1)"

# what cannot be read is told by the status when nothing runs, too
echo ab >ab
for dry in '' --dry-run; do
    # shellcheck disable=SC2086
    m $dry --each record=2 work.c:copy ::: nope ab >got 2>errors
    same "status of what cannot be read $dry" 255 $?
    has "said $dry" 'cannot read nope' "$(cat errors)"
done

# standard input that another process has made one that does not wait
model=serial
mkfifo nonblock
exec 7<>nonblock 6>nonblock 5<nonblock 7<&-
dd iflag=nonblock count=0 status=none <&5
"$MUSTER" map --quiet --model serial work.c:echo <&5 >out 2>&1 6>&- &
pid=$!
echo a >&6
$HANG sh -c 'until [ -s out ]; do sleep 0.01; done'
echo b >&6
exec 6>&-
wait $pid
same 'status of a standard input that does not wait' 0 $?
same 'a standard input that does not wait' 'a b ' "$(tr '\n' ' ' <out)"
exec 5<&-
finish
