#!/bin/sh
# lib.sh: what the tests of the command share; read with ". ./lib.sh" from the
# folder of the script. $MUSTER is the command. Every test runs in a directory of
# its own, with a cache of its own.
set -u
: "${MUSTER:?is not set to the muster command}"
# where the scripts lie
SCRIPTS=$(cd "$(dirname "$0")" && pwd)
# the models that the tests run under
MODELS=${MODELS:-serial threads:2 processes:2 processes:2/threads:2}
# before what would hang for ever if it were broken; nothing that works takes so long
HANG='timeout 300'
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
XDG_CACHE_HOME=$scratch/cache
LC_ALL=C
export XDG_CACHE_HOME LC_ALL
n_failed=0

# m ARGUMENT...: muster map under $model without the report
m() {
    "$MUSTER" map --quiet --model "$model" "$@"
}

# same WHAT EXPECTED GOT
same() {
    if [ "$2" != "$3" ]; then
        printf 'FAILED %s (%s)\n  expected: %s\n  got:      %s\n' \
            "$1" "${model:-}" "$2" "$3"
        n_failed=$((n_failed + 1))
    fi
}

# same_files WHAT EXPECTED GOT
same_files() {
    if ! cmp -s "$2" "$3"; then
        printf 'FAILED %s (%s)\n' "$1" "${model:-}"
        diff "$2" "$3" | head -10
        n_failed=$((n_failed + 1))
    fi
}

# has WHAT PATTERN TEXT: the text has a line that matches (grep -E)
has() {
    if ! printf '%s\n' "$3" | grep -Eq -- "$2"; then
        printf 'FAILED %s (%s)\n  wanted: %s\n  in:     %s\n' \
            "$1" "${model:-}" "$2" "$3"
        n_failed=$((n_failed + 1))
    fi
}

# need PROGRAM...: without them the test is skipped, and says so
need() {
    for program in "$@"; do
        if ! command -v "$program" >/dev/null; then
            echo "skipped: $program is not installed"
            exit 77
        fi
    done
}

# need_gnu_parallel: moreutils has another command of that name
need_gnu_parallel() {
    need parallel
    if ! parallel --version 2>/dev/null | grep -q '^GNU parallel'; then
        echo "skipped: parallel is not GNU parallel"
        exit 77
    fi
}

finish() {
    [ "$n_failed" -eq 0 ]
    exit
}

# The functions that most tests run.
cat >work.c <<'EOF'
#include <errno.h>
#include <muster/task.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int echo(struct mu_task *t)
{
    size_t n;
    const char *s = mu_task_input(t, &n);

    mu_task_write(t, s, n);
    return mu_task_write(t, "\n", 1);
}

int size(struct mu_task *t)
{
    size_t n;

    mu_task_input(t, &n);
    return mu_task_printf(t, "%zu\n", n);
}

/* The input as it is. */
int copy(struct mu_task *t)
{
    size_t n;
    const char *s = mu_task_input(t, &n);

    return mu_task_write(t, s, n);
}

int slow(struct mu_task *t)
{
    usleep(2000);
    return echo(t);
}

int slower(struct mu_task *t)
{
    usleep(20000);
    return echo(t);
}

/* Returns the number in its input. */
int code(struct mu_task *t)
{
    return atoi(mu_task_input(t, NULL));
}

static int *volatile nowhere = (int *)8;

/* A bad input kills it. */
int crash(struct mu_task *t)
{
    size_t n;
    const char *s = mu_task_input(t, &n);

    if (n == 3 && memcmp(s, "bad", 3) == 0)
        *nowhere = 1;
    return echo(t);
}

/* Fails until its third attempt. */
int third(struct mu_task *t)
{
    if (mu_task_attempt(t) < 3)
        return 1;
    return mu_task_printf(t, "%u\n", mu_task_attempt(t));
}

/* Adds the numbers of its parts. */
int add(struct mu_task *t)
{
    long long sum = 0;

    for (size_t i = 0; i < mu_task_n_parts(t); i++) {
        size_t n;
        const char *s = mu_task_part(t, i, &n);
        char digits[32] = "";

        memcpy(digits, s, n < 31 ? n : 31);
        sum += atoll(digits);
    }
    return mu_task_printf(t, "%lld\n", sum);
}

/* Puts its parts one behind the other: shows their order. */
int join(struct mu_task *t)
{
    for (size_t i = 0; i < mu_task_n_parts(t); i++) {
        size_t n;
        const char *s = mu_task_part(t, i, &n);

        mu_task_write(t, s, n);
    }
    return 0;
}

int hang(struct mu_task *t)
{
    for (volatile int i = 1; i;)
        ;
    return mu_task_printf(t, "never\n");
}

int number = 7;
EOF
