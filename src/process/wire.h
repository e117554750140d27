/* wire.h: what supervisor, guardian and nursery say to each other. They are one
 * program image, so structs travel as they are, and so do addresses of functions. */
#ifndef MUI_PROCESS_WIRE_H
#define MUI_PROCESS_WIRE_H

#include <stdint.h>

#include "process/nursery.h"

enum { MUI_WIRE_PLAN = 2048 };

/* Supervisor to guardian to nursery, with the nursery's end of a channel and then
 * the plan's own descriptors. */
struct mui_wire_open {
    mui_nursery_entry_fn entry;
    uint64_t plan_bytes;
    uint8_t plan[MUI_WIRE_PLAN];
};

enum mui_wire_deed { MUI_WIRE_FORK, MUI_WIRE_KILL, MUI_WIRE_LOOK };

/* Supervisor to nursery, on a channel; to fork, with the worker's descriptors. The answers
 * are struct mui_nursery_report. */
struct mui_wire_order {
    uint32_t deed; /* enum mui_wire_deed */
    uint32_t id;
    uint32_t place; /* to fork */
};

/* The body of the guardian, and that of the nursery. Neither returns. */
_Noreturn void mui_guardian_main(int main_fd, int supervisor_pidfd);
/* The same for a nursery that takes the place of its guardian: it has no children
 * and no channels any more. */
_Noreturn void mui_guardian_succeed(int main_fd, int supervisor_pidfd,
                                    int careful);
_Noreturn void mui_nursery_main(int main_fd, int supervisor_pidfd, int guard_fd,
                                int careful);

#endif
