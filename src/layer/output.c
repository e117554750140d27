/* output.c: growing and handing over the output of a task. */
#include "layer/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int mui_output_init(struct mui_output *o, struct mui_lane_worker *lane,
                    size_t limit)
{
    *o = (struct mui_output){.lane = lane, .limit = limit};
    if (!lane->region)
        return 0;
    if (limit > lane->region_bytes - MUI_OUTPUT_RING)
        o->limit = lane->region_bytes - MUI_OUTPUT_RING;
    o->held = calloc((size_t)lane->mask + 1, sizeof *o->held);
    return o->held ? 0 : -ENOMEM;
}

void mui_output_fini(struct mui_output *o)
{
    if (!o->lane)
        return;
    if (!o->lane->region)
        free(o->base);
    free(o->held);
}

/* -- heap -- */

static int heap_grow(struct mui_output *o, size_t need)
{
    enum { LEAST = 256 };
    size_t room = o->room ? o->room : LEAST;
    uint8_t *base;

    if (need == SIZE_MAX)
        return -ENOMEM;
    while (room < need)
        room = room > SIZE_MAX / 2 ? need : room * 2;
    base = realloc(o->base,
                   room + 1); /* and the 0 that ends an outcome's output */
    if (!base)
        return -ENOMEM;
    o->base = base;
    o->room = room;
    return 0;
}

/* -- region -- */

static void ring_reclaim(struct mui_output *o)
{
    uint32_t released = mui_lane_released(o->lane);

    while (o->n_freed != o->n_posted && o->n_freed != released) {
        uint32_t held = o->held[o->n_freed & o->lane->mask];

        o->used -= held;
        if (held == 0)
            o->large_is_held = false; /* there is one at a time */
        o->n_freed++;
    }
}

/* Find room for a small output in the ring: at the place after the last one, or at
 * the start when the rest is too short, once enough is released. */
static void ring_begin(struct mui_output *o)
{
    for (;;) {
        uint32_t seen = o->n_freed;
        size_t gap = 0;

        ring_reclaim(o);
        if (o->used == 0)
            o->position = 0;
        if (o->position + MUI_OUTPUT_SMALL > MUI_OUTPUT_RING)
            gap = MUI_OUTPUT_RING - o->position;
        if (o->used + gap + MUI_OUTPUT_SMALL <= MUI_OUTPUT_RING) {
            o->gap = (uint32_t)gap;
            o->base = o->lane->region + (gap ? 0 : o->position);
            o->room = MUI_OUTPUT_SMALL;
            return;
        }
        if (o->n_freed == seen)
            mui_lane_wait_release(o->lane, seen);
    }
}

static bool is_large(const struct mui_output *o)
{
    return o->base == o->lane->region + MUI_OUTPUT_RING;
}

/* Move to the rest of the region, once the large output before it is copied. */
static void large_begin(struct mui_output *o)
{
    uint8_t *base = o->lane->region + MUI_OUTPUT_RING;

    ring_reclaim(o);
    while (o->large_is_held) {
        uint32_t seen = o->n_freed;

        mui_lane_wait_release(o->lane, seen);
        ring_reclaim(o);
    }
    if (o->size)
        memcpy(base, o->base, o->size);
    o->base = base;
    o->room = o->lane->region_bytes - MUI_OUTPUT_RING;
}

uint8_t *mui_output_room(struct mui_output *o, size_t more, int *ret_rc)
{
    *ret_rc = 0;
    if (more > o->limit - o->size) {
        *ret_rc = -EFBIG;
        return NULL;
    }
    if (more <= o->room - o->size && o->base)
        return o->base + o->size;
    if (!o->lane->region) {
        *ret_rc = heap_grow(o, o->size + more);
    } else {
        if (!o->base)
            ring_begin(o);
        if (o->size + more > o->room)
            large_begin(o);
    }
    return *ret_rc < 0 ? NULL : o->base + o->size;
}

/* -- leaving -- */

static void region_post(struct mui_output *o)
{
    size_t held = 0;

    if (is_large(o)) {
        o->large_is_held = true;
    } else {
        held = ((o->size + 63) & ~(size_t)63) + o->gap;
        o->position = (size_t)(o->base - o->lane->region) + held - o->gap;
        o->used += held;
    }
    o->held[o->n_posted & o->lane->mask] = (uint32_t)held;
    o->n_posted++;
    o->base = NULL;
    o->room = 0;
}

void mui_output_post(struct mui_output *o, struct mui_reply *reply)
{
    if (o->size <= MUI_REPLY_INLINE) {
        reply->form = MUI_FORM_INLINE;
        reply->inline_size = (uint8_t)o->size;
        if (o->size)
            memcpy(reply->u.bytes, o->base, o->size);
        o->size = 0; /* the memory serves the next output */
        return;
    }
    reply->form = MUI_FORM_SPAN;
    reply->u.span.size = o->size;
    if (o->lane->region) {
        reply->u.span.address = (uint64_t)(o->base - o->lane->region);
        region_post(o);
    } else {
        o->base[o->size] = 0;
        reply->u.span.address = (uint64_t)(uintptr_t)o->base;
        o->base = NULL;
        o->room = 0;
    }
    o->size = 0;
}
