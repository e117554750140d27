/* flight.c: the tasks that are on their way. Numbers are handed out in sequence,
 * so the number itself is a good hash: neighbours lie side by side, and hardly
 * ever two in one slot. */
#include "flight.h"

#include <stdlib.h>

enum {
    SLOTS_MIN = 1024,
    KEPT_BYTES = 4096 /* of a name: long lines would hold much memory */
};

static size_t home(const struct flights *f, uint64_t seq)
{
    return (size_t)seq & (f->n_slots - 1);
}

static void place(struct flights *f, struct flight *flight)
{
    struct flight **slot = &f->slots[home(f, flight->seq)];

    flight->same_slot = *slot;
    *slot = flight;
}

static void grow(struct flights *f)
{
    free(f->slots);
    f->n_slots = f->n_slots ? f->n_slots * 2 : SLOTS_MIN;
    f->slots = text_alloc(f->n_slots, sizeof(struct flight *));
    for (struct flight *l = f->first; l; l = l->next)
        place(f, l);
}

struct flight *flights_add(struct flights *f, uint64_t seq)
{
    struct flight *flight = f->free;

    if (f->n >= f->n_slots)
        grow(f);
    if (flight)
        f->free = flight->next;
    else
        flight = text_alloc(1, sizeof *flight);
    flight->seq = seq;
    flight->outcome = NULL;
    flight->next = NULL;
    flight->previous = f->last;
    if (f->last)
        f->last->next = flight;
    else
        f->first = flight;
    f->last = flight;
    f->n++;
    place(f, flight);
    return flight;
}

struct flight *flights_find(const struct flights *f, uint64_t seq)
{
    struct flight *flight = f->n_slots ? f->slots[home(f, seq)] : NULL;

    while (flight && flight->seq != seq)
        flight = flight->same_slot;
    return flight;
}

static void vacate(struct flights *f, const struct flight *flight)
{
    struct flight **slot = &f->slots[home(f, flight->seq)];

    while (*slot != flight)
        slot = &(*slot)->same_slot;
    *slot = flight->same_slot;
}

void flights_remove(struct flights *f, struct flight *flight)
{
    vacate(f, flight);
    if (flight->previous)
        flight->previous->next = flight->next;
    else
        f->first = flight->next;
    if (flight->next)
        flight->next->previous = flight->previous;
    else
        f->last = flight->previous;
    f->n--;
    if (flight->name.capacity > KEPT_BYTES)
        text_fini(&flight->name);
    text_clear(&flight->name);
    text_clear(&flight->trouble);
    flight->trouble_rc = 0;
    flight->next = f->free;
    f->free = flight;
}

static void free_list(struct flight *flight)
{
    while (flight) {
        struct flight *next = flight->next;

        text_fini(&flight->name);
        text_fini(&flight->trouble);
        free(flight);
        flight = next;
    }
}

void flights_fini(struct flights *f)
{
    for (struct flight *l = f->first; l; l = l->next)
        mu_outcome_free(l->outcome);
    free_list(f->first);
    free_list(f->free);
    free(f->slots);
    *f = (struct flights){0};
}
