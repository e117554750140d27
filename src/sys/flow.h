/* flow.h: which lane the calling thread serves now, so that a crash can be laid at
 * the right door. */
#ifndef MUI_SYS_FLOW_H
#define MUI_SYS_FLOW_H

/* This thread serves `lane` from now on; NULL: none. A layer that switches flows
 * on one thread says so at each switch. */
void mui_flow_serve(const void *lane);

/* NULL: none. Signal-safe. */
const void *mui_flow_lane(void);

#endif
