#!/bin/sh
# test_compare.sh: muster compare runs the same work under each model and says
# which to take. What the figures are depends on the machine and is not looked at.
. "$(dirname "$0")/lib.sh"

models='serial|threads:[0-9]+|processes:[0-9]+|processes:[0-9]+/threads:[0-9]+'
table=$(seq 2000 | "$MUSTER" compare --rounds 2 work.c:echo 2>err)
same 'status' 0 $?
same 'no complaints' '' "$(cat err)"
has 'head of the table' '^model +tasks/s +spread +speed-up +CPU s +PSS MiB +switches$' "$table"
same 'a row for each model' 4 \
    "$(echo "$table" | grep -Ec "^($models) +[0-9.,]+ +-[0-9]+% [+][0-9]+% +[0-9.]+ ")"
has 'serial is its own measure' '^serial .* 1\.00 ' "$table"
has 'the verdict' '^(Take (serial|threads|processes|processes/threads): it is |No verdict: these rounds do not )' "$table"
same 'of two rounds nothing more' '' "$(echo "$table" | grep 'One round')"
same 'columns' '' "$(echo "$table" | head -n 5 | grep -E '.{81}')"
same 'columns below' '' "$(echo "$table" | tail -n +6 | grep -E '.{80}')"

json=$("$MUSTER" compare --rounds 1 --json --models threads,processes -j 2 work.c:echo ::: a b)
has 'as JSON' '^\{"tasks":2,"failed":0,"rounds":1,"models":\[\{"model":"threads:2","per_second":\{"median":[0-9.e+]+,' "$json"
has 'what to take' '"take":"(threads|processes)","why":"Take ' "$json"
has 'what one round is worth' 'One round cannot tell how much of this is noise: --rounds 5 can' "$json"
if command -v python3 >/dev/null; then
    same 'it can be read' 2 "$(echo "$json" |
        python3 -c 'import json, sys; print(len(json.load(sys.stdin)["models"]))')"
fi
table=$("$MUSTER" compare --quiet --rounds 1 --models serial --each file work.c:size ::: work.c)
same '--quiet has the table alone' 2 "$(echo "$table" | wc -l)"
has 'of one model there is no verdict' '"take":null,"why":"No verdict: no other model was run\."' \
    "$("$MUSTER" compare --json --rounds 1 --models serial work.c:echo ::: a)"
table=$("$MUSTER" compare --rounds 1 --reduce add work.c:echo ::: 1 2 3)
has '--reduce' '^Take ' "$table"
table=$("$MUSTER" compare --rounds 1 --each chunk=1K work.c:size <work.c)
has 'chunks of standard input' '^Take ' "$table"
# what is empty once it was read
mkfifo once
for words in '-- cat ::: once' '-- cat ::: work.c ::: once' '-- grep -c {} once ::: a' \
    '--each file work.c:size ::: once'; do
    # shellcheck disable=SC2086
    got=$(timeout 60 "$MUSTER" compare --rounds 1 --models serial $words 2>&1 8<>once)
    same "status of $words" 255 $?
    has "a pipe among the words: $words" '^muster: once can be read once, and every model reads it: write it to a file$' "$got"
done
table=$("$MUSTER" compare --rounds 1 --models threads,processes -- true ::: 1 2)
has 'commands' '^Take ' "$table"

# what does not go together is told before anything runs, and before inputs are read
for words in '-j 2 --models processes,threads:4' '-j 4096 --models processes,threads:2/processes' \
    '-j 65 --models processes,processes:64/threads'; do
    # shellcheck disable=SC2086
    got=$(timeout 60 "$MUSTER" compare $words -- 'echo ran >>ran; cat {}' 2>&1 8<>once <once)
    same "status of $words" 255 $?
    has "one line for $words" '^muster: .*(the model threads:4 has its counts already: leave -j 2 out|--models [a-z:/0-9]+: model: )' "$got"
    same "nothing ran with $words" 1 "$([ -e ran ] || echo 1)"
done

# nobody waits for inputs to be told that there is no such work
got=$(timeout 60 "$MUSTER" compare nowhere.c:f 2>&1 8<>once <once)
has 'a work that is not there' '^muster: cannot read nowhere.c: ' "$got"

