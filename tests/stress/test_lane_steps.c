/* test_lane_steps.c: one end of a lane does its part between two instructions of the
 * other, at each of them: the handshakes of lane.c in every order there is, by no
 * luck. Bugs that are built into lane.c have to be seen here: bugs.cmake. */
#include <string.h>
#include <sys/syscall.h>

#include "support/check.h"
#include "support/step.h"
#include "sync/lane.h"

enum { SLOTS = 4, N_ORDERS = 3, BLOCK = 8192 };

/* In memory of both ends. */
struct scene {
    unsigned char down[BLOCK];
    unsigned char up[BLOCK];
    struct mui_lane_worker worker;
    struct mui_lane lane;
    bool packed; /* orders go as a pack, and short replies are brief */
    _Atomic uint32_t n_rings;
    void *owner[SLOTS]; /* the lane's own notes, too: see begin_scene() */
    uint8_t state[SLOTS];
    unsigned n_runs[N_ORDERS];
    unsigned n_back[N_ORDERS]; /* returned to the supervisor, not run */
    unsigned n_collected;
    uint32_t n_started; /* as the supervisor saw it */
    bool has_left;      /* the same, after its flush */
};

/* What one end does, and the other meanwhile. */
struct act {
    step_fn before;    /* optional: what is there already */
    step_fn act;       /* of the child that is stopped */
    int goes_to_sleep; /* it ends in a sleep, up to which it is stopped */
    void (*meanwhile)(void *s);     /* of the other end */
    void (*check)(struct scene *s); /* afterwards */
};

static void ring(struct mui_lane_worker *w, uint32_t why)
{
    (void)why;
    atomic_fetch_add(&((struct scene *)w->ring_ctx)->n_rings, 1);
}

/* Either end may be a child's, and be ours afterwards. */
static void begin_scene(struct scene *s, const struct act *a, bool packed)
{
    const struct mui_lane_memory memory = {
        .down = s->down, .up = s->up, .n_slots = SLOTS, .shared = true};

    memset(s, 0, sizeof *s);
    s->packed = packed;
    assert_int_equal(mui_lane_init(&s->lane, &memory), 0);
    mui_lane_fini(&s->lane);
    s->lane.owner = s->owner;
    s->lane.state = s->state;
    mui_lane_worker_init(&s->worker, &memory);
    s->worker.ring = ring;
    s->worker.ring_ctx = s;
    if (a->before)
        a->before(s);
}

static void prepare(void *arg)
{
    (void)arg;
    /* for one that sleeps on */
    (void)alarm((unsigned)(TEST_HANG_NS / 1000000000));
}

static void at_each_instruction_of(const struct act *a, bool packed)
{
    struct scene *s = test_shared(sizeof *s);
    struct step_trace t;
    int n_stopped = 0;

    begin_scene(s, a, packed);
    t = step_record_to(step_start(prepare, a->act, s),
                       a->goes_to_sleep ? SYS_futex : -1);
    for (long i = 0; i < t.n; i += step_stride(&t)) {
        pid_t pid;

        begin_scene(s, a, packed);
        pid = step_start(prepare, a->act, s);
        if (!step_stop(pid, &t, i))
            continue;
        n_stopped++;
        a->meanwhile(s);
        step_go_on(pid);
        a->check(s);
    }
    assert_true(n_stopped > 0);
    free(t.pc);
    munmap(s, sizeof *s);
}

static void at_each_instruction(const struct act *a)
{
    at_each_instruction_of(a, false);
    at_each_instruction_of(a, true);
}

/* -- what the two ends do -- */

enum { FN = 0x5a5a };

static void push_all(void *arg)
{
    struct scene *s = arg;
    struct mui_order orders[N_ORDERS];
    const struct mui_order *pointers[N_ORDERS];
    void *owners[N_ORDERS];
    uint32_t index;

    for (uint64_t i = 0; i < N_ORDERS; i++) {
        const uint64_t input = ~i;

        orders[i] =
            (struct mui_order){.tag = i, .fn = FN, .inline_size = sizeof input};
        memcpy(orders[i].u.bytes, &input, sizeof input);
        pointers[i] = &orders[i];
        owners[i] = &s->n_back[i];
    }
    if (s->packed)
        mui_lane_push_pack(&s->lane, pointers, N_ORDERS, 1, owners, &index);
    for (uint64_t i = 0; i < N_ORDERS && !s->packed; i++)
        CHECK_CHILD(mui_lane_push(&s->lane, &orders[i], 1, owners[i], &index) ==
                    MU_OK);
    mui_lane_flush(&s->lane);
}

