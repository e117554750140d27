/* test_lane_pack.c: orders that travel as a pack are orders like others. */
#include "support/lane_pair.h"

/* Its input is of a size and of bytes that tell the number. */
static struct mui_order order_of(unsigned number)
{
    unsigned size = number * 7 % MUI_ORDER_INLINE;
    struct mui_order order = {.form = MUI_FORM_INLINE,
                              .tag = number * 3,
                              .inline_size = (uint8_t)size,
                              .fn = 7};

    memset(order.u.bytes, (int)(number & 0xff), size);
    return order;
}

/* Push n orders as a pack; one as it is. */
static void push(struct pair *p, unsigned number, unsigned n)
{
    struct mui_order orders[SLOTS];
    const struct mui_order *pointers[SLOTS];
    void *owners[SLOTS];
    uint32_t index;

    for (unsigned i = 0; i < n; i++) {
        orders[i] = order_of(number + i);
        pointers[i] = &orders[i];
        owners[i] = &p->owners[(number + i) % N_OWNERS];
    }
    if (n > 1)
        mui_lane_push_pack(&p->lane, pointers, n, 2, owners, &index);
    else
        assert_int_equal(mui_lane_push(&p->lane, orders, 2, owners[0], &index),
                         MU_OK);
    assert_int_equal(index + n, p->lane.tail);
}

/* Take the next order and check it. Returns its index. */
static uint32_t take(struct pair *p, unsigned number)
{
    const struct mui_order whole = order_of(number);
    const struct mui_order *order;
    const uint8_t *input;
    uint32_t index;

    assert_int_equal(mui_lane_take(&p->worker, &order, &index), MU_OK);
    assert_int_equal(order->tag, whole.tag);
    assert_int_equal(order->fn, whole.fn);
    assert_int_equal(order->attempt, 2);
    input = order->u.bytes;
    if (order->form == MUI_FORM_PACK) {
        assert_int_equal(order->u.span.size, whole.inline_size);
        input = (const uint8_t *)(uintptr_t)order->u.span.address;
    }
    assert_int_equal((uintptr_t)input % 8, 0);
    assert_memory_equal(input, whole.u.bytes, whole.inline_size + 1U);
    return index;
}

static void serve(struct pair *p, unsigned number)
{
    struct mui_reply reply = {.index = take(p, number),
                              .start_ns = p->worker.end_ns,
                              .run_ns = number,
                              .inline_size = sizeof number};

    memcpy(reply.u.bytes, &number, sizeof number);
    mui_lane_reply(&p->worker, &reply);
}

static void collect(struct pair *p, unsigned number)
{
    struct mui_reply reply;
    unsigned told;
    void *owner;

    assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_OK);
    assert_int_equal(reply.kind, MUI_REPLY_RAN);
    assert_int_equal(reply.code, 0);
    assert_int_equal(reply.form, MUI_FORM_INLINE);
    assert_int_equal(reply.run_ns, number);
    assert_int_equal(reply.inline_size, sizeof told);
    memcpy(&told, reply.u.bytes, sizeof told);
    assert_int_equal(told, number);
    assert_ptr_equal(owner, &p->owners[number % N_OWNERS]);
}

/* Every slot is ordered again as soon as it is free, so what is written over the
 * input of an order that has not run shows. */
static void order_and_input_are_kept_over_many_laps(void **state)
{
    struct pair *p = *state;
    unsigned in = 0;
    unsigned out = 0;

    for (unsigned served = 0; served < 1000;) {
        unsigned batch = served % 5 + 1;

        while (mui_lane_room(&p->lane)) {
            unsigned room = mui_lane_pack_room(&p->lane);
            unsigned n = in % 4 == 0 ? 1 : in % 7 + 1;

            n = n < room ? n : room;
            push(p, in, n);
            in += n;
        }
        mui_lane_flush(&p->lane);
        while (batch-- > 0) {
            serve(p, served++);
            collect(p, out++);
        }
    }
}

/* Push half a lap of orders whose inputs are of `size` times the same byte; what is behind
 * them in their records is none of their workers' business. */
static void push_half(struct pair *p, unsigned size, int byte)
{
    struct mui_order orders[SLOTS / 2];
    const struct mui_order *pointers[SLOTS / 2];
    void *owners[SLOTS / 2];
    uint32_t index;

    for (unsigned i = 0; i < SLOTS / 2; i++) {
        orders[i] = (struct mui_order){.form = MUI_FORM_INLINE,
                                       .inline_size = (uint8_t)size};
        memset(orders[i].u.bytes, 0xff, sizeof orders[i].u.bytes);
        memset(orders[i].u.bytes, byte, size);
        orders[i].u.bytes[size] = 0;
        pointers[i] = &orders[i];
        owners[i] = &p->owners[i];
    }
    mui_lane_push_pack(&p->lane, pointers, SLOTS / 2, 1, owners, &index);
    mui_lane_flush(&p->lane);
}