# work that dies is compared only where it costs nothing but itself
table=$("$MUSTER" compare --rounds 1 work.c:crash ::: a bad c 2>err)
same 'status of a crash' 0 $?
has 'why models are missing' '1 of 3 tasks end their process: only models that isolate' "$(cat err)"
same 'only models that isolate' 2 "$(echo "$table" | grep -c '^processes')"
same 'none of the others' '' "$(echo "$table" | grep -E '^(serial|threads)')"
got=$("$MUSTER" compare --models serial --rounds 1 work.c:crash ::: bad 2>&1)
same 'status when none is left' 255 $?
has 'no model is left' 'none of the models isolates' "$got"
table=$($HANG "$MUSTER" compare --rounds 1 --timeout 0.2 work.c:hang ::: a 2>err)
same 'status of --timeout' 1 $?
has 'who hangs ends its process' '1 of 1 tasks end their process' "$(cat err)"
table=$("$MUSTER" compare --rounds 1 --timeout 60 work.c:echo ::: a 2>err)
same 'who does not is compared everywhere' 4 "$(echo "$table" | grep -Ec "^($models)")"
# nothing can be said of work that fails, as map says it
table=$("$MUSTER" compare --rounds 1 work.c:code ::: 1 2 3 2>err)
same 'status when all fail' 3 $?
has 'no verdict when all fail' '^No verdict: all tasks failed' "$table"
has 'as JSON' '"take":null,"why":"No verdict: all' \
    "$("$MUSTER" compare --rounds 1 --json work.c:code ::: 1 2>&1)"
"$MUSTER" compare --rounds 1 --quiet --models serial work.c:code ::: 0 1 >/dev/null
same 'status when some fail' 0 $?
seq 200 | "$MUSTER" compare --rounds 1 --quiet --models serial work.c:code >/dev/null
same 'status when very many fail' 101 $?
# where more fails than did, the rate says nothing
cat >apart.c <<'EOC'
#include <muster/task.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int is_worker(void)
{
    return getppid() != atoi(getenv("COMMAND"));
}

/* Each of these does what it is called where no worker process runs it. */
int fail(struct mu_task *t)
{
    (void)t;
    return !is_worker();
}

int crash(struct mu_task *t)
{
    if (!is_worker() && atoi(mu_task_input(t, NULL)) == 2)
        abort();
    return 0;
}

int leave(struct mu_task *t)
{
    if (!is_worker() && atoi(mu_task_input(t, NULL)) == 2)
        exit(3);
    return 0;
}

int vanish(struct mu_task *t)
{
    if (!is_worker() && atoi(mu_task_input(t, NULL)) == 2)
        _exit(255);
    return 0;
}

int hang_in_step(struct mu_task *t)
{
    while (!is_worker() && mu_task_n_parts(t) > 1)
        (void)pause();
    return 0;
}

int hang(struct mu_task *t)
{
    while (!is_worker() && atoi(mu_task_input(t, NULL)) == 2)
        (void)pause();
    return 0;
}

/* May be called three times. */
int thrice(struct mu_task *t)
{
    static _Atomic int n;

    (void)t;
    if (++n > 3)
        abort();
    return 0;
}

