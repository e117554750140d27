#!/bin/sh
# test_signals.sh: SIGINT, SIGKILL and --resume: nothing is lost, nothing runs
# twice. Tasks and the test wait for each other through fifos, not for the clock.
. "$(dirname "$0")/lib.sh"
cat >gate.c <<'EOF'
#include <fcntl.h>
#include <muster/task.h>
#include <string.h>
#include <unistd.h>

/* Tell that it runs, through the fifo "up", and if its input is "wait", end only
 * with a byte from the fifo "go". */
int gate(struct mu_task *t)
{
    size_t n;
    const char *s = mu_task_input(t, &n);
    int fd = open("up", O_WRONLY);
    char c;

    if (write(fd, "x\n", 2) != 2)
        return 1;
    close(fd);
    if (n == 4 && memcmp(s, "wait", 4) == 0) {
        fd = open("go", O_RDONLY);
        if (read(fd, &c, 1) != 1)
            return 2;
        close(fd);
    }
    mu_task_write(t, s, n);
    return mu_task_write(t, "\n", 1);
}

/* The same for every input. */
int wait(struct mu_task *t)
{
    int fd = open("up", O_WRONLY);
    char c;

    return write(fd, "x\n", 2) != 2 || read(open("go", O_RDONLY), &c, 1) != 1 ||
           !t;
}

int join(struct mu_task *t)
{
    for (size_t i = 0; i < mu_task_n_parts(t); i++) {
        size_t n;
        const char *s = mu_task_part(t, i, &n);

        mu_task_write(t, s, n);
    }
    return 0;
}
EOF

# descendants PID: all processes below it
descendants() {
    for below in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
        echo "$below"
        descendants "$below"
    done
}

mkfifo up go inputs
# both ends stay open, so that nobody waits to open one
exec 5<>up 7<>go

# drop what is left in a fifo
drain() {
    dd if="$1" of=/dev/null iflag=nonblock 2>/dev/null
}

# all_taken PID: it has taken the inputs or signals that are there, and sleeps
all_taken() {
    while [ "$(cut -d' ' -f3 /proc/"$1"/stat)" != S ]; do
        kill -0 "$1" || break
    done
}

# interrupt_hundred OPTION...: a SIGINT while a hundred inputs are taken, few of which run
interrupt_hundred() {
    exec 6<>inputs
    "$MUSTER" map --model "$model" "$@" gate.c:gate <&6 >out 2>err 5<&- 6<&- 7<&- &
    pid=$!
    yes wait | head -n 100 >&6
    read -r _ <&5
    all_taken $pid
    kill -INT $pid
    while ! grep -q interrupted err; do
        kill -0 $pid || break
    done
    all_taken $pid # with --reduce it cancels after it has said so
    yes '' | head -n 100 >&7
    wait $pid
}

