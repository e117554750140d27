/* test_ring.c: the byte ring by itself, between two threads that use one mapping, so
 * that the thread sanitizer sees both sides of each edge. */
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "channel/far.h"
#include "support/check.h"
#include "sync/byte_ring.h"
#include "sys/memfd.h"
#include "sys/mirror.h"

enum { RING_BYTES = 16384, N_RECORDS = 100000, SIZE_LIMIT = 200 };
/* Of those that go past the caches, to a far consumer. */
enum { N_LARGE = 2000, LARGE_LIMIT = 4000 };

struct ring {
    struct mui_ring_words *words;
    char *data;
    uint64_t n_records;
    uint64_t size_limit;
    bool is_far;
};

static uint64_t record_size(const struct ring *r, uint64_t i)
{
    return i * 7 % r->size_limit;
}

static struct ring ring_new(void)
{
    struct ring r = {.n_records = 0};
    void *data;
    int fd = mui_memfd_open("test", RING_BYTES);

    CHECK_CHILD(fd >= 0 && mui_mirror_map(fd, 0, RING_BYTES, &data) == 0);
    (void)close(fd);
    r.data = data;
    r.words = aligned_alloc(64, sizeof *r.words);
    memset(r.words, 0, sizeof *r.words);
    return r;
}

static void ring_free(struct ring *r)
{
    mui_mirror_unmap(r->data, RING_BYTES);
    free(r->words);
}

static void *produce(void *arg)
{
    struct ring *r = arg;
    struct mui_ring_producer p = {
        .words = r->words, .data = r->data, .bytes = RING_BYTES};
    char bytes[LARGE_LIMIT];

    if (r->is_far)
        p.consumer = FAR_HELD;
    for (uint64_t i = 0; i < r->n_records; i++) {
        uint64_t size = record_size(r, i);
        void *room = NULL;

        while (mui_ring_reserve(&p, size, &room) == MU_FULL)
            (void)sched_yield();
        memset(bytes, (int)i, size);
        mui_ring_put(&p, room, bytes, size, MUI_RING_WHOLE);
    }
    return NULL;
}

static void records_arrive(struct ring r)
{
    struct mui_ring_consumer c = {
        .words = r.words, .data = r.data, .bytes = RING_BYTES};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, produce, &r), 0);
    for (uint64_t i = 0; i < r.n_records; i++) {
        enum mui_ring_kind kind = (enum mui_ring_kind)0;
        uint64_t header;
        uint64_t size = 0;

        while ((header = mui_ring_peek(&c)) == 0)
            (void)sched_yield();
        assert_int_equal(mui_ring_open(&c, header, &kind, &size), 0);
        assert_int_equal(kind, MUI_RING_WHOLE);
        assert_int_equal(size, record_size(&r, i));
        for (uint64_t k = 0; k < size; k++)
            if (mui_ring_payload(&c)[k] != (char)i)
                fail_msg("record %lu", (unsigned long)i);
        (void)mui_ring_pop(&c, size);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    ring_free(&r);
}

static void records_arrive_in_order_and_whole(void **state)
{
    struct ring r = ring_new();

    (void)state;
    r.n_records = N_RECORDS;
    r.size_limit = SIZE_LIMIT;
    records_arrive(r);
}

static void records_go_past_the_caches_in_order_and_whole(void **state)
{
    struct ring r = ring_new();

    (void)state;
    r.n_records = N_LARGE;
    r.size_limit = LARGE_LIMIT;
    r.is_far = true;
    records_arrive(r);
}

