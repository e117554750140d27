/* ck.c: ConcurrencyKit's ring, one producer and one consumer, in memory that two
 * processes share.
 *   stream|rtt SIZE UNIT      (SIZE is 64) */
#include <ck_ring.h>

#include "common.h"

struct message {
    char bytes[64];
};
CK_RING_PROTOTYPE(message, message)

enum { SLOTS = 16384 };

static struct both {
    struct ck_ring there;
    struct ck_ring back;
    struct message there_slots[SLOTS];
    struct message back_slots[SLOTS];
} * q;
static uint64_t n;

static void put(struct ck_ring *ring, struct message *slots, struct message *m)
{
    while (!CK_RING_ENQUEUE_SPSC(message, ring, slots, m))
        pause_cpu();
}

static void get(struct ck_ring *ring, struct message *slots, struct message *m)
{
    while (!CK_RING_DEQUEUE_SPSC(message, ring, slots, m))
        pause_cpu();
}

static void receive(void *arg)
{
    static char bytes[64];
    struct message m = {{0}};

    (void)arg;
    for (uint64_t i = 0; i < n; i++) {
        get(&q->there, q->there_slots, &m);
        memcpy(bytes, m.bytes, sizeof bytes);
        __asm__ volatile("" ::"r"(bytes) : "memory");
    }
    put(&q->back, q->back_slots, &m);
}

static void echo(void *arg)
{
    struct message m;

    (void)arg;
    for (uint64_t i = 0; i < n; i++) {
        get(&q->there, q->there_slots, &m);
        put(&q->back, q->back_slots, &m);
    }
}

int main(int argc, char **argv)
{
    int is_stream = argc > 1 && strcmp(argv[1], "stream") == 0;
    struct party p = {.fn = is_stream ? receive : echo};
    struct message m = {{0}};
    int64_t from;

    q = shared_memory(sizeof *q);
    ck_ring_init(&q->there, SLOTS);
    ck_ring_init(&q->back, SLOTS);
    n = is_stream ? n_stream(64) : 1000000;
    party_start(&p, 0);
    from = bench_now_ns();
    for (uint64_t i = 0; i < n; i++) {
        put(&q->there, q->there_slots, &m);
        if (!is_stream)
            get(&q->back, q->back_slots, &m);
    }
    if (is_stream)
        get(&q->back, q->back_slots, &m);
    from = bench_now_ns() - from;
    party_wait(&p);
    return figure(argv[argc - 1], n, 64, from);
}
