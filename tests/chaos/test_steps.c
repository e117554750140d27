/* test_steps.c: a process that works on a lane is killed after each instruction, in
 * both roles; what it leaves must be whole to the other side.
 *
 * A child runs the code under ptrace, one instruction at a time. A kill leaves the
 * shared memory as it is when the child stops, so after each instruction a copy of
 * that memory is checked. */
#include <string.h>

#include "support/step.h"
#include "sync/lane.h"

enum { N_SLOTS = 4, N_ORDERS = 3, REGION_BYTES = 4096, STEPS_MAX = 200000 };

static struct {
    uint8_t *down;
    uint8_t *up;
    uint8_t *region;
    struct mui_lane lane;
} the;

static int owners[N_ORDERS + N_SLOTS];

/* Whether orders go as a pack, and replies are brief. */
static bool packed;

enum { INPUT_BYTES = 32, BRIEF_BYTES = 7 };

static void no_ring(struct mui_lane_worker *w, uint32_t why)
{
    (void)w;
    (void)why;
}

/* An order and its reply carry one number in every byte, so a torn one shows. */
static struct mui_order order_of(unsigned i)
{
    struct mui_order order = {.fn = 0x7e7e7e7e7e7e7e7e,
                              .tag = 0x0101010101010101U * (i + 1),
                              .inline_size = INPUT_BYTES};

    memset(order.u.bytes, (int)(i + 1), INPUT_BYTES);
    return order;
}

static void check_order(const struct mui_order *order, unsigned i)
{
    struct mui_order whole = order_of(i);
    const void *input = order->u.bytes;

    assert_true(order->fn == whole.fn);
    assert_true(order->tag == whole.tag);
    assert_int_equal(order->attempt, 1);
    if (packed) {
        assert_int_equal(order->form, MUI_FORM_PACK);
        assert_int_equal(order->u.span.size, INPUT_BYTES);
        input = (const void *)(uintptr_t)order->u.span.address;
    } else {
        assert_int_equal(order->inline_size, INPUT_BYTES);
    }
    assert_memory_equal(input, whole.u.bytes, INPUT_BYTES + 1);
}

static unsigned reply_bytes(void)
{
    return packed ? BRIEF_BYTES : MUI_REPLY_INLINE;
}

static void check_reply(const struct mui_reply *reply, unsigned i)
{
    assert_int_equal(reply->kind, MUI_REPLY_RAN);
    assert_int_equal(reply->run_ns, i + 1);
    assert_int_equal(reply->inline_size, reply_bytes());
    for (unsigned j = 0; j < reply_bytes(); j++)
        assert_int_equal(reply->u.bytes[j], i + 1);
}

static struct mui_lane_memory lane_memory(void)
{
    return (struct mui_lane_memory){.down = the.down,
                                    .up = the.up,
                                    .region = the.region,
                                    .region_bytes = REGION_BYTES,
                                    .n_slots = N_SLOTS,
                                    .shared = true};
}

