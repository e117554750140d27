/* test_lane.c: orders down and replies up, honest and forged. */
#include "support/lane_pair.h"

#define N_OF(array) (sizeof(array) / sizeof(array)[0])

static void push(struct pair *p, unsigned number)
{
    struct mui_order order = {.tag = number, .inline_size = 3, .fn = 7};
    uint32_t index;

    assert_int_equal(mui_lane_push(&p->lane, &order, 2,
                                   &p->owners[number % N_OWNERS], &index),
                     MU_OK);
}

/* Take one order, check it, reply. */
static void serve(struct pair *p, unsigned number)
{
    const struct mui_order *order;
    uint32_t index;

    assert_int_equal(mui_lane_take(&p->worker, &order, &index), MU_OK);
    assert_int_equal(order->tag, number);
    assert_int_equal(order->attempt, 2);
    assert_int_equal(order->inline_size, 3);
    mui_lane_reply(&p->worker,
                   &(struct mui_reply){.index = index, .code = (int)number});
}

static void collect(struct pair *p, unsigned number)
{
    struct mui_reply reply;
    void *owner;

    assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_OK);
    assert_int_equal(reply.code, number);
    assert_ptr_equal(owner, &p->owners[number % N_OWNERS]);
}

static void order_and_identity_are_kept_over_many_laps(void **state)
{
    struct pair *p = *state;
    unsigned in = 0;
    unsigned served = 0;
    unsigned out = 0;

    for (unsigned lap = 0; lap < 100; lap++) {
        while (in - out < SLOTS - lap % 3)
            push(p, in++);
        mui_lane_flush(&p->lane);
        while (served < in - lap % 2)
            serve(p, served++);
        while (out < served)
            collect(p, out++);
    }
}

static void full_lane_says_so(void **state)
{
    struct pair *p = *state;
    struct mui_order order = {.tag = 0};
    uint32_t index;

    for (unsigned i = 0; i < SLOTS; i++)
        push(p, i);
    assert_int_equal(mui_lane_room(&p->lane), 0);
    assert_int_equal(mui_lane_push(&p->lane, &order, 1, p->owners, &index),
                     MU_FULL);
}

static void orders_are_seen_after_the_flush(void **state)
{
    struct pair *p = *state;
    const struct mui_order *order;
    uint32_t index;

    push(p, 0);
    push(p, 1);
    assert_int_equal(mui_lane_take(&p->worker, &order, &index), MU_EMPTY);
    mui_lane_flush(&p->lane);
    serve(p, 0);
    serve(p, 1);
}

static void replies_may_come_in_any_order(void **state)
{
    struct pair *p = *state;
    const struct mui_order *order;
    uint32_t index[SLOTS];
    struct mui_reply reply;
    void *owner;

    for (unsigned i = 0; i < SLOTS; i++)
        push(p, i);
    mui_lane_flush(&p->lane);
    for (unsigned i = 0; i < SLOTS; i++)
        assert_int_equal(mui_lane_take(&p->worker, &order, &index[i]), MU_OK);
    for (unsigned i = SLOTS; i-- > 1;)
        mui_lane_reply(&p->worker, &(struct mui_reply){.index = index[i]});
    for (unsigned i = SLOTS; i-- > 1;) {
        assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_OK);
        assert_ptr_equal(owner, &p->owners[i]);
    }
    /* the oldest still runs, so its slot is not free and neither are the others */
    assert_int_equal(mui_lane_room(&p->lane), 0);
    mui_lane_reply(&p->worker, &(struct mui_reply){.index = index[0]});
    assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_OK);
    assert_int_equal(mui_lane_room(&p->lane), SLOTS);
}

/* A deadline would be reckoned by that. */
static void time_of_a_start_is_never_that_of_the_one_before(void **state)
{
    struct pair *p = *state;
    const struct mui_order *order;
    uint32_t index;
    int64_t start_ns;

    push(p, 0);
    push(p, 1);
    mui_lane_flush(&p->lane);
    assert_int_equal(mui_lane_take(&p->worker, &order, &index), MU_OK);
    mui_lane_note_start(&p->worker, 77);
    assert_int_equal(mui_lane_started(&p->lane, &start_ns), 1);
    assert_int_equal(start_ns, 77);
    mui_lane_reply(&p->worker, &(struct mui_reply){.index = index});
    assert_int_equal(mui_lane_take(&p->worker, &order, &index), MU_OK);
    assert_int_equal(mui_lane_started(&p->lane, &start_ns), 2);
    assert_int_equal(start_ns, 0);
}

