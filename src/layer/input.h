/* input.h: inputs that are more than bytes at an address: how they are written for a worker,
 * and a range of a file as the worker reads it. */
#ifndef MUI_LAYER_INPUT_H
#define MUI_LAYER_INPUT_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of a MUI_FORM_FILE input: an absolute path follows, ended by 0. size 0
 * means up to the end of the file. */
struct mui_file_range {
    uint64_t offset;
    uint64_t size;
};

/* Bytes of a MUI_FORM_PARTS input: n sizes follow, then the parts, each in
 * mui_part_room() bytes. */
struct mui_parts {
    uint64_t n;
    uint64_t sizes[];
};

/* A part, the 0 behind it, and what is left of 8 bytes. */
static inline size_t mui_part_room(uint64_t size)
{
    return ((size_t)size + 1 + 7) & ~(size_t)7;
}

/* The file of one task after the other. {0} is none. */
struct mui_file_input {
    const uint8_t *bytes; /* while it is open */
    size_t size;
    uint8_t *buffer; /* [buffer_bytes]; made when needed, and kept */
    size_t buffer_bytes;
    void *mapping; /* of a large file */
    size_t
        mapped_bytes; /* not 0 without one: the buffer has grown for this task */
};

/* Read or map the range, with a 0 behind it. 0; -errno; -ERANGE: the file has not all of
 * it. To be closed in any case. */
int mui_file_input_open(struct mui_file_input *f,
                        const struct mui_file_range *range);

void mui_file_input_drop(struct mui_file_input *f);

/* After each task, whatever its input was. */
static inline void mui_file_input_close(struct mui_file_input *f)
{
    if (f->mapped_bytes)
        mui_file_input_drop(f);
}

void mui_file_input_fini(struct mui_file_input *f);

#endif
