/* test_output.c: what a task's output waits for, which is no more than its room. */
#include <sys/mman.h>

#include "layer/output.h"
#include "support/lane_pair.h"

enum {
    LARGE = MUI_OUTPUT_SMALL + 1,
    OUTPUT_REGION = MUI_OUTPUT_RING + 2 * LARGE
};

struct scene {
    struct pair *pair;
    struct mui_output output;
    struct mui_reply reply; /* the last that was collected */
};

static void begin_scene(struct scene *s, struct pair *p)
{
    s->pair = p;
    p->lane.region_bytes = OUTPUT_REGION;
    p->worker.region_bytes = OUTPUT_REGION;
    p->worker.region = mmap(NULL, OUTPUT_REGION, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(p->worker.region, MAP_FAILED);
    p->lane.region = p->worker.region;
    assert_int_equal(mui_output_init(&s->output, &p->worker, SIZE_MAX), 0);
    p->lane.n_region = 0;
    atomic_store(&p->down->released, 0);
}

static void end_scene(struct scene *s)
{
    mui_output_fini(&s->output);
    munmap(s->pair->worker.region, OUTPUT_REGION);
}

/* As after so many outputs that were all released. */
static void pass_outputs(struct scene *s, uint32_t n)
{
    s->output.n_posted += n;
    s->output.n_freed += n;
    s->pair->lane.n_region += n;
    atomic_store(&s->pair->down->released, s->pair->lane.n_region);
}

/* An output of a task, up to what the supervisor collects. Whoever waits for a release
 * rings for it, and would wait here for ever. */
static void write_output(struct scene *s, size_t size)
{
    struct pair *p = s->pair;
    const struct mui_order order = {.fn = 7};
    const struct mui_order *taken;
    struct mui_reply reply = {0};
    uint32_t index;
    void *owner;
    int rc;

    assert_int_equal(mui_lane_push(&p->lane, &order, 1, p->owners, &index),
                     MU_OK);
    mui_lane_flush(&p->lane);
    assert_int_equal(mui_lane_take(&p->worker, &taken, &reply.index), MU_OK);
    assert_non_null(mui_output_room(&s->output, size, &rc));
    s->output.size = size;
    mui_output_post(&s->output, &reply);
    mui_lane_reply(&p->worker, &reply);
    assert_int_equal(mui_lane_collect(&p->lane, &s->reply, &owner), MU_OK);
    assert_int_equal(s->reply.u.span.size, size);
}

static void fail_to_ring(struct mui_lane_worker *w, uint32_t why)
{
    (void)w;
    (void)why;
    fail_msg("a release is waited for");
}

/* Counts of outputs wrap, and the last large one may be any number of them ago. */
static void large_output_waits_for_no_small_one(void **state)
{
    static const uint32_t passed[] = {0,           1,           0x7ffffffeU,
                                      0x7fffffffU, 0x80000000U, 0xfffffffeU};

    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
        for (int before = 0; before < 2; before++) {
            struct scene s = {0};

            begin_scene(&s, *state);
            s.pair->worker.ring = fail_to_ring;
            if (before) {
                write_output(&s, LARGE);
                mui_lane_release(&s.pair->lane, &s.reply);
            }
            pass_outputs(&s, passed[i]);
            write_output(&s, 64);
            write_output(&s, LARGE); /* the small one is not released */
            end_scene(&s);
        }
}

static struct scene *ringing; /* the scene of release_and_count() */

static void release_and_count(struct mui_lane_worker *w, uint32_t why)
{
    count_ring(w, why);
    mui_lane_release(&ringing->pair->lane, &ringing->reply);
}

static void large_output_waits_for_the_large_one_before(void **state)
{
    struct pair *p = *state;
    struct scene s = {0};

    begin_scene(&s, p);
    ringing = &s;
    p->worker.ring = release_and_count;
    for (unsigned i = 0; i < 3; i++) {
        write_output(&s, LARGE);
        assert_int_equal(p->n_rings, i);
    }
    end_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(large_output_waits_for_no_small_one),
        PAIR_TEST(large_output_waits_for_the_large_one_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
