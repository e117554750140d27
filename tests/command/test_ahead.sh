#!/bin/sh
# test_ahead.sh: while nobody reads the output, and with -k behind a task that takes long,
# no more tasks run than may hold theirs.
. "$(dirname "$0")/lib.sh"

cat >much.c <<'EOF2'
#include <fcntl.h>
#include <muster/task.h>
#include <stdlib.h>
#include <unistd.h>

/* More than a pipe holds and than is gathered; tells that it has begun. */
int much(struct mu_task *t)
{
    enum { BYTES = 400000 };
    char *bytes = calloc(1, BYTES);
    int fd = open("begun", O_WRONLY | O_APPEND | O_CLOEXEC);
    int rc = write(fd, "\n", 1) == 1 ? mu_task_write(t, bytes, BYTES) : 1;

    close(fd);
    free(bytes);
    return rc;
}
EOF2

# await_more N: until more than N have begun; for a second behind the first
await_more() {
    $HANG sh -c 'until [ -s begun ]; do sleep 0.01; done'
    n_looks=0
    while [ "$(wc -l <begun)" -le "$1" ] && [ $((n_looks += 1)) -le 20 ]; do
        sleep 0.05
    done
}

# begin FIFO ARGUMENT...: the command with its output in the FIFO, which has a reader that
# does not read: descriptor 8
begin() {
    mkfifo "$1"
    exec 8<>"$1"
    : >begun
    exec 9>"$1"
    shift
    timeout -s KILL 300 "$MUSTER" map --quiet "$@" 2>/dev/null >&9 8<&- 9>&- &
    exec 9>&-
}

seq 500 >many

# Nothing has been taken when the first output is written, and so 2 tasks were handed over
# for each worker.
"$MUSTER" map --quiet much.c:much ::: 1 >/dev/null 2>&1
for model in threads:2 processes:2; do
    begin "$model.fifo" --model "$model" -a many much.c:much
    await_more 4
    same 'tasks whose output is not read' 4 "$(wc -l <begun)"
    exec 8<&-
    wait
done
model=processes:2
begin commands.fifo -j2 -a many -- 'echo >>begun; head -c 400000 /dev/zero; : {}'
await_more 4
same 'commands whose output is not read' 4 "$(wc -l <begun)"
exec 8<&-
wait

# With -k they are held behind the first: 8 of them are as much as may be, and 4 run. What a
# sanitizer needs for them is too much.
if [ -n "${SANITIZER:-}" ]; then
    finish
fi
mkfifo go
exec 7<>go
begin kept.fifo -j2 -k -- 'echo >>begun; [ {} != 1 ] || read -r _ <go; head -c 32M /dev/zero' \
    ::: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30
await_more 12
n_begun=$(wc -l <begun)
same "commands behind one that takes long: at most 12, $n_begun" 1 "$((n_begun <= 12))"
echo >&7
exec 8<&-
wait
finish
