#!/bin/sh
# test_stuck.sh: the reader of what is written does not read: one signal ends the command,
# and nothing that was not read has a record.
. "$(dirname "$0")/lib.sh"
model=all
cat >much.c <<'EOF'
#include <muster/task.h>
#include <stdlib.h>

/* More than any pipe holds. */
int much(struct mu_task *t)
{
    char *bytes = calloc(1, 4 << 20);
    int rc = mu_task_write(t, bytes, 4 << 20);

    free(bytes);
    return rc;
}
EOF
"$MUSTER" map --quiet much.c:much ::: compiled >/dev/null
seq 500000 >many

# stuck NAME FIFO OPTION...: it waits for the reader of the FIFO when TERM comes. All do so
# at the same time, for each has patience for two seconds.
stuck() {
    name=$1
    fifo=$2
    shift 2
    mkfifo "$fifo"
    echo "$name" >>names
    (
        exec 8<>"$fifo"
        [ "$fifo" = fifo.csv ] || exec >"$fifo"
        timeout -s KILL 60 "$MUSTER" map --joblog "$name.log" "$@" 2>"$name.err" 8<&- &
        pid=$!
        # it has begun, and cannot end
        head -c 1 <&8 >"$name.first"
        kill -TERM "$(cat /proc/$pid/task/$pid/children)"
        wait $pid
        echo $? >"$name.status"
    ) &
}
stuck serial 1.fifo --model serial much.c:much ::: a
stuck threads 2.fifo --model threads:2 much.c:much ::: a b
stuck processes 3.fifo --model processes:2 -k much.c:much ::: a b
stuck reduce 4.fifo --model processes:2 --reduce much much.c:much ::: a b
stuck results fifo.csv --model serial --results fifo.csv much.c:much ::: a
stuck dry-run 5.fifo --dry-run much.c:much -a many
wait
while read -r name; do
    same "status, $name" 255 "$(cat "$name.status")"
    has "who is waited for, $name" '^muster: cannot write to .*: a signal came, and nobody takes it' "$(cat "$name.err")"
    same "and nothing else is said, $name" 1 "$(wc -l <"$name.err")"
done <names
for name in serial threads processes results; do
    same "records, $name" 0 "$(tail -n +2 "$name.log" | wc -l)"
done
finish
