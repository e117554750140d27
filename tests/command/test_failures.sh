#!/bin/sh
# test_failures.sh: exit statuses, retries, --halt, reports, crashes.
. "$(dirname "$0")/lib.sh"

cat >deep.c <<'EOF'
#include <muster/task.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int *volatile nowhere = (int *)8;

__attribute__((noinline)) static int inner(int n)
{
    *nowhere = n;
    return *nowhere;
}

int deep(struct mu_task *t)
{
    return inner(3) + mu_task_printf(t, "never\n");
}

static int *volatile null;

int at_null(struct mu_task *t)
{
    return mu_task_printf(t, "never %d\n", *null);
}

int real_time(struct mu_task *t)
{
    kill(getpid(), SIGRTMAX - 3);
    for (;;)
        pause();
    return mu_task_printf(t, "never\n");
}

/* 400 MB, and no more: what a limit of 64 MB has to end. */
int leak(struct mu_task *t)
{
    for (int i = 0; i < 400; i++) {
        char *volatile piece = malloc(1 << 20);

        memset(piece, 1, 1 << 20);
    }
    return mu_task_printf(t, "leaked\n");
}
EOF

cat >stay.c <<'EOF'
#include <fcntl.h>
#include <muster/task.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

/* "stay" never ends; what is beside it fails once that has started. */
int stay(struct mu_task *t)
{
    if (strncmp(mu_task_input(t, NULL), "stay", 4) == 0) {
        close(open("started", O_CREAT | O_WRONLY, 0600));
        for (;;)
            pause();
    }
    while (access("started", F_OK))
        sched_yield();
    return 3;
}
EOF
# the same as a command, whose child waits and leaves its number
cat >stay.sh <<'EOF'
if [ "$1" = stay ]; then
    sh -c 'echo $$ >child; : >started; read x <never'
    echo never
fi
until [ -e started ]; do :; done
exit 3
EOF

cat >many.c <<'EOF'
#include <errno.h>
#include <muster/task.h>
#include <stdlib.h>
#include <unistd.h>

/* As many children at a time as the input says. */
int children(struct mu_task *t)
{
    int n = atoi(mu_task_input(t, NULL));

    for (int i = 0; i < n; i++) {
        pid_t pid = fork();

        if (pid < 0)
            return errno;
        if (pid == 0)
            for (;;)
                pause();
    }
    return 0;
}
EOF

# status EXPECTED ARGUMENT...
status() {
    expected=$1
    shift
    m "$@" >/dev/null 2>&1
    same "status of $*" "$expected" $?
}

cat >runs.c <<'EOF'
#include <muster/task.h>
#include <stdlib.h>
#include <unistd.h>

int runs(struct mu_task *t)
{
    return system("true") ? 1 : mu_task_printf(t, "%d\n", getpid());
}
EOF

mkfifo never

# what system() changes while it runs is nothing that a task leaves behind; without
# that there are more workers than fifty
same 'tasks that run system() cost no worker' 1 \
    "$([ "$(seq 200 | "$MUSTER" map --quiet --model processes:1/threads:4 runs.c:runs |
        sort -u | wc -l)" -le 10 ] && echo 1)"

