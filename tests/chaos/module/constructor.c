/* constructor.c: a library that opens a pool while it is being loaded, and says in
 * `constructor_word` how that went. */
#include <stddef.h>
#include <string.h>

#include "muster/muster.h"

MU_API struct mu_error constructor_word;

static int say_here(struct mu_task *task)
{
    return mu_task_printf(task, "here");
}

static int try_pool(struct mu_error *err)
{
    struct mu_pool *pool;
    struct mu_outcome *o;
    int rc = mu_pool_open("processes:2", NULL, &pool, err);

    if (rc < 0)
        return rc;
    rc = mu_pool_submit(pool, say_here, NULL, 0, NULL, NULL);
    if (rc == 0)
        rc = mu_pool_next(pool, MU_NEVER, &o);
    if (rc == 0) {
        if (o->status != MU_DONE || strcmp(o->output, "here") != 0)
            rc = -1;
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
    return rc;
}

__attribute__((constructor)) static void open_at_load(void)
{
    constructor_word.code = try_pool(&constructor_word);
}
