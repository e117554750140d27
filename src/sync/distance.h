/* distance.h: whether the core that writes a word is near this one, in the same
 * cache, or far.
 *
 * Nothing has to be known of the machine: a word that the other side has just written
 * lies in its cache, so the load that finds it changed takes as long as a line takes
 * from there. The scheduler, or the host of a virtual machine, moves either side at any
 * time; the last several loads tell. A clock that is too coarse or too dear for that
 * says near, or what chance says. So this may choose between two right ways only. */
#ifndef MUI_SYNC_DISTANCE_H
#define MUI_SYNC_DISTANCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A load that takes longer came from far. On a Zen 4 it takes 10 to 40 ns within a
 * cache, and 90 to 130 from another one. */
#define MUI_DISTANCE_FAR_NS 60
/* So many that took long, more than short ones, make it far; and the reverse. Of those
 * from far some are short all the same, one in four at worst. */
#define MUI_DISTANCE_VOTES 8

/* One side's own. All 0: near, until something else is seen. */
struct mui_distance {
    uint16_t n_votes;
    bool is_far;
};

/* Note that a load took so long. */
static inline void mui_distance_note(struct mui_distance *d, int64_t ns)
{
    if (ns > MUI_DISTANCE_FAR_NS) {
        if (d->n_votes < MUI_DISTANCE_VOTES &&
            ++d->n_votes == MUI_DISTANCE_VOTES)
            d->is_far = true;
    } else {
        if (d->n_votes > 0 && --d->n_votes == 0)
            d->is_far = false;
    }
}

/* Load a word (acquire) that was `seen` the last time, and note how long that took when
 * it has changed. A full fence comes before it. */
uint64_t mui_distance_load(struct mui_distance *d, const _Atomic uint64_t *word,
                           uint64_t seen);

#endif
