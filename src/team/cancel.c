/* cancel.c: regions, and what it takes that nothing of a cancelled one starts.
 *
 *       canceller                        a thief that begins to work for it
 *   C1  status := status (seq_cst)   C3  its seat's region := region (seq_cst)
 *   C2  look at the seats (seq_cst)  C4  look at the status (seq_cst)
 *
 * Either C2 sees the seat and raises its limit, or C4 sees the status and the thief
 * raises it itself. From then on every join of the region takes the slow path,
 * which looks at the status before it runs anything. */
#include <errno.h>

#include "team/team.h"

void mui_region_cancel(struct mu_team *team, struct mui_region *region,
                       int status)
{
    int none = 0;
    uint32_t n_seats;

    /* C1 */
    if (!atomic_compare_exchange_strong_explicit(&region->status, &none, status,
                                                 memory_order_seq_cst,
                                                 memory_order_relaxed))
        return;
    n_seats = atomic_load_explicit(&team->n_seats, memory_order_acquire);
    for (uint32_t i = 0; i < n_seats; i++) {
        struct mui_seat *seat =
            atomic_load_explicit(&team->seats[i], memory_order_acquire);

        /* C2 */
        if (seat &&
            atomic_load_explicit(&seat->region, memory_order_seq_cst) == region)
            mui_seat_ask(seat);
    }
}

void mu_job_cancel(struct mu_job *j, int status)
{
    struct mui_seat *seat = mui_seat_of(j);

    mui_region_cancel(seat->team,
                      atomic_load_explicit(&seat->region, memory_order_relaxed),
                      status < 0 ? status : -ECANCELED);
}

MUI_HOT int mu_job_status(const struct mu_job *j)
{
    /* relaxed: the caller works on the seat */
    return mui_region_status(
        atomic_load_explicit(&mui_seat_of(j)->region, memory_order_relaxed));
}