static void fresh_lane(void)
{
    size_t n_down = mui_lane_down_bytes(N_SLOTS);
    size_t n_up = mui_lane_up_bytes(N_SLOTS);
    uint8_t *memory =
        mmap(NULL, n_down + n_up + REGION_BYTES, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct mui_lane_memory lane;

    assert_true(memory != MAP_FAILED);
    the.down = memory;
    the.up = memory + n_down;
    the.region = memory + n_down + n_up;
    lane = lane_memory();
    assert_int_equal(mui_lane_init(&the.lane, &lane), 0);
}

static void drop_lane(void)
{
    mui_lane_fini(&the.lane);
    (void)munmap(the.down, mui_lane_down_bytes(N_SLOTS) +
                               mui_lane_up_bytes(N_SLOTS) + REGION_BYTES);
}

static void worker_end(struct mui_lane_worker *w)
{
    const struct mui_lane_memory lane = lane_memory();

    mui_lane_worker_init(w, &lane);
    w->ring = no_ring;
}

static void push_all(void)
{
    struct mui_order orders[N_ORDERS];
    const struct mui_order *pointers[N_ORDERS];
    void *their[N_ORDERS];
    uint32_t index;

    for (unsigned i = 0; i < N_ORDERS; i++) {
        orders[i] = order_of(i);
        pointers[i] = &orders[i];
        their[i] = &owners[i];
    }
    if (packed)
        mui_lane_push_pack(&the.lane, pointers, N_ORDERS, 1, their, &index);
    for (unsigned i = 0; i < N_ORDERS && !packed; i++) {
        (void)mui_lane_push(&the.lane, &orders[i], 1, their[i], &index);
        mui_lane_flush(&the.lane);
    }
    mui_lane_flush(&the.lane);
}

static void serve_all(void)
{
    struct mui_lane_worker w;
    const struct mui_order *order;
    uint32_t index;

    worker_end(&w);
    while (mui_lane_take(&w, &order, &index) == MU_OK) {
        struct mui_reply reply = {.index = index,
                                  .start_ns = w.end_ns,
                                  .run_ns = (int64_t)(order->tag & 0xff),
                                  .inline_size = (uint8_t)reply_bytes()};

        memset(reply.u.bytes, (int)reply.run_ns, sizeof reply.u.bytes);
        mui_lane_reply(&w, &reply);
    }
}

/* -- the state after each instruction, on a copy -- */

static size_t memory_bytes(void)
{
    return mui_lane_down_bytes(N_SLOTS) + mui_lane_up_bytes(N_SLOTS) +
           REGION_BYTES;
}

/* Run `check` on what a kill now would leave: a copy of the memory, and of the
 * supervisor's own part. */
static void check_copy(void (*check)(void))
{
    static _Alignas(4096) uint8_t memory[64 * 1024];
    void *copy_owners[N_SLOTS];
    uint8_t copy_states[N_SLOTS];
    ptrdiff_t shift = memory - the.down;
    __typeof__(the) live = the;

    assert_true(memory_bytes() <= sizeof memory);
    memcpy(memory, the.down, memory_bytes());
    memcpy(copy_owners, the.lane.owner, sizeof copy_owners);
    memcpy(copy_states, the.lane.state, sizeof copy_states);
    the.down += shift;
    the.up += shift;
    the.region += shift;
    the.lane.down = (void *)the.down;
    the.lane.up = (void *)the.up;
    the.lane.region = the.region;
    the.lane.owner = copy_owners;
    the.lane.state = copy_states;
    check();
    the = live;
}

static void run_body(void *body)
{
    (*(void (**)(void))body)();
}

/* Run `body` in a child, and `check` before its first instruction and after each.
 * Returns the number of instructions. */
static unsigned step_through(void (*body)(void), void (*check)(void))
{
    unsigned n = 0;
    pid_t pid = step_start(NULL, run_body, &body);

    do {
        assert_in_range(n, 0, STEPS_MAX);
        check_copy(check);
        n++;
    } while (step_once(pid, PTRACE_SINGLESTEP));
    return n;
}

static unsigned n_before; /* records seen whole one instruction earlier */

static void replies_are_whole(void)
{
    struct mui_reply reply;
    void *owner;
    unsigned i = 0;
    uint32_t started = mui_lane_started(&the.lane, NULL);
    int rc;

    while ((rc = mui_lane_collect(&the.lane, &reply, &owner)) == MU_OK) {
        assert_ptr_equal(owner, &owners[i]);
        check_reply(&reply, i++);
    }
    assert_int_equal(rc, MU_EMPTY);
    /* at most one order is neither untouched nor answered */
    assert_in_range(started, i, i + 1);
    assert_true(i >= n_before);
    n_before = i;
}

static void worker_killed_at_each_instruction(void **state)
{
    (void)state;
    fresh_lane();
    push_all();
    n_before = 0;
    assert_in_range(step_through(serve_all, replies_are_whole), 100, STEPS_MAX);
    assert_int_equal(n_before, N_ORDERS);
    drop_lane();
}

static void orders_are_whole(void)
{
    struct mui_lane_worker w;
    const struct mui_order *order;
    uint32_t index;
    unsigned i = 0;

    worker_end(&w);
    while (mui_lane_take(&w, &order, &index) == MU_OK) {
        assert_int_equal(index, i);
        check_order(order, i++);
        mui_lane_reply(&w, &(struct mui_reply){.index = index});
    }
    assert_true(i >= n_before);
    n_before = i;
}

static void supervisor_killed_at_each_instruction(void **state)
{
    (void)state;
    fresh_lane();
    n_before = 0;
    assert_in_range(step_through(push_all, orders_are_whole), 100, STEPS_MAX);
    assert_int_equal(n_before, N_ORDERS);
    drop_lane();
}

static void give_nothing(void *ctx, void *owner)
{
    (void)ctx;
    (void)owner;
}

static void revoke_two(void)
{
    (void)mui_lane_revoke(&the.lane, the.lane.head + 1, give_nothing, NULL);
}

/* Whatever the supervisor got done of a revocation, the worker answers each order
 * once: run or returned. */
static void each_order_is_answered(void)
{
    struct mui_lane_worker w;
    const struct mui_order *order;
    uint32_t index;
    unsigned n_run = 0;

    worker_end(&w);
    while (mui_lane_take(&w, &order, &index) == MU_OK) {
        check_order(order, index);
        mui_lane_reply(&w, &(struct mui_reply){.index = index});
        n_run++;
    }
    assert_int_equal(w.n_replies, N_ORDERS);
    assert_true(n_run == N_ORDERS || n_run == 1);
    n_before = n_run;
}

static void revocation_cut_at_each_instruction(void **state)
{
    (void)state;
    fresh_lane();
    push_all();
    assert_in_range(step_through(revoke_two, each_order_is_answered), 20,
                    STEPS_MAX);
    assert_int_equal(n_before, 1);
    drop_lane();
}

static void the_same_of_a_pack(void **state)
{
    packed = true;
    worker_killed_at_each_instruction(state);
    supervisor_killed_at_each_instruction(state);
    revocation_cut_at_each_instruction(state);
    packed = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worker_killed_at_each_instruction),
        cmocka_unit_test(supervisor_killed_at_each_instruction),
        cmocka_unit_test(revocation_cut_at_each_instruction),
        cmocka_unit_test(the_same_of_a_pack),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