/* Whether an order is as it was pushed. */
static bool is_whole(const struct mui_order *order)
{
    const void *bytes = order->u.bytes;
    uint64_t input;

    if (order->form == MUI_FORM_PACK)
        bytes = (const void *)(uintptr_t)order->u.span.address;
    memcpy(&input, bytes, sizeof input);
    return order->fn == FN && order->attempt == 1 && order->tag < N_ORDERS &&
           input == ~order->tag;
}

static struct mui_reply reply_to(uint32_t index, uint64_t tag)
{
    struct mui_reply reply = {
        .index = index, .run_ns = (int64_t)tag + 1, .inline_size = 1};

    for (uint64_t i = 0; i < tag; i++)
        reply.start_ns += (int64_t)i + 1;
    reply.u.bytes[0] = (uint8_t)(tag + 1);
    return reply;
}

/* Run what is there. */
static void serve(void *arg)
{
    struct scene *s = arg;
    const struct mui_order *order;
    uint32_t index;

    while (mui_lane_take(&s->worker, &order, &index) == MU_OK) {
        struct mui_reply reply;

        CHECK_CHILD(is_whole(order));
        s->n_runs[order->tag]++;
        reply = reply_to(index, order->tag);
        mui_lane_reply(&s->worker, &reply);
    }
}

static void serve_and_sleep(void *arg)
{
    struct scene *s = arg;

    serve(s);
    mui_lane_sleep(&s->worker, 1);
}

static void wait_for_orders(void *arg)
{
    struct scene *s = arg;

    serve(s);
    if (s->n_runs[0] == 0)
        mui_lane_sleep(&s->worker, MU_NEVER);
    serve(s);
}

static void give_back(void *unused, void *owner)
{
    (void)unused;
    ++*(unsigned *)owner;
}

static void revoke_all(void *arg)
{
    struct scene *s = arg;

    (void)mui_lane_revoke(&s->lane, s->lane.head, give_back, NULL);
}

static void cancel_all(void *arg)
{
    struct scene *s = arg;

    for (uint32_t i = 0; i < N_ORDERS; i++)
        mui_lane_cancel(&s->lane, i);
    s->n_started = mui_lane_started(&s->lane, NULL);
}

static void collect(void *arg)
{
    struct scene *s = arg;
    struct mui_reply reply;
    void *owner;
    int rc;

    while ((rc = mui_lane_collect(&s->lane, &reply, &owner)) == MU_OK) {
        s->n_collected++;
        if (owner && reply.kind == MUI_REPLY_RETURNED)
            give_back(NULL, owner);
        if (reply.kind != MUI_REPLY_RAN)
            continue;
        assert_int_equal(reply.run_ns, (unsigned *)owner - s->n_back + 1);
        assert_int_equal(reply.u.bytes[0], reply.run_ns);
    }
    assert_int_equal(rc, MU_EMPTY);
}

static void wish_and_collect(void *arg)
{
    struct scene *s = arg;

    mui_lane_want(&s->lane, MUI_WANT_DONE);
    collect(s);
}

/* -- each handshake -- */

static void check_all_ran(struct scene *s)
{
    for (int i = 0; i < N_ORDERS; i++)
        assert_int_equal(s->n_runs[i], 1);
}

static void check_rest_runs(struct scene *s)
{
    serve(s);
    check_all_ran(s);
}

/* R1 and A1 */
static void order_is_whole_when_it_is_seen(void **state)
{
    (void)state;
    at_each_instruction(&(struct act){
        .act = push_all, .meanwhile = serve, .check = check_rest_runs});
}

static void check_each_ran_or_came_back(struct scene *s)
{
    serve(s);
    collect(s);
    assert_int_equal(s->n_collected, N_ORDERS);
    for (int i = 0; i < N_ORDERS; i++)
        assert_int_equal(s->n_runs[i] + s->n_back[i], 1);
}

/* H1 */
static void revoked_order_runs_or_comes_back(void **state)
{
    (void)state;
    at_each_instruction(&(struct act){.before = push_all,
                                      .act = serve,
                                      .meanwhile = revoke_all,
                                      .check = check_each_ran_or_came_back});
    at_each_instruction(&(struct act){.before = push_all,
                                      .act = revoke_all,
                                      .meanwhile = serve,
                                      .check = check_each_ran_or_came_back});
}

/* H2 */
static void worker_wakes_for_orders(void **state)
{
    (void)state;
    at_each_instruction(&(struct act){.act = wait_for_orders,
                                      .goes_to_sleep = 1,
                                      .meanwhile = push_all,
                                      .check = check_all_ran});
}