/* Whatever earlier laps left behind, a consumer that has caught up sees the end. */
static void end_is_seen_after_each_record(void **state)
{
    struct ring r = ring_new();
    struct mui_ring_producer p = {
        .words = r.words, .data = r.data, .bytes = RING_BYTES};
    struct mui_ring_consumer c = {
        .words = r.words, .data = r.data, .bytes = RING_BYTES};

    (void)state;
    for (uint64_t i = 0; i < 4 * RING_BYTES / MUI_RING_HEADER; i++) {
        uint64_t size = i * 7 % SIZE_LIMIT;
        void *room;

        assert_int_equal(mui_ring_reserve(&p, size, &room), 0);
        memset(room, -1, size);
        mui_ring_commit(&p, size, MUI_RING_WHOLE);
        assert_int_not_equal(mui_ring_peek(&c), 0);
        (void)mui_ring_pop(&c, size);
        assert_int_equal(mui_ring_peek(&c), 0);
    }
    ring_free(&r);
}

static void full_ring_takes_nothing(void **state)
{
    struct ring r = ring_new();
    struct mui_ring_producer p = {
        .words = r.words, .data = r.data, .bytes = RING_BYTES};
    struct mui_ring_consumer c = {
        .words = r.words, .data = r.data, .bytes = RING_BYTES};
    void *room;

    (void)state;
    assert_int_equal(mui_ring_reserve(&p, mui_ring_max(RING_BYTES), &room), 0);
    mui_ring_commit(&p, mui_ring_max(RING_BYTES), MUI_RING_WHOLE);
    assert_int_equal(mui_ring_reserve(&p, 0, &room), MU_FULL);
    assert_true(mui_ring_pop(&c, mui_ring_max(RING_BYTES)));
    assert_int_equal(mui_ring_reserve(&p, mui_ring_max(RING_BYTES), &room), 0);
    ring_free(&r);
}

/* One lap of records through a ring; what its producer holds of the distance then, when
 * the consumer has given room back. */
static struct mui_distance distance_after(uint64_t size)
{
    struct ring r = ring_new();
    struct mui_ring_producer p = {
        .words = r.words, .data = r.data, .bytes = RING_BYTES};
    struct mui_ring_consumer c = {
        .words = r.words, .data = r.data, .bytes = RING_BYTES};
    char bytes[LARGE_LIMIT] = {0};
    void *room = NULL;

    p.consumer.n_votes = 2; /* one more and one less can be told apart */
    while (mui_ring_reserve(&p, size, &room) == 0) {
        mui_ring_put(&p, room, bytes, size, MUI_RING_WHOLE);
        (void)mui_ring_pop(&c, size);
        if (p.head_seen != 0)
            break;
    }
    ring_free(&r);
    return p.consumer;
}

static void only_large_payloads_ask_for_the_distance(void **state)
{
    (void)state;
    assert_int_equal(distance_after(MUI_RING_LARGE - 1).n_votes, 2);
    assert_int_not_equal(distance_after(MUI_RING_LARGE).n_votes, 2);
}

static void lies_are_noticed(void **state)
{
    struct ring r = ring_new();
    struct mui_ring_producer p = {
        .words = r.words, .data = r.data, .bytes = RING_BYTES};
    struct mui_ring_consumer c = {
        .words = r.words, .data = r.data, .bytes = RING_BYTES};
    enum mui_ring_kind kind;
    uint64_t size;
    void *room;

    (void)state;
    assert_int_equal(mui_ring_open(&c, RING_BYTES << 8 | 1, &kind, &size),
                     MU_ECORRUPT);
    assert_int_equal(mui_ring_open(&c, 8 << 8 | 4, &kind, &size), MU_ECORRUPT);
    assert_int_equal(mui_ring_reserve(&p, mui_ring_max(RING_BYTES), &room), 0);
    mui_ring_commit(&p, mui_ring_max(RING_BYTES), MUI_RING_WHOLE);
    atomic_store(&r.words->head, UINT64_C(1) << 40);
    assert_int_equal(mui_ring_reserve(&p, 0, &room), MU_ECORRUPT);
    ring_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_arrive_in_order_and_whole),
        cmocka_unit_test(records_go_past_the_caches_in_order_and_whole),
        cmocka_unit_test(end_is_seen_after_each_record),
        cmocka_unit_test(full_ring_takes_nothing),
        cmocka_unit_test(only_large_payloads_ask_for_the_distance),
        cmocka_unit_test(lies_are_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