static void revocation_takes_what_did_not_start(void **state)
{
    struct pair *p = *state;
    const struct mui_order *order;
    uint32_t index;
    struct mui_reply reply;
    void *owner;

    for (unsigned i = 0; i < 6; i++)
        push(p, i);
    mui_lane_flush(&p->lane);
    assert_int_equal(mui_lane_take(&p->worker, &order, &index), MU_OK);
    assert_int_equal(mui_lane_revoke(&p->lane, index + 2, note_taken, p), 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(p->taken[i], 5 - i);
    /* one at a time */
    assert_int_equal(mui_lane_revoke(&p->lane, p->lane.head, note_taken, p), 0);
    push(p, 40); /* an order after the revoked ones is served */
    mui_lane_flush(&p->lane);
    mui_lane_reply(&p->worker, &(struct mui_reply){.index = index});
    serve(p, 1);
    serve(p, 40);
    collect(p, 0);
    collect(p, 1);
    for (unsigned i = 0; i < 4; i++) { /* acknowledged, nobody's */
        assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_OK);
        assert_null(owner);
        assert_int_equal(reply.kind, MUI_REPLY_RETURNED);
    }
    collect(p, 40);
    assert_int_equal(mui_lane_in_flight(&p->lane), 0);
}

static void closed_lane_is_served_to_its_end(void **state)
{
    struct pair *p = *state;
    const struct mui_order *order;
    uint32_t index;

    push(p, 0);
    mui_lane_flush(&p->lane);
    mui_lane_close(&p->lane);
    serve(p, 0);
    assert_int_equal(mui_lane_take(&p->worker, &order, &index), MU_CLOSED);
}

static void bell_rings_once_a_wish(void **state)
{
    struct pair *p = *state;
    const struct mui_order *order;
    uint32_t index;

    for (unsigned i = 0; i < 4; i++)
        push(p, i);
    mui_lane_flush(&p->lane);
    serve(p, 0);
    serve(p, 1);
    assert_int_equal(p->n_rings, 0);
    mui_lane_want(&p->lane, MUI_WANT_DONE);
    serve(p, 2);
    serve(p, 3);
    assert_int_equal(mui_lane_take(&p->worker, &order, &index), MU_EMPTY);
    assert_int_equal(p->n_rings, 1);
    mui_lane_want(&p->lane, MUI_WANT_DONE);
    push(p, 4);
    mui_lane_flush(&p->lane);
    serve(p, 4);
    assert_int_equal(mui_lane_take(&p->worker, &order, &index), MU_EMPTY);
    assert_int_equal(p->n_rings, 2);
}

/* In a pool of many lanes, one may have no part in any number of wishes. */
static void wish_is_new_after_any_number_of_wishes(void **state)
{
    struct pair *p = *state;
    const struct mui_order *order;
    uint32_t index;

    for (unsigned i = 0; i < 2; i++) {
        mui_lane_want(&p->lane, MUI_WANT_DONE);
        push(p, i);
        mui_lane_flush(&p->lane);
        serve(p, i);
        assert_int_equal(mui_lane_take(&p->worker, &order, &index), MU_EMPTY);
        assert_int_equal(p->n_rings, i + 1);
        /* as after so many that it did not ring for */
        p->lane.want += ((uint64_t)1 << 32) - MUI_WANT_STEP;
    }
}

static void cancelled_order_comes_back_unrun(void **state)
{
    struct pair *p = *state;
    const struct mui_order *order;
    struct mui_reply reply;
    uint32_t index;
    void *owner;

    push(p, 0);
    push(p, 1);
    mui_lane_flush(&p->lane);
    mui_lane_cancel(&p->lane, 0);
    assert_int_equal(mui_lane_take(&p->worker, &order, &index), MU_OK);
    assert_int_equal(index, 1);
    assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_OK);
    assert_int_equal(reply.kind, MUI_REPLY_RETURNED);
    assert_ptr_equal(owner, &p->owners[0]);
}