static void check_seen_or_rung(struct scene *s)
{
    assert_true(s->n_collected == N_ORDERS || s->n_rings > 0);
}

/* H3 */
static void reply_is_seen_or_rung_for(void **state)
{
    (void)state;
    at_each_instruction(&(struct act){.before = push_all,
                                      .act = serve_and_sleep,
                                      .meanwhile = wish_and_collect,
                                      .check = check_seen_or_rung});
    at_each_instruction(&(struct act){.before = push_all,
                                      .act = wish_and_collect,
                                      .meanwhile = serve_and_sleep,
                                      .check = check_seen_or_rung});
}

/* One more order, which takes long. */
static void push_long(struct scene *s)
{
    const struct mui_order order = {.tag = N_ORDERS, .fn = FN};
    uint32_t index;

    assert_int_equal(mui_lane_push(&s->lane, &order, 1, &s->n_back, &index),
                     MU_OK);
    mui_lane_flush(&s->lane);
}

/* Up to where that is begun. */
static void serve_up_to_long(void *arg)
{
    struct scene *s = arg;

    for (;;) {
        const struct mui_order *order;
        struct mui_reply reply;
        uint32_t index;
        int rc = mui_lane_take(&s->worker, &order, &index);

        if (rc == MU_EMPTY) {
            mui_lane_sleep(&s->worker, MU_NEVER);
            continue;
        }
        CHECK_CHILD(rc == MU_OK);
        if (order->tag == N_ORDERS)
            return;
        reply = reply_to(index, order->tag);
        mui_lane_reply(&s->worker, &reply);
    }
}

/* What hardware may make of a reply: it is not seen before the exchange that follows it.
 * That is when the next order is begun, or when the worker is about to sleep. */
static void wish_and_collect_late(void *arg)
{
    struct scene *s = arg;
    uint32_t n_started;
    bool is_awake;

    mui_lane_want(&s->lane, MUI_WANT_DONE);
    n_started = mui_lane_started(&s->lane, NULL);
    is_awake = mui_lane_is_awake(&s->lane);
    while (s->n_collected + is_awake < n_started) {
        struct mui_reply reply;
        void *owner;

        if (mui_lane_collect(&s->lane, &reply, &owner) != MU_OK)
            break;
        s->n_collected++;
    }
    push_long(s);
}

/* H3, where the worker looks for a wish before it sleeps, and then does not sleep */
static void reply_that_is_seen_late_is_rung_for(void **state)
{
    (void)state;
    at_each_instruction(&(struct act){.before = push_all,
                                      .act = serve_up_to_long,
                                      .goes_to_sleep = 1,
                                      .meanwhile = wish_and_collect_late,
                                      .check = check_seen_or_rung});
}

static void check_unstarted_came_back(struct scene *s)
{
    check_each_ran_or_came_back(s);
    for (uint32_t i = s->n_started; i < N_ORDERS; i++)
        assert_int_equal(s->n_back[i], 1);
}

/* H4 */
static void cancelled_order_that_was_not_started_comes_back(void **state)
{
    (void)state;
    at_each_instruction(&(struct act){.before = push_all,
                                      .act = serve,
                                      .meanwhile = cancel_all,
                                      .check = check_unstarted_came_back});
}

static void push_and_look(void *arg)
{
    struct scene *s = arg;

    push_all(s);
    s->has_left = s->lane.has_left;
}

static void leave(void *arg)
{
    struct scene *s = arg;

    mui_lane_leave(&s->worker);
}

static void check_left_or_rung(struct scene *s)
{
    assert_true(s->has_left || s->n_rings > 0);
}

/* H5 */
static void order_for_nobody_is_seen_or_rung_for(void **state)
{
    (void)state;
    at_each_instruction(&(struct act){
        .act = leave, .meanwhile = push_and_look, .check = check_left_or_rung});
    at_each_instruction(&(struct act){
        .act = push_and_look, .meanwhile = leave, .check = check_left_or_rung});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_whole_when_it_is_seen),
        cmocka_unit_test(revoked_order_runs_or_comes_back),
        cmocka_unit_test(worker_wakes_for_orders),
        cmocka_unit_test(reply_is_seen_or_rung_for),
        cmocka_unit_test(reply_that_is_seen_late_is_rung_for),
        cmocka_unit_test(cancelled_order_that_was_not_started_comes_back),
        cmocka_unit_test(order_for_nobody_is_seen_or_rung_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