static void serve_half(struct pair *p, unsigned size, int byte)
{
    uint8_t expected[MUI_ORDER_INLINE] = "";
    const struct mui_order *order;
    struct mui_reply reply;
    uint32_t index;
    void *owner;

    memset(expected, byte, size);
    for (unsigned i = 0; i < SLOTS / 2; i++) {
        assert_int_equal(mui_lane_take(&p->worker, &order, &index), MU_OK);
        assert_int_equal(order->u.span.size, size);
        assert_memory_equal((const void *)(uintptr_t)order->u.span.address,
                            expected, size + 1);
        mui_lane_reply(&p->worker, &(struct mui_reply){.index = index});
        assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_OK);
        assert_int_equal(reply.kind, MUI_REPLY_RAN);
    }
}

/* Inputs that fill their slots, and marks of cancelling, lie behind short ones. */
static void short_inputs_are_followed_by_nothing(void **state)
{
    struct pair *p = *state;
    const unsigned large = MUI_ORDER_INLINE - 1;

    for (unsigned small = 0; small < 24; small++) {
        push_half(p, small, 's');
        push_half(p, large, 'l');
        serve_half(p, small, 's');
        push_half(p, small, 't');
        serve_half(p, large, 'l');
        push_half(p, small, 'u');
        serve_half(p, small, 't');
        serve_half(p, small, 'u');
    }
}

static void check_same(const struct mui_reply *reply,
                       const struct mui_reply *sent)
{
    assert_int_equal(reply->index, sent->index);
    assert_int_equal(reply->code, sent->code);
    assert_int_equal(reply->kind, sent->kind);
    assert_int_equal(reply->form, sent->form);
    assert_int_equal(reply->limit, sent->limit);
    assert_int_equal(reply->start_ns, sent->start_ns);
    assert_int_equal(reply->run_ns, sent->run_ns);
    if (sent->form == MUI_FORM_SPAN) {
        assert_int_equal(reply->u.span.address, sent->u.span.address);
        assert_int_equal(reply->u.span.size, sent->u.span.size);
        return;
    }
    assert_int_equal(reply->inline_size, sent->inline_size);
    assert_memory_equal(reply->u.bytes, sent->u.bytes, sent->inline_size);
}

/* Whether a reply is brief is nobody's business. */
static void all_that_a_reply_says_arrives(void **state)
{
    static const struct mui_reply replies[] = {
        {.run_ns = 5, .inline_size = 0},
        {.run_ns = INT32_MAX, .inline_size = 7, .u.bytes = "1234567"},
        {.run_ns = 5, .inline_size = 8, .u.bytes = "12345678"},
        {.run_ns = (int64_t)INT32_MAX + 1},
        {.run_ns = (int64_t)UINT32_MAX + 1},
        {.run_ns = 5, .code = 3},
        {.run_ns = 5, .code = -1, .limit = 2},
        {.run_ns = 5, .kind = MUI_REPLY_ERROR, .code = -2},
        {.run_ns = 5, .form = MUI_FORM_SPAN, .u.span = {64, 100}},
        {.run_ns = 5, .start_ns = 1},  /* after a pause */
        {.run_ns = 5, .start_ns = -1}, /* before the end of the last */
        {.run_ns = -5},
    };
    struct pair *p = *state;
    unsigned n = sizeof replies / sizeof replies[0];

    for (unsigned i = 0; i < 2 * n * n; i++) {
        struct mui_reply sent = replies[i / 2 % 2 ? i % n : i / 2 / n];
        struct mui_reply reply;
        void *owner;

        if (mui_lane_in_flight(&p->lane) == 0) {
            unsigned room = mui_lane_pack_room(&p->lane);

            push(p, i, i % 5 + 1 < room ? i % 5 + 1 : room);
            mui_lane_flush(&p->lane);
        }
        sent.index = take(p, i);
        sent.start_ns += p->worker.end_ns;
        mui_lane_reply(&p->worker, &sent);
        assert_true(mui_lane_has(&p->lane, 1));
        assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_OK);
        check_same(&reply, &sent);
        assert_ptr_equal(owner, &p->owners[i % N_OWNERS]);
    }
}