for model in $MODELS; do
    case $model in
    serial) continue ;;
    esac

    # one SIGINT: no more inputs, but what runs ends
    exec 6<>inputs
    "$MUSTER" map --model "$model" --joblog log gate.c:gate <&6 >out 2>err 5<&- 6<&- 7<&- &
    pid=$!
    echo wait >&6
    read -r _ <&5
    kill -INT $pid
    # its answer comes when the signal has been seen
    while ! grep -q interrupted err; do
        kill -0 $pid || break
    done
    echo late >&6
    echo >&7
    wait $pid
    same 'status of SIGINT' 255 $?
    same 'what ran has ended' wait "$(cat out)"
    has 'the report' '1 done in' "$(tail -n 1 err)"
    same 'its record' 2 "$(wc -l <log)"
    exec 6<&-

    # what waits for a worker does not start after it
    interrupt_hundred --joblog log
    same 'what had not started was left' 1 "$([ "$(wc -l <out)" -le 4 ] && echo 1)"
    # but for what had not been handed over yet
    has 'and counts as cancelled' ', [1-9][0-9]* cancelled' "$(tail -n 1 err)"
    exec 6<&-
    drain up
    drain go

    # nor is it done for a bar
    interrupt_hundred --bar --total-jobs 100
    has 'the bar tells what is done' '^ +[1-4]% \[[#.]+\] [1-4]/100 done, ' "$(grep '/100 done' err | tail -n 1)"
    exec 6<&-
    drain up
    drain go

    # with --reduce too, and what ran is in the result
    interrupt_hundred --reduce join
    same 'status of SIGINT with --reduce' 255 $?
    n_done=$(sed -n 's/^muster: \([0-9]*\) done[, ].*/\1/p' err)
    same 'a few ran' 1 "$([ "$n_done" -ge 1 ] && [ "$n_done" -le 4 ] && echo 1)"
    same 'what ran is in the result' "$(yes wait | head -n "$n_done")" "$(cat out)"
    exec 6<&-
    drain up
    drain go

    # two: what runs is stopped, where the model can
    case $model in
    processes*)
        exec 6<>inputs
        "$MUSTER" map --model "$model" --joblog log gate.c:gate <&6 >out 2>err 5<&- 6<&- 7<&- &
        pid=$!
        echo wait >&6
        read -r _ <&5
        kill -INT $pid
        while ! grep -q interrupted err; do
            kill -0 $pid || break
        done
        kill -INT $pid
        wait $pid
        same 'status of two SIGINT' 255 $?
        same 'no output of what was stopped' '' "$(cat out)"
        has 'it counts as cancelled' '1 cancelled' "$(tail -n 1 err)"
        same 'and has no record' 1 "$(wc -l <log)"
        exec 6<&-
        ;;
    esac

    # SIGKILL: what has a record does not run again, everything else does
    exec 6<>inputs
    "$MUSTER" map --quiet --model "$model" --joblog log gate.c:gate <&6 >out 5<&- 6<&- 7<&- &
    pid=$!
    printf '1\n2\n3\nwait\n' >&6
    for _ in 1 2 3 4; do
        read -r _ <&5
    done
    while [ "$(wc -l <log)" -lt 4 ]; do
        kill -0 $pid || break
    done
    workers=$(descendants $pid)
    kill -KILL $pid
    wait $pid 2>/dev/null
    # the old workers wait at the gate too: not one may be left to pass it
    for worker in $workers; do
        while [ -e /proc/"$worker"/exe ]; do :; done
    done
    exec 6<&-
    same 'records before SIGKILL' '1 2 3 ' "$(tail -n +2 log | cut -f1 | sort | tr '\n' ' ')"
    cat out >all
    printf '1\n2\n3\nwait\n5\n' >again
    echo >&7
    m --joblog log --resume gate.c:gate <again >>all 5<&- 7<&-
    for _ in 1 2; do
        read -r _ <&5
    done
    same 'each ran once' '1 2 3 5 wait ' "$(sort all | tr '\n' ' ')"

    # the same somewhere in the middle of many
    seq 50000 >many
    "$MUSTER" map --quiet --model "$model" --joblog log work.c:echo <many >out &
    pid=$!
    while [ "$(wc -l <log)" -lt 2000 ]; do
        kill -0 $pid 2>/dev/null || break
    done
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
    # the kill may cut the last record: that is none
    n_before=$(($(wc -l <log) - 1))
    tail -n +2 log | head -n $n_before | cut -f9 | sed 's/.* //' | sort >recorded
    sort out >written
    same 'what has a record is written' '' "$(comm -23 recorded written | head -3)"
    same 'at most one more is' 1 "$([ "$(comm -13 recorded written | wc -l)" -le 1 ] && echo 1)"
    m --joblog log --resume work.c:echo <many >rest
    same 'the rest ran' "$((50000 - n_before))" "$(wc -l <rest)"
    sort recorded rest >all
    sort many >expected
    same_files 'each ran' expected all
    same 'each has one record' 50000 "$(tail -n +2 log | cut -f1 | sort -u | wc -l)"
done
# while a pipe is opened or read nothing runs: one signal is enough, from when SIGTERM
# is caught; not by timeout, which catches it too and is what runs there at first
mkfifo silent
for model in $MODELS; do
    for from in '-a silent' '--each file ::: silent' '--each chunk=1K -a silent' \
        '--each chunk=1K ::: silent' '--dry-run -a silent' '--halt soon,done=30% -a silent' \
        '--reduce join -a silent'; do
        # shellcheck disable=SC2086
        $HANG "$MUSTER" map --model "$model" gate.c:gate $from >out 2>err 5<&- 7<&- &
        pid=$!
        while ! muster=$(cat /proc/$pid/task/$pid/children) || [ -z "$muster" ] ||
            ! tr '\0' ' ' <"/proc/${muster% }/cmdline" 2>/dev/null | grep -q "^$MUSTER " ||
            ! grep -qs '^SigCgt:.*[4-7c-f]...$' "/proc/${muster% }/status"; do
            kill -0 $pid || break
        done
        kill -TERM "${muster% }"
        wait $pid
        same "status of a signal with $from" 255 $?
    done
    # a task beside it ends first, or with the second
    case $model in
    processes*) ;;
    *) continue ;;
    esac
    echo x >file
    "$MUSTER" map --model "$model" --each file gate.c:wait ::: file silent >out 2>err 5<&- 7<&- &
    pid=$!
    read -r _ <&5
    kill -INT $pid
    while ! grep -q interrupted err; do
        kill -0 $pid || break
    done
    kill -INT $pid
    wait $pid
    same 'status of two beside a pipe' 255 $?
    has 'what ran was stopped' '1 cancelled' "$(tail -n 1 err)"
