#!/bin/sh
# test_standard.sh: standard input and output are the command's own: tasks find nothing to
# read, and what they print is on standard error.
. "$(dirname "$0")/lib.sh"
cat >own.c <<'EOF'
#include <muster/task.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Fails where there is something to read, for itself or for a program that it starts. */
int thief(struct mu_task *t)
{
    const char *s = mu_task_input(t, NULL);
    char byte;

    if (read(0, &byte, 1) != 0)
        return 1;
    if (strcmp(s, "1") == 0 && system("head -c 100000 | grep -q .") == 0)
        return 2;
    return mu_task_printf(t, "%s\n", s);
}

/* Prints in every way. */
int says(struct mu_task *t)
{
    const char *s = mu_task_input(t, NULL);

    printf("said %s\n", s);
    if (dprintf(1, "wrote %s\n", s) < 0)
        return 1;
    if (strcmp(s, "1") == 0 && system("echo ran 1"))
        return 2;
    return mu_task_printf(t, "%s\n", s);
}

/* Adds up its parts, and prints. */
int sum(struct mu_task *t)
{
    long n = 0;

    for (size_t i = 0; i < mu_task_n_parts(t); i++)
        n += strtol(mu_task_part(t, i, NULL), NULL, 10);
    printf("said %ld\n", n);
    return mu_task_printf(t, "%ld\n", n);
}

/* Prints, and is killed. */
int last(struct mu_task *t)
{
    printf("last words of %s\n", (const char *)mu_task_input(t, NULL));
    return raise(SIGKILL);
}

/* What the programs that it starts, and a child that starts none, have open. */
int opens(struct mu_task *t)
{
    char name[32], file[4096];
    ssize_t n;
    pid_t pid = fork();

    for (int fd = 0; pid == 0 && fd < 1024; fd++) {
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        n = readlink(name, file, sizeof file);
        if (n > 0)
            dprintf(2, "%.*s\n", (int)n, file);
    }
    if (pid == 0)
        _exit(0);
    if (pid < 0 || waitpid(pid, NULL, 0) != pid)
        return 1;
    (void)t;
    return system("readlink /proc/self/fd/* >&2; true");
}
EOF
seq 60000 >many
seq 20 >few
(sed 's/^/said /' few && sed 's/^/wrote /' few && echo ran 1) | sort >said

for model in $MODELS; do
    # more than is read at a time
    m -k own.c:thief <many >got
    same 'status of tasks that read' 0 $?
    same_files 'inputs that no task has read' many got
    # shellcheck disable=SC2002
    cat many | m -k own.c:thief >got
    same_files 'nor of a pipe' many got

    m -k own.c:says <few >got 2>err
    same_files 'outputs without what is printed' few got
    sort err >got
    same_files 'what is printed' said got
    m --json own.c:says <few >got 2>err
    same 'objects, and nothing else' 20 "$(grep -c '^{"seq":' got)"
    same 'lines beside objects' 20 "$(wc -l <got)"
    m --results -.csv own.c:says <few >got 2>err
    same 'rows, two lines each' 41 "$(wc -l <got)"
    sort err >got
    same_files 'what is printed beside rows' said got
    same '--reduce' 210 "$(m --reduce sum own.c:says <few 2>err)"

    (
        m own.c:last ::: a
        true
    ) >got 2>err
    has 'last words' '^last words of a$' "$(cat err)"

    m own.c:opens ::: a >out.txt 2>err <few
    same 'status of a task that looks' 0 $?
    same 'what children of a task have open' '' "$(grep -E '/(few|out\.txt)$' err)"

    # by their names they are what they were
    for name in /dev/stdin /dev/fd/0 /proc/self/fd/0 /proc/thread-self/fd/0; do
        m -k -a $name work.c:echo <few >got
        same_files "a file as $name" few got
        # shellcheck disable=SC2002
        cat few | m -k -a $name work.c:echo >got
        same_files "a pipe as $name" few got
        for each in file chunk=300K; do
            m -k --each $each work.c:copy ::: $name <many >got
            same_files "a file as $name, --each $each" many got
            # shellcheck disable=SC2002
            cat many | m -k --each $each work.c:copy ::: $name >got
            same_files "a pipe as $name, --each $each" many got
        done
    done
    m -k --halt now,fail=99% --each chunk=1K work.c:copy ::: /dev/stdin <many >got
    same_files 'what is counted first' many got
    for name in - /dev/stdout /dev/fd/1 /proc/self/fd/1; do
        same "outputs and --joblog $name" 41 "$(m --joblog $name work.c:echo <few | wc -l)"
    done
done

model=serial
for name in - /dev/stdin; do
    has "compare -a $name" '"tasks":20,"failed":0,' \
        "$("$MUSTER" compare --rounds 1 --json --models serial,processes -a $name own.c:thief <few)"
    # shellcheck disable=SC2002
    has "compare -a $name of a pipe" '"tasks":20,"failed":0,' \
        "$(cat few | "$MUSTER" compare --rounds 1 --json --models serial,processes -a $name own.c:thief)"
done
got=$("$MUSTER" compare --rounds 1 --json --models serial,threads:2,processes:2 own.c:says <few 2>err)
same 'an object of compare alone' 1 "$(printf '%s\n' "$got" | wc -l)"
has 'it is whole' '^\{"tasks":20,.*\}$' "$got"
has 'what is printed under compare' '^wrote 20$' "$(cat err)"
# shellcheck disable=SC2002
has 'a pipe by its name for compare' '^muster: /dev/stdin can be read once' \
    "$(cat few | "$MUSTER" compare --each file work.c:echo ::: /dev/stdin 2>&1)"

# neither does the compiler read inputs, or print amid outputs
printf '#!/bin/sh\ncat >/dev/null\necho noise\nexec %s "$@"\n' "${CC:-cc}" >noisy
chmod +x noisy
cp own.c other.c
CC=./noisy m -k other.c:thief <few >got 2>err
same_files 'a compiler that reads and prints' few got
has 'what it prints' '^noise$' "$(cat err)"

# with few descriptors, and without /dev/null, where another /dev can be mounted
if [ -z "${SANITIZER:-}" ]; then
    (ulimit -n 15 && m -k own.c:thief <many >got)
    same_files 'with few descriptors' many got
fi
if unshare -rm mount -t tmpfs none /dev 2>/dev/null; then
    cat >bare.sh <<'EOF'
mount -t tmpfs none /dev && exec "$@"
EOF
    unshare -rm sh ./bare.sh "$MUSTER" map --quiet -k --model serial own.c:thief <many >got
    same_files 'without /dev/null' many got
fi
finish