static void revocation_takes_what_did_not_start(void **state)
{
    struct pair *p = *state;
    struct mui_reply reply;
    void *owner;

    push(p, 0, 6);
    mui_lane_flush(&p->lane);
    serve(p, 0);
    assert_int_equal(take(p, 1), 1);
    assert_int_equal(mui_lane_started(&p->lane, NULL), 2);
    assert_int_equal(mui_lane_revoke(&p->lane, 3, note_taken, p), 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(p->taken[i], 5 - i);
    push(p, 6, 2); /* orders after the revoked ones are served */
    mui_lane_flush(&p->lane);
    mui_lane_reply(&p->worker, &(struct mui_reply){.index = 1});
    serve(p, 2);
    serve(p, 6);
    serve(p, 7);
    collect(p, 0);
    assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_OK);
    assert_ptr_equal(owner, &p->owners[1]);
    collect(p, 2);
    for (unsigned i = 0; i < 3; i++) { /* acknowledged, nobody's */
        assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_OK);
        assert_null(owner);
        assert_int_equal(reply.kind, MUI_REPLY_RETURNED);
    }
    collect(p, 6);
    collect(p, 7);
    assert_int_equal(mui_lane_in_flight(&p->lane), 0);
}

static void cancelled_one_comes_back_unrun(void **state)
{
    struct pair *p = *state;
    struct mui_reply reply;
    void *owner;

    push(p, 0, SLOTS);
    mui_lane_flush(&p->lane);
    mui_lane_cancel(&p->lane, 1);
    serve(p, 0);
    for (unsigned i = 2; i < SLOTS; i++)
        serve(p, i);
    collect(p, 0);
    assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_OK);
    assert_int_equal(reply.kind, MUI_REPLY_RETURNED);
    assert_ptr_equal(owner, &p->owners[1]);
    for (unsigned i = 2; i < SLOTS; i++)
        collect(p, i);
    push(p, SLOTS, SLOTS); /* the mark is no more there */
    mui_lane_flush(&p->lane);
    for (unsigned i = SLOTS; i < 2 * SLOTS; i++)
        serve(p, i);
}

static void replies_may_come_in_any_order(void **state)
{
    struct pair *p = *state;
    struct mui_reply reply;
    void *owner;

    push(p, 0, 4);
    push(p, 4, 1);
    mui_lane_flush(&p->lane);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(take(p, i), i);
    for (uint32_t i = 5; i-- > 0;) {
        mui_lane_reply(&p->worker, &(struct mui_reply){.index = i});
        assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_OK);
        assert_ptr_equal(owner, &p->owners[i]);
    }
    assert_int_equal(mui_lane_in_flight(&p->lane), 0);
}

static void pack_ends_with_the_lap(void **state)
{
    struct pair *p = *state;

    assert_int_equal(mui_lane_pack_room(&p->lane), SLOTS);
    push(p, 0, 5);
    mui_lane_flush(&p->lane);
    serve(p, 0);
    collect(p, 0);
    assert_int_equal(mui_lane_room(&p->lane), 4);
    assert_int_equal(mui_lane_pack_room(&p->lane), 3);
}

/* Collect those that are next in a row, from this number on. Returns how many. */
static unsigned collect_row(struct pair *p, unsigned number)
{
    struct mui_lane_brief briefs[SLOTS + 1];
    int64_t start_ns;
    int64_t end_ns = (int64_t)p->lane.end_ns;
    unsigned n =
        mui_lane_collect_briefs(&p->lane, briefs, SLOTS + 1, &start_ns);

    assert_int_equal(start_ns, end_ns);
    for (unsigned i = 0; i < n; i++) {
        unsigned told;

        assert_ptr_equal(briefs[i].owner, &p->owners[(number + i) % N_OWNERS]);
        assert_int_equal(briefs[i].run_ns, number + i);
        assert_int_equal((uint8_t)briefs[i].output, sizeof told);
        told = (unsigned)(briefs[i].output >> 8);
        assert_int_equal(told, number + i);
        end_ns += briefs[i].run_ns;
    }
    assert_int_equal(p->lane.end_ns, end_ns);
    return n;
}

static void rows_of_brief_replies_end_with_the_lap(void **state)
{
    struct pair *p = *state;

    push(p, 0, 5);
    mui_lane_flush(&p->lane);
    for (unsigned i = 0; i < 5; i++)
        serve(p, i);
    assert_int_equal(collect_row(p, 0), 5);
    assert_int_equal(mui_lane_in_flight(&p->lane), 0);
    push(p, 5, SLOTS - 5);
    push(p, SLOTS, 4);
    mui_lane_flush(&p->lane);
    for (unsigned i = 5; i < SLOTS + 3; i++)
        serve(p, i);
    assert_int_equal(collect_row(p, 5), SLOTS - 5);
    assert_int_equal(mui_lane_in_flight(&p->lane), 4);
    assert_int_equal(collect_row(p, SLOTS), 3); /* the fourth has not run */
    assert_int_equal(mui_lane_in_flight(&p->lane), 1);
    serve(p, SLOTS + 3);
    assert_int_equal(collect_row(p, SLOTS + 3), 1);
    assert_int_equal(mui_lane_in_flight(&p->lane), 0);
}