/* The mark is the order's, not the slot's: the next lap runs, whichever was cancelled. */
static void cancelling_ends_with_the_order(void **state)
{
    struct pair *p = *state;
    const struct mui_order *order;
    uint32_t index;
    unsigned number = 0;

    for (unsigned cancelled = 0; cancelled < SLOTS; cancelled++) {
        for (unsigned i = 0; i < SLOTS; i++)
            push(p, number + i);
        mui_lane_flush(&p->lane);
        mui_lane_cancel(&p->lane, number + cancelled);
        for (unsigned i = 0; i < SLOTS; i++)
            if (i != cancelled)
                serve(p, number + i);
        assert_int_equal(mui_lane_take(&p->worker, &order, &index), MU_EMPTY);
        for (unsigned i = 0; i < SLOTS; i++) {
            struct mui_reply reply;
            void *owner;

            assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_OK);
            assert_int_equal(reply.kind == MUI_REPLY_RETURNED, i == cancelled);
        }
        number += SLOTS;
        for (unsigned i = 0; i < SLOTS; i++) {
            push(p, number);
            mui_lane_flush(&p->lane);
            serve(p, number);
            assert_false(mui_lane_is_cancelled(&p->worker, number));
            collect(p, number++);
        }
    }
}

static void forged_replies_are_refused(void **state)
{
    static const struct mui_reply forged[] = {
        {.index = 2},          /* never given out */
        {.index = UINT32_MAX}, /* nor this */
        {.index = 0, .kind = MUI_N_REPLY_KINDS},
        {.index = 0, .kind = MUI_REPLY_RETURNED}, /* nobody wanted it back */
        {.index = 0, .form = MUI_FORM_FILE},
        {.index = 0, .inline_size = MUI_REPLY_INLINE + 1},
        {.index = 0, .form = MUI_FORM_SPAN, .u.span = {0, REGION + 1}},
        {.index = 0, .form = MUI_FORM_SPAN, .u.span = {1, REGION}},
        {.index = 0, .form = MUI_FORM_SPAN, .u.span = {UINT64_MAX, 2}},
        {.index = 0, .form = MUI_FORM_SPAN, .u.span = {2, UINT64_MAX}},
        {.index = 0,
         .form = MUI_FORM_SPAN,
         .kind = MUI_REPLY_RETURNED,
         .u.span = {0, 1}},
    };

    for (size_t i = 0; i < N_OF(forged); i++) {
        struct pair *p;
        struct mui_reply reply;
        void *owner;

        assert_int_equal(make_pair((void **)&p), 0);
        push(p, 0);
        push(p, 1);
        mui_lane_flush(&p->lane);
        mui_lane_reply(&p->worker, &forged[i]);
        if (mui_lane_collect(&p->lane, &reply, &owner) != MU_ECORRUPT)
            fail_msg("forgery %zu was believed", i);
        assert_int_equal(mui_lane_in_flight(&p->lane), 2);
        (void)drop_pair((void **)&p);
    }
    (void)state;
}

static void replying_twice_is_forgery(void **state)
{
    struct pair *p = *state;
    struct mui_reply reply;
    void *owner;

    push(p, 0);
    push(p, 1);
    mui_lane_flush(&p->lane);
    mui_lane_reply(&p->worker, &(struct mui_reply){.index = 1});
    mui_lane_reply(&p->worker, &(struct mui_reply){.index = 1});
    assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_OK);
    assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_ECORRUPT);
}

static void running_a_revoked_order_is_forgery(void **state)
{
    struct pair *p = *state;
    struct mui_reply reply;
    void *owner;

    push(p, 0);
    push(p, 1);
    mui_lane_flush(&p->lane);
    assert_int_equal(mui_lane_revoke(&p->lane, p->lane.head, note_taken, p), 2);
    mui_lane_reply(&p->worker, &(struct mui_reply){.index = 0});
    assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_ECORRUPT);
}