done
# two where what runs cannot be stopped: what has ended is written and reported, and
# the command ends without the rest
for model in serial threads:1; do
    # the thread sanitizer keeps signals back while the main thread reads in a task
    [ "$model ${SANITIZER:-}" = "serial thread" ] && continue
    $HANG "$MUSTER" map --model $model --joblog log gate.c:gate ::: 1 wait 3 >out 2>err 5<&- 7<&- &
    pid=$!
    read -r _ <&5
    read -r _ <&5
    while ! muster=$(cat /proc/$pid/task/$pid/children) || [ -z "$muster" ]; do :; done
    kill -INT "${muster% }"
    kill -TERM "${muster% }"
    wait $pid
    same 'status of two signals' 255 $?
    same 'what had ended before them' 1 "$(cat out)"
    # of the third the command may not have heard yet
    has 'its report' '^muster: 1 done(, 1 cancelled)?, 1 abandoned in' "$(tail -n 1 err)"
    same 'its record' 2 "$(wc -l <log)"
done
# The command below $HANG, which is $pid, and see it end.
interrupt_twice() {
    while ! muster=$(cat /proc/$pid/task/$pid/children) || [ -z "$muster" ]; do :; done
    kill -INT "${muster% }"
    while ! grep -q interrupted err; do
        kill -0 $pid || break
    done
    kill -INT "${muster% }"
    wait $pid
}
# with -k one that has ended is written though the one before it never will be: of the
# last two, which run on the other thread, the first has
$HANG "$MUSTER" map -k --model threads:2 gate.c:gate ::: wait 2 3 >out 2>err 5<&- 7<&- &
pid=$!
for _ in 1 2 3; do
    read -r _ <&5
done
interrupt_twice
has 'what had ended with -k' '^[23]$' "$(head -n 1 out)"
has 'the report of -k' '^muster: [12] done, [12] abandoned in' "$(tail -n 1 err)"
# and with --reduce it is said that there is no result, and of how many
$HANG "$MUSTER" map --model threads:2 --reduce join gate.c:gate ::: wait >out 2>err 5<&- 7<&- &
pid=$!
read -r _ <&5
interrupt_twice
same 'status of two signals with --reduce' 255 $?
has 'the report of --reduce' '^muster: 0 done, 1 abandoned in' "$(tail -n 1 err)"

# one signal ends compare: with the figures of the rounds that are whole, where there are any
"$MUSTER" compare gate.c:gate ::: wait >out 2>err 5<&- 7<&- &
pid=$!
read -r _ <&5
kill -TERM $pid
wait $pid 2>/dev/null
same 'status of compare' 143 $?
same 'no figures' '' "$(cat out)"
has 'and why' '^muster: interrupted before the first round: there are no figures$' "$(cat err)"
cat >later.c <<'EOC'
#include <fcntl.h>
#include <muster/task.h>
#include <unistd.h>

/* The third that is called so tells that it runs, and never ends. */
int later(struct mu_task *t)
{
    int fd = open("calls", O_WRONLY | O_CREAT | O_APPEND, 0600);

    if (write(fd, "x", 1) != 1 || lseek(fd, 0, SEEK_END) < 3)
        return close(fd);
    fd = open("up", O_WRONLY);
    if (write(fd, "x\n", 2) == 2)
        for (;;)
            (void)pause();
    return !t;
}
EOC
"$MUSTER" compare --rounds 3 --models serial later.c:later ::: a >out 2>err 5<&- 7<&- &
pid=$!
read -r _ <&5
kill -TERM $pid
wait $pid 2>/dev/null
same 'status of compare in its second round' 143 $?
has 'the figures of the first' '^serial +[0-9.,]+ ' "$(cat out)"
has 'and that there are no more' '^muster: interrupted: these are the figures of the rounds that are whole$' "$(cat err)"
finish
