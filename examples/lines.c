/* lines.c: muster in 60 lines, without the command: count the lines of files.
 *
 *     lines MODEL FILE...       lines processes:4 *.c
 *
 * Every file is one task, mapped into the worker that counts it. */
#include <muster/muster.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The task: bytes in, bytes out. It runs in whatever the model says. */
static int count_lines(struct mu_task *task)
{
    size_t size;
    const char *at = (const char *)mu_task_input(task, &size);
    const char *end = at + size;
    unsigned long n_lines = 0;

    for (; (at = (const char *)memchr(at, '\n', (size_t)(end - at))); at++)
        n_lines++;
    return mu_task_printf(task, "%8lu", n_lines);
}

static int fail(const struct mu_error *err)
{
    (void)fprintf(stderr, "lines: %s\n", err->text);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct mu_pool *pool;
    struct mu_outcome *outcome;
    struct mu_error err;
    struct mu_submit file;
    char how[200];

    if (argc < 3) {
        (void)fprintf(stderr, "usage: lines MODEL FILE...\n");
        return 2;
    }
    if (mu_init(&err) < 0) /* first, while there is one thread */
        return fail(&err);
    if (mu_pool_open(argv[1], NULL, &pool, &err) < 0)
        return fail(&err);
    memset(&file, 0, sizeof file); /* every default */
    for (int i = 2; i < argc; i++) {
        file.path = argv[i];
        file.tag = (uint64_t)i;
        if (mu_pool_submit(pool, count_lines, NULL, 0, &file, NULL) != MU_OK)
            (void)fprintf(stderr, "lines: %s: not submitted\n", argv[i]);
    }
    /* In the order in which they end; mu_map() has the order of the inputs. */
    while (mu_pool_next(pool, MU_NEVER, &outcome) == MU_OK) {
        (void)mu_outcome_describe(outcome, how, sizeof how);
        (void)printf("%s %s\n",
                     outcome->status == MU_DONE ? (const char *)outcome->output
                                                : how,
                     argv[outcome->tag]);
        mu_outcome_free(outcome);
    }
    mu_pool_close(pool);
    return EXIT_SUCCESS;
}
