/* test_mem_open.c: the suite of channels over a name of the memory of one process. */
#include <stdint.h>

/* each handle sends and receives on one queue: an end would get its own messages */
#define SUITE_NAME "mem:suite-%d"
#define SUITE_CAPS                                                             \
    (SUITE_ENDS | SUITE_FD | SUITE_RESERVE | SUITE_FULL | SUITE_TRUSTS)
#define SUITE_ONE_PROCESS /* as in test_mem.c */

#include "channel/suite.h"
