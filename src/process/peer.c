/* peer.c: a worker process as its supervisor holds it. */
#include "process/peer.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "sys/message.h"
#include "sys/pidfd.h"

static int open_lanes(struct mui_peer *peer,
                      const struct mui_block_shape *shape)
{
    peer->lanes = calloc(shape->n_lanes, sizeof *peer->lanes);
    if (!peer->lanes)
        return -ENOMEM;
    for (unsigned i = 0; i < shape->n_lanes; i++) {
        struct mui_lane_memory memory = mui_block_lane(&peer->block, shape, i);
        int rc = mui_lane_init(&peer->lanes[i], &memory);

        if (rc < 0)
            return rc;
    }
    return 0;
}

int mui_peer_open(struct mui_peer *peer, const struct mui_block_shape *shape,
                  uint32_t id, int ret_theirs[3])
{
    int pair[2];
    int rc;

    *peer = (struct mui_peer){
        .id = id, .pidfd = -1, .bell = -1, .block = {NULL, NULL, -1, -1}};
    rc = mui_block_open(shape, &peer->block);
    if (rc == 0)
        rc = open_lanes(peer, shape);
    if (rc == 0)
        rc = mui_message_pair(pair);
    if (rc != 0) {
        mui_peer_close(peer, shape);
        return rc;
    }
    /* now, and not while the first task waits, perhaps after a crash */
    mui_block_populate(&peer->block, shape, true);
    peer->bell = pair[0];
    ret_theirs[0] = peer->block.down_fd;
    ret_theirs[1] = peer->block.up_fd;
    ret_theirs[2] = pair[1];
    peer->block.down_fd = -1;
    peer->block.up_fd = -1;
    return 0;
}

void mui_peer_ordered(const int theirs[3])
{
    for (int i = 0; i < 3; i++)
        (void)close(theirs[i]);
}

void mui_peer_close(struct mui_peer *peer, const struct mui_block_shape *shape)
{
    (void)mui_peer_kill(peer);
    for (unsigned i = 0; peer->lanes && i < shape->n_lanes; i++)
        mui_lane_fini(&peer->lanes[i]);
    free(peer->lanes);
    peer->lanes = NULL;
    if (peer->bell >= 0)
        (void)close(peer->bell);
    if (peer->pidfd >= 0)
        (void)close(peer->pidfd);
    peer->bell = -1;
    peer->pidfd = -1;
    mui_block_close(&peer->block, shape);
}

int mui_peer_kill(const struct mui_peer *peer)
{
    return peer->pidfd < 0 ? 0 : mui_pidfd_kill(peer->pidfd, SIGKILL);
}

bool mui_peer_answer(const struct mui_peer *peer)
{
    /* a worker rings once a wish; one that rings more is heard out bit by bit, so
     * that it cannot keep us here */
    enum { RINGS_MAX = 8, RING_BYTES = 16 };
    char bytes[RING_BYTES];

    for (int i = 0; i < RINGS_MAX; i++) {
        ssize_t n = recv(peer->bell, bytes, sizeof bytes, MSG_DONTWAIT);

        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        if (n == 0)
            return false;
    }
    return true;
}

enum mui_worker_stage mui_peer_stage(const struct mui_peer *peer,
                                     struct mu_error *err)
{
    const struct mui_worker_head *head = mui_block_head(&peer->block);
    /* acquire, pairs with announce() in worker.c */
    uint32_t stage = atomic_load_explicit(&head->stage, memory_order_acquire);

    if (stage == MUI_STAGE_UP)
        return MUI_STAGE_UP;
    if (stage != MUI_STAGE_FAILED)
        return MUI_STAGE_NONE;
    if (err) {
        /* relaxed: published by `stage`; once, for it may be written at any time */
        int rc = atomic_load_explicit(&head->rc, memory_order_relaxed);

        err->code = rc < 0 ? rc : MU_ECRASHED;
        memcpy(err->text, head->reason, sizeof head->reason);
        err->text[sizeof head->reason - 1] = '\0';
    }
    return MUI_STAGE_FAILED;
}

bool mui_peer_is_awake(const struct mui_peer *peer)
{
    /* relaxed: a hint */
    return atomic_load_explicit(&mui_block_head(&peer->block)->awake,
                                memory_order_relaxed) != 0;
}

bool mui_peer_last_words(const struct mui_peer *peer, unsigned n_lanes,
                         struct mui_crash *ret_crash)
{
    return mui_crash_read(&mui_block_head(&peer->block)->crash, n_lanes,
                          ret_crash);
}

bool mui_peer_is_busy(struct mui_peer *peer, unsigned n_lanes)
{
    struct mui_reply reply;
    void *owner;
    int rc;

    for (unsigned i = 0; i < n_lanes; i++) {
        struct mui_lane *lane = &peer->lanes[i];

        do
            rc = mui_lane_collect(lane, &reply, &owner);
        while (rc == MU_OK);
        if (rc == MU_ECORRUPT || mui_lane_started(lane, NULL) != lane->head)
            return true;
    }
    return false;
}
