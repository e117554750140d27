#!/bin/sh
# test_lastwords.sh: under a model that does not isolate a crash ends the command,
# which says which input did it, which ran beside it, and what would have held it.
. "$(dirname "$0")/lib.sh"
cat >fall.c <<'EOC'
#include <muster/task.h>
#include <stdlib.h>
#include <string.h>

int fall(struct mu_task *t)
{
    size_t n;
    const char *s = mu_task_input(t, &n);

    if (n == 4 && memcmp(s, "fall", 4) == 0)
        abort();
    return 0;
}
EOC
for model in serial threads:1; do
    "$MUSTER" map --quiet --model $model fall.c:fall ::: a fall b >out 2>err && status=0 || status=$?
    same "status ($model)" 134 $status
    has "the input ($model)" "^muster: input 2 crashed: SIGABRT .*--model processes" "$(cat err)"
    has "its name ($model)" "it was 'fall'" "$(cat err)"
done
# what combines is no input
cat >step.c <<'EOC'
#include <muster/task.h>
#include <stdlib.h>

int step(struct mu_task *t)
{
    if (mu_task_n_parts(t) > 1)
        abort();
    return 0;
}
EOC
for model in serial threads:1; do
    "$MUSTER" map --quiet --model $model --reduce step step.c:step ::: a b >out 2>err && status=0 || status=$?
    same "status of a step ($model)" 134 $status
    has "what did it ($model)" \
        '^muster: a step of --reduce crashed: SIGABRT ends the command: this model does not isolate$' "$(cat err)"
    same "no input ($model)" '' "$(grep -E 'input|it was' err)"
done
mkfifo gate
cat >pair.c <<'EOC'
#include <fcntl.h>
#include <muster/task.h>
#include <stdlib.h>
#include <unistd.h>

/* Both run when each has found the other at the fifo. */
int pair(struct mu_task *t)
{
    size_t n;
    const char *s = mu_task_input(t, &n);
    int fd = open("gate", s[0] == 'f' ? O_RDONLY : O_WRONLY);

    if (fd < 0)
        return 1;
    if (s[0] == 'f')
        abort();
    for (;;)
        pause();
}
EOC
"$MUSTER" map --quiet --model threads:2 pair.c:pair ::: fall stay >out 2>err && status=0 || status=$?
same 'status of two' 134 $status
has 'who did it' "it was 'fall'" "$(cat err)"
has 'who was beside it' "lost beside it: input 2 'stay'" "$(cat err)"
# whatever ends the process: what had ended before is written, and reported
cat >leave.c <<'EOC'
#include <muster/task.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

int leave(struct mu_task *t)
{
    const char *s = mu_task_input(t, NULL);

    if (strcmp(s, "abort") == 0)
        abort();
    if (strcmp(s, "exit") == 0)
        exit(0);
    if (strcmp(s, "exit7") == 0)
        exit(7);
    if (strcmp(s, "thread") == 0)
        pthread_exit(NULL);
    return mu_task_printf(t, "ok %s\n", s);
}
EOC
for model in serial threads:1; do
    for how in 'abort 134 SIGABRT' 'exit 255 called exit.0.' 'exit7 255 called exit.7.' \
        'thread 255 called pthread_exit..'; do
        input=${how%% *}
        how=${how#* }
        $HANG "$MUSTER" map --model $model --joblog log leave.c:leave ::: a b c "$input" d \
            >out 2>err && status=0 || status=$?
        same "status of $input" "${how%% *}" $status
        has "who did it: $input" "^muster: input 4 .*${how#* }.* ends the command" "$(cat err)"
        has "its name: $input" "it was '$input'" "$(cat err)"
        same "what had ended before $input" 'ok a ok b ok c ' "$(tr '\n' ' ' <out)"
        # of what waited behind it the command may not have heard yet
        has "and how many: $input" '^muster: 3 done(, 1 cancelled)?, 1 abandoned in ' "$(cat err)"
        same "its records: $input" '1 2 3 ' "$(tail -n +2 log | cut -f1 | tr '\n' ' ')"
    done
done
# two that die at once: the first speaks and ends the command, with what has ended saved
cat >both.c <<'EOC'
#include <muster/task.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic int n_here;

static void *leave(void *arg)
{
    (void)arg;
    exit(0);
}

int both(struct mu_task *t)
{
    const char *s = mu_task_input(t, NULL);
    pthread_t thread;

    if (s[0] != 'x' && s[0] != 'a' && s[0] != 't' && s[0] != 'b')
        return mu_task_printf(t, "%s\n", s);
    if (s[0] == 'b')
        return pthread_create(&thread, NULL, leave, NULL) || pthread_join(thread, NULL);
    n_here++;
    while (n_here < 2)
        ;
    if (s[0] == 'x')
        exit(0);
    if (s[0] == 'a')
        abort();
    pthread_exit(NULL);
}
EOC
model=threads:2
rounds='1 2 3 4 5 6 7 8 9 10'
# the thread sanitizer sleeps for a second at each end
[ -z "${SANITIZER:-}" ] || rounds='1 2'
for how in 'x 255' 'a 134' 't 255'; do
    input=${how% *}
    for _ in $rounds; do
        { seq 20 && echo "$input" && echo "$input"; } |
            $HANG "$MUSTER" map --model $model both.c:both >out 2>err && status=0 || status=$?
        same "status of two at once: $input" "${how#* }" $status
        same "one speaks: $input" 1 "$(grep -c 'ends the command' err)"
        same "what had ended: $input" "$(sed -n 's/^muster: \([0-9]*\) done.*/\1/p' err)" \
            "$(wc -l <out | tr -d ' ')"
    done
done
for model in serial threads:1; do
    $HANG "$MUSTER" map --model $model both.c:both ::: b >out 2>err && status=0 || status=$?
    same 'status when a thread of a task leaves' 255 $status
    has 'and what it did' '^muster: exit.0., which ends the command' "$(cat err)"
done
"$MUSTER" map --quiet --model processes:1 fall.c:fall ::: a fall b >out 2>err && status=0 || status=$?
same 'where it isolates one failed' 1 $status
finish