for model in $MODELS; do
    status 0 work.c:code ::: 0 0
    status 2 work.c:code ::: 0 1 2
    seq 100 >hundred
    status 100 -a hundred work.c:code
    seq 150 >more
    status 101 -a more work.c:code
    same '--retries' 3 "$(m --retries 3 work.c:third ::: x)"
    status 1 --retries 2 work.c:third ::: x
    same '--retries 0 is as often as can be' 3 "$(m --retries 0 work.c:third ::: x)"

    status 3 --halt soon,fail=1 work.c:code ::: 3
    status 0 --halt soon,success=1 work.c:code ::: 3 0
    status 2 --halt soon,fail=2 work.c:code ::: 1 1
    status 50 --halt soon,fail=50% work.c:code ::: 1 1 0 0
    status 137 --halt now,fail=1 -- 'kill -9 $$' ::: a
    seq 100000 >inputs
    m --halt soon,done=10 -a inputs work.c:echo >got
    same '--halt soon: no more than one a worker after that' 1 \
        "$([ "$(wc -l <got)" -lt 20 ] && echo 1)"
    m --halt now,done=10 -k -a inputs work.c:echo >got
    same '--halt now' 1 "$([ "$(wc -l <got)" -lt 20 ] && echo 1)"

    # what it ends never ends by itself
    case $model in
    serial) ;;
    *)
        rm -f started
        $HANG "$MUSTER" map --quiet --model "$model" --halt now,fail=1 \
            -- sh stay.sh ::: stay x
        same '--halt now ends a command' 3 $?
        $HANG sh -c 'while [ -e /proc/$0/exe ]; do :; done' "$(cat child)"
        same 'and its children' 0 $?
        ;;
    esac
    case $model in
    processes*)
        rm -f started
        $HANG "$MUSTER" map --quiet --model "$model" --halt now,fail=1 \
            stay.c:stay ::: stay x
        same '--halt now ends a function' 3 $?
        ;;
    esac

    report=$("$MUSTER" map --model "$model" work.c:code ::: 0 5 0 2>&1 >/dev/null)
    has 'a failure and its input' "^muster: input 2, '5', failed.* 5" "$report"
    has 'the counts' '^muster: 2 done, 1 failed in .* a second, ' "$report"
    report=$("$MUSTER" map --model "$model" -a more work.c:code 2>&1 >/dev/null)
    has 'the rate is of what is done' '^muster: 0 done, 2 failed in .*, 0.00 a second' \
        "$("$MUSTER" map --model "$model" work.c:code ::: 1 1 2>&1 >/dev/null)"
    has 'many failures' 'and 100 more' "$report"
    report=$("$MUSTER" map --model "$model" -- 'exit {}' ::: 4 2>&1)
    has 'a command that failed' "input 1, '4', failed: exit status 4" "$report"
    report=$("$MUSTER" map --model "$model" -- 'kill -SEGV $$' ::: 4 2>&1)
    has 'a command that crashed' "'4', crashed: SIGSEGV" "$report"
    report=$("$MUSTER" map --model "$model" -- 'kill -36 $$' ::: 4 2>&1)
    has 'a command that crashed by a signal without a name' "'4', crashed: SIGRTMIN\+2" "$report"
    report=$("$MUSTER" map --json --model "$model" work.c:code ::: 0 5 2>&1 >got)
    has 'the report as JSON' '^\{"model":.*"done":1,"failed":1,.*"failures":\[\{"seq":2,"input":"5"' "$report"
    has 'outcomes as JSON' '^\{"seq":2,"input":"5","status":"failed","code":5,' "$(cat got)"
    has 'keys without blanks' '"timed_out":0,"out_of_memory":0,' "$report"
    has 'how it failed' '"how":"[^"]*5[^"]*"' "$(cat got)"
    same '--quiet' '' "$("$MUSTER" map --quiet --model "$model" work.c:code ::: 1 2>&1)"

    # a command that prints more than there is memory for costs nobody else anything
    if [ -z "${SANITIZER:-}" ]; then
        for to in 1 2; do
            report=$(ulimit -v 400000 &&
                "$MUSTER" map -k --model "$model" -- "[ {} != 2 ] || head -c 300000000 /dev/zero >&$to
                    echo {}" ::: 1 2 3 2>&1 >got)
            same "status of much to $to" 1 $?
            same "those beside much to $to" '1 3 ' "$(tr '\n' ' ' <got)"
            has "which had much to $to" "^muster: input 2, '2', failed: returned -(12 .Cannot allocate memory.|27 .File too large.)$" "$report"
        done
    fi

    case $model in
    processes*) ;;
    *) continue ;;
    esac
    report=$("$MUSTER" map -k --model "$model" work.c:crash ::: a bad c 2>&1 >got)
    same 'status of a crash' 1 $?
    same 'the others are not lost' 'a c ' "$(tr '\n' ' ' <got)"
    has 'a crash as JSON' '"signal":11,.*"how":"crashed: SIGSEGV at 0x8 in crash.*,"address":"0x8","frames":\["#0 crash' \
        "$(m --json work.c:crash ::: bad)"
    has 'and in the report' '"failures":\[\{"seq":1,.*"how":"crashed: .*","frames":\["#0 crash' \
        "$("$MUSTER" map --json --model "$model" work.c:crash ::: bad 2>&1 >got)"
    has 'which input, which signal, where' \
        "^muster: input 2, 'bad', crashed: SIGSEGV at 0x8 in crash" "$report"
    has 'that it was NULL' 'crashed: SIGSEGV at 0x0 in at_null' \
        "$("$MUSTER" map --model "$model" deep.c:at_null ::: a 2>&1)"
    has 'also as JSON' '"address":"0x0","frames":' "$(m --json deep.c:at_null ::: a)"
    has 'a signal that has no name of its own' 'crashed: SIGRTMAX-3' \
        "$("$MUSTER" map --model "$model" deep.c:real_time ::: a 2>&1)"
    has 'its backtrace' '^muster:     #0.*crash.*work.c' "$report"
    has 'the count' '2 done, 1 crashed in' "$report"
    report=$("$MUSTER" map --model "$model" deep.c:deep ::: a 2>&1)
    has 'the innermost frame' '^muster:     #0 inner.*deep.c:11' "$report"
    has 'and its caller' '^muster:     #1 deep .*deep.c:17' "$report"
    same 'and no frame of ours' '' "$(echo "$report" | grep '^muster:     #2')"
    report=$("$MUSTER" map --model "$model" deep.c:at_null ::: a 2>&1)
    has 'of a function that calls none' '^muster:     #0 at_null.*deep.c' "$report"
    same 'no frame of ours either' '' "$(echo "$report" | grep '^muster:     #1')"
    # which leaves out what lines are mostly found by
    if command -v clang >clang.log; then
        has 'a line of clang' '^muster:     #0 inner.*deep.c:11' \
            "$(CC=clang "$MUSTER" map --model "$model" deep.c:deep ::: a 2>&1)"
    fi
    # a sanitizer's own memory counts too, and it ends by itself when there is none
    if [ -z "${SANITIZER:-}" ]; then
        report=$("$MUSTER" map --memory 64M --model "$model" deep.c:leak ::: a 2>&1)
        has '--memory' "'a', out of memory" "$report"
    fi
    # where the kernel keeps no such limit the pool is not opened
    report=$("$MUSTER" map --children 20 --model "$model" many.c:children ::: 200 2>&1)
    has '--children' "failed: returned 11 at its limit on processes|RLIMIT_NPROC does not bind" "$report"
    case $report in
    *'(cgroup)'*)
        has '--children of a command' "'a', failed: exit status [0-9]+ at its limit on processes \(cgroup\)\$" \
            "$("$MUSTER" map --children 5 --model "$model" \
                -- 'for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; :' ::: a 2>&1)"
        has 'also in an object' ',"how":"[^"]*","limit":"limit on processes [(]cgroup[)]"[},]' \
            "$("$MUSTER" map --json --children 20 --model "$model" many.c:children ::: 200 2>report)"
        has 'and in that of the report' ',"how":"[^"]*","limit":"limit on processes [(]cgroup[)]"[},]' \
            "$(cat report)"
        ;;
    esac
    report=$("$MUSTER" map --children 20 --model "$model" many.c:children ::: 5 2>&1)
    has '--children, fewer' "^muster: 1 done|RLIMIT_NPROC does not bind" "$report"
    report=$("$MUSTER" map --timeout 0.2 --model "$model" work.c:hang ::: a 2>&1)
    has '--timeout of a function' "'a', timed out" "$report"
    m --joblog log --timeout 0.2 work.c:hang ::: a
    same 'its record' '-1' "$(tail -n 1 log | cut -f7)"
    m --joblog log work.c:crash ::: bad
    same 'the record of a crash' '0	11' "$(tail -n 1 log | cut -f7,8)"
done
finish
