/* test_lane.c: a lane under two threads that push, run, revoke, and sleep at
 * random. Each order has to be run once or be given back, and nobody may sleep for
 * ever. What luck may miss here test_lane_steps.c goes through step by step.
 * Usage: test_lane [SEED] */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "muster/base.h"

#include "sync/lane.h"
#include "sys/futex.h"

enum {
    SLOTS = 16,
    N_ORDERS = 2000000,
    WATCHDOG_SECONDS = 60 /* both asleep for so long: a lost wake-up */
};
#define WATCHDOG_NS (WATCHDOG_SECONDS * INT64_C(1000000000))

static struct mui_lane lane;
static struct mui_lane_worker worker;
static _Atomic uint32_t bell; /* raised by the worker's ring */
static uint8_t n_runs[N_ORDERS];
static uint8_t n_back[N_ORDERS];
static unsigned n_open; /* orders pushed whose end was not seen */
static unsigned long seed = 1;

static void fail(const char *what, unsigned long number)
{
    printf("seed %lu: %s (order %lu)\n", seed, what, number);
    exit(1);
}

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(*state >> 33);
}

static void ring(struct mui_lane_worker *w, uint32_t why)
{
    (void)w;
    (void)why;
    atomic_fetch_add_explicit(&bell, 1, memory_order_release);
    mui_futex_wake(&bell, 1, 0);
}

static uint64_t input_of(const struct mui_order *order)
{
    const void *bytes = order->u.bytes;
    uint64_t input;

    if (order->form == MUI_FORM_PACK)
        bytes = (const void *)(uintptr_t)order->u.span.address;
    memcpy(&input, bytes, sizeof input);
    return input;
}

static void *worker_main(void *arg)
{
    const struct mui_order *order;
    struct mui_reply reply;
    int64_t end_ns = 0;
    uint32_t index;
    int rc;

    (void)arg;
    while ((rc = mui_lane_take(&worker, &order, &index)) != MU_CLOSED) {
        if (rc == MU_EMPTY) {
            mui_lane_sleep(&worker, MU_NEVER);
            continue;
        }
        if (order->tag >= N_ORDERS || order->fn != 7 ||
            input_of(order) != ~order->tag)
            fail("a torn order", order->tag);
        n_runs[order->tag]++;
        /* those that say more are not brief */
        reply = (struct mui_reply){.index = index,
                                   .run_ns = (int64_t)order->tag,
                                   .start_ns = end_ns,
                                   .code = order->tag % 8 == 0};
        end_ns += reply.run_ns;
        mui_lane_reply(&worker, &reply);
    }
    return NULL;
}

static void give_back(void *ctx, void *owner)
{
    (void)ctx;
    n_back[(uintptr_t)owner - 1]++;
    n_open--;
}

static bool collect(void)
{
    struct mui_reply reply;
    bool any = false;
    void *owner;
    int rc;

    while ((rc = mui_lane_collect(&lane, &reply, &owner)) == MU_OK) {
        any = true;
        if (!owner)
            continue;
        if (reply.kind == MUI_REPLY_RETURNED)
            n_back[(uintptr_t)owner - 1]++;
        else if ((int64_t)((uintptr_t)owner - 1) != reply.run_ns)
            fail("the reply of another order", (uintptr_t)owner - 1);
        n_open--;
    }
    if (rc == MU_ECORRUPT)
        fail("an order was run after it was taken back", 0);
    return any;
}

/* Push up to `n`, from number *i on: as a pack where there is room for one. */
static void push_some(unsigned long *i, unsigned n)
{
    struct mui_order orders[MUI_PACK_MAX];
    const struct mui_order *pointers[MUI_PACK_MAX];
    void *owners[MUI_PACK_MAX];
    unsigned room = mui_lane_pack_room(&lane);
    uint32_t index;

    if (n > 1 && n > room)
        n = room > 1 ? room : 1;
    if (n > N_ORDERS - *i)
        n = (unsigned)(N_ORDERS - *i);
    if (n == 0 || !mui_lane_room(&lane))
        return;
    for (unsigned j = 0; j < n; j++) {
        unsigned long number = *i + j;
        uint64_t input = ~(uint64_t)number;

        orders[j] = (struct mui_order){
            .tag = number, .fn = 7, .inline_size = sizeof input};
        memcpy(orders[j].u.bytes, &input, sizeof input);
        pointers[j] = &orders[j];
        owners[j] = (void *)(uintptr_t)(number + 1);
    }
    if (n > 1)
        mui_lane_push_pack(&lane, pointers, n, 1, owners, &index);
    else
        (void)mui_lane_push(&lane, orders, 1, owners[0], &index);
    n_open += n;
    *i += n;
}

static void sleep_for_replies(void)
{
    uint32_t seen = atomic_load_explicit(&bell, memory_order_acquire);

    mui_lane_want(&lane, MUI_WANT_DONE);
    if (collect() || n_open == 0)
        return;
    if (mui_futex_wait(&bell, seen, 0, mu_after_ns(WATCHDOG_NS)) == MU_TIMEOUT)
        fail("a wake-up was lost", 0);
}

static void spin_for_replies(void)
{
    int64_t end = mu_after_ns(WATCHDOG_NS);

    while (n_open && !collect()) {
        if (mu_now_ns() > end)
            fail("a wake-up was lost", 0);
        mui_cpu_pause();
    }
}

static void supervise(uint64_t *random)
{
    unsigned long n = 0;

    while (n < N_ORDERS) {
        unsigned batch = next_random(random) % 4 + 1;

        while (batch-- > 0 && n < N_ORDERS)
            push_some(
                &n, next_random(random) % 2 ? 1 : next_random(random) % 7 + 2);
        mui_lane_flush(&lane);
        switch (next_random(random) % 8) {
        case 0:
            (void)mui_lane_revoke(&lane, lane.head + next_random(random) % 2,
                                  give_back, NULL);
            break;
        case 1:
        case 2:
            sleep_for_replies();
            break;
        case 3:
            spin_for_replies();
            break;
        default:
            (void)collect();
        }
    }
    while (n_open)
        sleep_for_replies();
}

int main(int argc, char **argv)
{
    const struct mui_lane_memory memory = {
        .down = aligned_alloc(4096, mui_lane_down_bytes(SLOTS)),
        .up = aligned_alloc(4096, mui_lane_up_bytes(SLOTS)),
        .n_slots = SLOTS};
    struct timespec end;
    uint64_t random;
    pthread_t thread;

    if (argc > 1)
        seed = strtoul(argv[1], NULL, 10);
    random = seed;
    memset(memory.down, 0, mui_lane_down_bytes(SLOTS));
    memset(memory.up, 0, mui_lane_up_bytes(SLOTS));
    if (mui_lane_init(&lane, &memory) != 0)
        return 1;
    mui_lane_worker_init(&worker, &memory);
    worker.ring = ring;
    worker.spin_ns = seed % 2 ? 0 : 1000;
    if (pthread_create(&thread, NULL, worker_main, NULL) != 0)
        return 1;
    supervise(&random);
    mui_lane_close(&lane);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += WATCHDOG_SECONDS;
    if (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &end) != 0)
        fail("the worker slept through the end", 0);
    for (unsigned long i = 0; i < N_ORDERS; i++)
        if (n_runs[i] + n_back[i] != 1)
            fail(n_runs[i] + n_back[i] ? "an order ended twice"
                                       : "an order was lost",
                 i);
    printf("%d orders, each run once or given back\n", N_ORDERS);
    mui_lane_fini(&lane);
    free(memory.down);
    free(memory.up);
    return 0;
}
