/* descriptor.h: the descriptors of a process as a whole. */
#ifndef MUI_SYS_DESCRIPTOR_H
#define MUI_SYS_DESCRIPTOR_H

/* Close all but 0, 1, 2 and the n of `keep`, which it sorts. n may be 0. */
void mui_descriptors_keep(int *keep, unsigned n);

/* Let 0 read nothing, and open what of 0, 1, 2 is closed, on /dev/null. */
void mui_descriptors_detach_input(void);

#endif