/* Takes its worker and 100 ms of the CPU with it. */
int burn(struct mu_task *t)
{
    struct timespec now;

    do
        (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    while (now.tv_sec == 0 && now.tv_nsec < 100000000);
    (void)t;
    _exit(3);
}
EOC
# of_command OPTION...: compare, as a command whose process the tasks know
of_command() {
    $HANG sh -c 'COMMAND=$$ exec "$0" compare "$@"' "$MUSTER" "$@"
}
json=$(of_command --rounds 2 --json --models serial,threads:2,processes:2 apart.c:fail ::: 1 2 3)
has 'failures of each model' '"failed":0,"rounds":2,"models":.*"serial",.*"failed":3\},.*"threads:2",.*"failed":3\},.*"processes:2",.*"failed":0\}\],"take"' "$json"
has 'no model that fails is taken' '"take":"processes:2","why":"Take processes:2: it is the only one that is left. Left out, for more tasks failed than before the first round .0 of 3.: serial .3., threads:2 .3.\."' "$json"
# _exit() has nothing said
table=$(of_command --rounds 1 --models serial,processes:2 apart.c:vanish ::: 1 2 3)
same 'status of a run that vanishes' 255 $?
has 'its row' '^serial +broke off in round 1: it ended with status 255$' "$table"
# a run that crashes is the end of no other
for how in 'crash,input 2 crashed: SIGABRT' 'leave,input 2 called exit\(3\)'; do
    name=${how%%,*}
    table=$(of_command --rounds 2 --models serial,threads:2,processes:2,processes:1 \
        "apart.c:$name" ::: 1 2 3 2>err)
    same "status: $name" 255 $?
    same "no complaints: $name" '' "$(cat err)"
    same "each has a row: $name" 2 \
        "$(echo "$table" | grep -Ec "^(serial|threads:2) +broke off in round 1: ${how#*,}$")"
    same "others go on: $name" 2 "$(echo "$table" | grep -Ec '^processes:[12] +[0-9.,]+ ')"
    has "and are told apart: $name" '^(Take|No verdict: these rounds do not tell) processes:[12]' "$table"
done
# nor is one that hangs; whoever can end its tasks has long ended them
table=$(of_command --timeout 5 --rounds 2 --models serial,processes:2 apart.c:hang ::: 1 2 3)
same 'status of a run that hangs' 255 $?
has 'its row' '^serial +broke off in round 1: input 2 did not end within 5 s$' "$table"
has 'and that of another' '^processes:2 +[0-9.,]+ ' "$table"
table=$(of_command --timeout 5 --rounds 1 --models serial,processes:2 --reduce hang_in_step \
    apart.c:hang_in_step ::: 1 2 3)
has 'a step that hangs' '^serial +broke off in round 1: a step of --reduce did not end within 5 s$' "$table"
json=$(of_command --json --rounds 1 --models serial,threads:2 apart.c:crash ::: 1 2 3)
same 'status when all break off' 255 $?
has 'as JSON' '\{"model":"serial","per_second":null,"cpu_seconds":null,"peak_pss_bytes":null,"context_switches":null,"failed":0,"error":"broke off in round 1: input 2 crashed: SIGABRT"\}' "$json"
has 'why there is no verdict' '"take":null,"why":"No verdict: every model broke off\."' "$json"
# nor does one know of those before it
table=$("$MUSTER" compare --rounds 3 --models serial,threads:2 apart.c:thrice ::: 1 2 3)
same 'status of a work that keeps something' 0 $?
same 'each round begins anew' 2 "$(echo "$table" | grep -Ec '^(serial|threads:2) +[0-9.,]+ ')"
# what workers that died used is counted
json=$("$MUSTER" compare --json --rounds 2 --models processes:2 apart.c:burn ::: 1 2 3 4 2>/dev/null)
same 'status of a work that dies' 4 $?
has 'CPU time of the dead' '"cpu_seconds":\{[^}]*"max":(0\.(39|[4-9])|[1-9])' "$json"
mkdir made
table=$("$MUSTER" compare --rounds 1 --models threads,processes -- mkdir 'made/{}' ::: a b 2>/dev/null)
same 'status of work that cannot be done twice' 0 $?
has 'no model is left' '^No verdict, for more tasks failed than before the first round .0 of 2.: threads$' "$table"
got=$("$MUSTER" compare --models threads,serial,threads work.c:echo ::: a 2>&1)
same 'status of one model twice' 255 $?
has 'one model twice' '^muster: --models: threads and threads are the same: name each model once$' "$got"
got=$("$MUSTER" compare work.c:echo </dev/null 2>&1)
has 'no inputs' 'there are no inputs' "$got"

# a person sees how far it is
if command -v script >/dev/null; then
    drawn=$(SHELL=/bin/sh script -qec "stty cols 80; '$MUSTER' compare --rounds 2 --models serial,threads:2 work.c:slow ::: a b" \
        /dev/null </dev/null | tr '\r' '\n')
    has 'progress' '^100% \[#{5,40}\] 5/5 done, ' "$drawn"
    drawn=$(SHELL=/bin/sh script -qec "stty cols 80; '$MUSTER' compare --quiet --rounds 1 --models serial work.c:slow ::: a" \
        /dev/null </dev/null)
    same 'and with --quiet none' '' "$(echo "$drawn" | grep done)"
    # and that we wait for inputs; script ends them with Ctrl-D
    for command in map 'compare --rounds 1 --models serial,threads:2'; do
        has "a terminal for $command" '^muster: reading inputs from the terminal, one a line: end with Ctrl-D' \
            "$(printf 'a\nb\n' | SHELL=/bin/sh script -qec "'$MUSTER' $command work.c:slow" /dev/null | tr '\r' '\n')"
    done
fi
finish