/* A pack of four, all of which are taken. */
static void take_four(struct pair *p)
{
    push(p, 0, 4);
    mui_lane_flush(&p->lane);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(take(p, i), i);
}

/* The reply to one of them, which is read. */
static void reply_to(struct pair *p, uint32_t index)
{
    struct mui_reply reply;
    void *owner;

    mui_lane_reply(
        &p->worker,
        &(struct mui_reply){.index = index, .start_ns = p->worker.end_ns});
    assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_OK);
    assert_ptr_equal(owner, &p->owners[index]);
}

static void an_order_without_a_reply_stays_when_later_ones_have_theirs(
    void **state)
{
    static const uint32_t as_replied[] = {0, 3, 2, 1};
    static const unsigned in_flight[] = {3, 3, 3, 0};
    struct pair *p = *state;

    take_four(p);
    for (unsigned i = 0; i < 4; i++) {
        reply_to(p, as_replied[i]);
        assert_int_equal(mui_lane_in_flight(&p->lane), in_flight[i]);
    }
}

/* The worker says that it has started less than it has replied to. */
static void whose_reply_was_read_does_not_come_back(void **state)
{
    struct pair *p = *state;

    take_four(p);
    reply_to(p, 0);
    reply_to(p, 3);
    reply_to(p, 2); /* a brief one, behind one that is not there */
    atomic_store(&p->up->started, 1);
    assert_int_equal(mui_lane_revoke(&p->lane, p->lane.head, note_taken, p), 1);
    assert_int_equal(p->taken[0], 1);
}

static void forged_brief_reply_is_refused(void **state)
{
    struct pair *p = *state;
    struct mui_lane_brief brief;
    struct mui_reply reply;
    int64_t start_ns;
    void *owner;

    push(p, 0, 2);
    mui_lane_flush(&p->lane);
    atomic_store(brief_output_of(p->up, SLOTS - 1, 0), MUI_BRIEF_BYTES + 1);
    atomic_store(brief_of(p->up, SLOTS - 1, 0), brief_word(1, 0, true));
    assert_int_equal(mui_lane_collect_briefs(&p->lane, &brief, 1, &start_ns),
                     0);
    assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_ECORRUPT);
    assert_int_equal(mui_lane_in_flight(&p->lane), 2);
}

static void brief_reply_to_a_revoked_order_is_nothing(void **state)
{
    struct pair *p = *state;
    struct mui_reply reply;
    void *owner;

    push(p, 0, 2);
    mui_lane_flush(&p->lane);
    assert_int_equal(mui_lane_revoke(&p->lane, p->lane.head, note_taken, p), 2);
    atomic_store(brief_of(p->up, SLOTS - 1, 0), brief_word(1, 0, false));
    assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_EMPTY);
}

/* A lap word that were left as it is for 2^32 orders would pass for new. */
static void every_lap_word_is_stored_every_so_often(void **state)
{
    struct pair *p = *state;
    uint32_t number = 65535 * SLOTS;

    p->lane.tail = number;
    p->lane.head = number;
    p->lane.n_replies = number;
    p->lane.n_flushed = number;
    p->worker.next = number;
    p->worker.n_replies = number;
    for (unsigned i = 0; i < SLOTS; i++) {
        assert_int_equal(mui_lane_pack_room(&p->lane), 0);
        push(p, number + i, 1);
    }
    mui_lane_flush(&p->lane);
    for (unsigned i = 0; i < SLOTS; i++) {
        serve(p, number + i);
        collect(p, number + i);
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        assert_int_equal(atomic_load(&p->down->orders[i].lap), 65536);
        assert_int_equal(atomic_load(&p->up->replies[i].lap), 65536);
        assert_int_equal(atomic_load(brief_of(p->up, SLOTS - 1, i)) >> 32,
                         65536);
    }
    assert_int_equal(mui_lane_pack_room(&p->lane), SLOTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(order_and_input_are_kept_over_many_laps),
        PAIR_TEST(short_inputs_are_followed_by_nothing),
        PAIR_TEST(all_that_a_reply_says_arrives),
        PAIR_TEST(revocation_takes_what_did_not_start),
        PAIR_TEST(cancelled_one_comes_back_unrun),
        PAIR_TEST(replies_may_come_in_any_order),
        PAIR_TEST(pack_ends_with_the_lap),
        PAIR_TEST(rows_of_brief_replies_end_with_the_lap),
        PAIR_TEST(an_order_without_a_reply_stays_when_later_ones_have_theirs),
        PAIR_TEST(whose_reply_was_read_does_not_come_back),
        PAIR_TEST(forged_brief_reply_is_refused),
        PAIR_TEST(brief_reply_to_a_revoked_order_is_nothing),
        PAIR_TEST(every_lap_word_is_stored_every_so_often),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
