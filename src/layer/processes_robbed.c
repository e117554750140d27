/* processes_robbed.c: the program closed all descriptors that it did not know, those of
 * an open pool among them.
 *
 * The nursery saw its channel hang up and has killed the workers. Nothing rings any more,
 * and the numbers may be the program's by now: none is used or closed from here on. What
 * the workers were at is lost, and that is all that is left to do. It is seen by two
 * descriptors that can be told from others, the board's and the channel's, by whoever is
 * about to sleep, deals with a death or closes. */
#include <signal.h>
#include <string.h>

#include "base/error.h"
#include "layer/processes.h"

bool mui_processes_has_board(const struct mui_processes *p)
{
    return mui_descriptor_is(p->board_fd, &p->board_mark);
}

static void lose(struct mui_processes *p, struct mui_processes_peer *peer)
{
    struct mui_death death = {.i_lane = MUI_LANE_UNKNOWN,
                              .how = MUI_DEATH_VANISHED,
                              .ended = true}; /* nobody will tell */
    int i_group = peer->i_group;

    if (peer->state == MUI_PEER_FREE)
        return;
    peer->peer.bell = -1;
    peer->peer.pidfd = -1;
    peer->state = MUI_PEER_GONE;
    peer->reaped = true;
    peer->i_group = -1;
    if (i_group < 0)
        return;
    p->group_peers[i_group] = -1;
    p->desk->ops->died(p->desk, (unsigned)i_group, &death);
}

bool mui_processes_robbed(struct mui_processes *p)
{
    bool has_channel;

    if (p->robbed)
        return true;
    has_channel =
        p->channel >= 0 && mui_descriptor_is(p->channel, &p->channel_mark);
    if (mui_processes_has_board(p) && (has_channel || p->channel < 0))
        return false;
    p->robbed = true;
    if (has_channel) { /* not all were closed: the workers have to go all the same */
        mui_nursery_hang_up(p->channel);
        p->dead_channel = p->channel;
    }
    /* else closed by the program, or a number of its own by now */
    p->channel = -1;
    (void)mui_fail(&p->failure, MU_ECRASHED,
                   "processes: descriptors of the pool were closed by this "
                   "program");
    for (unsigned i = 0; i < p->base.spec->width; i++)
        p->given_up[i] = true; /* nobody follows those that die below */
    for (unsigned i = 0; i < p->n_peers; i++)
        lose(p, &p->peers[i]);
    for (unsigned i = 0; i < p->base.spec->width; i++)
        p->desk->ops->gave_up(p->desk, i, &p->failure);
    return true;
}
