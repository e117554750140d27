/* init.c: mu_init(). */
#include "muster/init.h"

#include "process/nursery.h"

int mu_init(struct mu_error *err)
{
    return mui_nursery_init(err);
}
