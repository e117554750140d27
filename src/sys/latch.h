/* latch.h: wait in one process until n things have happened. */
#ifndef MUI_SYS_LATCH_H
#define MUI_SYS_LATCH_H

#include <stdatomic.h>
#include <stdint.h>

/* Zero means open. */
struct mui_latch {
    _Atomic uint32_t left;
};

void mui_latch_init(struct mui_latch *latch, uint32_t n);
/* One of them happened. Any thread; releases what came before it. */
void mui_latch_down(struct mui_latch *latch);
/* Return when all have; what came before them is visible. Blocks. */
void mui_latch_wait(struct mui_latch *latch);

#endif