/* It says what cannot be: any of them can have started. */
static void lie_about_started_stays_in_range(void **state)
{
    struct pair *p = *state;

    push(p, 0);
    push(p, 1);
    mui_lane_flush(&p->lane);
    assert_false(mui_lane_is_damaged(&p->lane));
    memset(p->up, 0xa5, 64);
    assert_int_equal(mui_lane_started(&p->lane, NULL), 2);
    assert_true(mui_lane_is_damaged(&p->lane));
    assert_int_equal(mui_lane_revoke(&p->lane, p->lane.head, note_taken, p), 0);
}

/* A reply that was there when the next order was started, read or not, and is there no
 * more. */
static void lost_reply_is_damage(void **state)
{
    struct pair *p = *state;
    const struct mui_order *order;
    struct mui_reply reply;
    uint32_t index;
    void *owner;

    for (unsigned i = 0; i < 4; i++)
        push(p, i);
    mui_lane_flush(&p->lane);
    serve(p, 0);
    assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_OK);
    assert_false(mui_lane_is_damaged(&p->lane));
    serve(p, 1);
    assert_int_equal(mui_lane_take(&p->worker, &order, &index), MU_OK);
    assert_false(mui_lane_is_damaged(&p->lane));
    memset((char *)p->up + 64, 0, mui_lane_up_bytes(SLOTS) - 64);
    assert_true(mui_lane_is_damaged(&p->lane));
    /* and when that is not to be seen, that it has started what it replied to */
    memset(p->up, 0, 64);
    assert_true(mui_lane_is_damaged(&p->lane));
}

static void denial_is_of_the_oldest_order(void **state)
{
    struct pair *p = *state;
    const struct mui_order *order;
    struct mui_reply reply;
    uint32_t index;
    void *owner;

    assert_int_equal(mui_lane_doubts(&p->lane), 0);
    push(p, 0);
    push(p, 1);
    mui_lane_flush(&p->lane);
    assert_int_equal(mui_lane_doubts(&p->lane), 1);
    assert_int_equal(mui_lane_doubts(&p->lane), 2);
    assert_int_equal(mui_lane_take(&p->worker, &order, &index), MU_OK);
    assert_int_equal(mui_lane_doubts(&p->lane), 0);
    mui_lane_reply(&p->worker, &(struct mui_reply){.index = 0});
    assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_OK);
    assert_int_equal(mui_lane_doubts(&p->lane), 1);
    serve(p, 1);
    push(p, 2);
    mui_lane_flush(&p->lane);
    assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_OK);
    assert_int_equal(mui_lane_doubts(&p->lane), 1);
}

static void end_is_believed_within_what_is_possible(void **state)
{
    struct pair *p = *state;
    struct mui_reply reply = {.start_ns = 30, .run_ns = 10};
    void *owner;

    assert_int_equal(mui_lane_end(&p->lane, 100), 0);
    push(p, 0);
    mui_lane_reply(&p->worker, &reply);
    assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_OK);
    assert_int_equal(mui_lane_end(&p->lane, 40), 40);
    assert_int_equal(mui_lane_end(&p->lane, 39), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(order_and_identity_are_kept_over_many_laps),
        PAIR_TEST(full_lane_says_so),
        PAIR_TEST(orders_are_seen_after_the_flush),
        PAIR_TEST(replies_may_come_in_any_order),
        PAIR_TEST(time_of_a_start_is_never_that_of_the_one_before),
        PAIR_TEST(revocation_takes_what_did_not_start),
        PAIR_TEST(closed_lane_is_served_to_its_end),
        PAIR_TEST(bell_rings_once_a_wish),
        PAIR_TEST(wish_is_new_after_any_number_of_wishes),
        PAIR_TEST(cancelled_order_comes_back_unrun),
        PAIR_TEST(cancelling_ends_with_the_order),
        PAIR_TEST(forged_replies_are_refused),
        PAIR_TEST(replying_twice_is_forgery),
        PAIR_TEST(running_a_revoked_order_is_forgery),
        PAIR_TEST(lie_about_started_stays_in_range),
        PAIR_TEST(lost_reply_is_damage),
        PAIR_TEST(denial_is_of_the_oldest_order),
        PAIR_TEST(end_is_believed_within_what_is_possible),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
