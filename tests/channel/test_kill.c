/* test_kill.c: peers of the kernel's channels killed at each instruction. */
#include "channel/kill.h"

int main(void)
{
    const struct CMUnitTest tests[] = {
        KILLED("pipe:"), KILLED("fifo:/tmp/muster-kill-%d.fifo"),
        KILLED("unix:"), KILLED("tcp:"),
        KILLED("mq:"),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
