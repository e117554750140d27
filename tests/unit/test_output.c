/* test_output.c: what a task's output waits for, which is no more than its room, and that
 * its room is nobody else's. */
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

/* -- outputs of any size, in any order -- */

enum { N_STEPS = 3000 };

/* What the supervisor has to copy yet, the oldest first: no more than there are slots,
 * for it copies an output as it reads its reply. */
struct crowd {
    struct scene scene;
    struct mui_reply replies[SLOTS];
    unsigned n;
    uint64_t random;
};

static struct crowd *ringing_crowd; /* that of copy_one() */

static uint32_t draw(struct crowd *c, uint32_t below)
{
    c->random = c->random * UINT64_C(6364136223846793005) + 1;
    return (uint32_t)(c->random >> 33) % below;
}

/* What is lent to a task, for it may write to all of it, is nothing that waits to be
 * copied. */
static void check_room(const struct crowd *c)
{
    const struct mui_output *o = &c->scene.output;
    uint64_t from = (uint64_t)(o->base - c->scene.pair->worker.region);

    assert_in_range(from + o->room, 1, OUTPUT_REGION);
    for (unsigned i = 0; i < c->n; i++) {
        const struct mui_reply *other = &c->replies[i];

        if (other->form == MUI_FORM_SPAN)
            assert_true(from + o->room <= other->u.span.address ||
                        other->u.span.address + other->u.span.size <= from);
    }
}

/* The supervisor reads a reply, and copies its output. */
static void copy_one(struct crowd *c)
{
    struct pair *p = c->scene.pair;
    struct mui_reply reply;
    void *owner;

    assert_int_equal(mui_lane_collect(&p->lane, &reply, &owner), MU_OK);
    assert_int_equal(reply.form, c->replies[0].form);
    if (reply.form == MUI_FORM_SPAN) {
        assert_int_equal(reply.u.span.address, c->replies[0].u.span.address);
        assert_int_equal(reply.u.span.size, c->replies[0].u.span.size);
    }
    mui_lane_release(&p->lane, &reply);
    memmove(c->replies, c->replies + 1, --c->n * sizeof *c->replies);
}

/* Who waits and has nothing to wait for waits for ever. */
static void copy_when_rung(struct mui_lane_worker *w, uint32_t why)
{
    const uint32_t before = mui_lane_released(w);

    (void)why;
    do
        assert_true(ringing_crowd->n > 0);
    while ((copy_one(ringing_crowd), mui_lane_released(w) == before));
}

static size_t draw_size(struct crowd *c)
{
    switch (draw(c, 4)) {
    case 0:
        return draw(c, 2 * MUI_REPLY_INLINE);
    case 1:
        return draw(c, 100000);
    case 2:
        return MUI_OUTPUT_SMALL - draw(c, 1000);
    default:
        return LARGE + draw(c, LARGE);
    }
}

/* A task's output, which may grow once. */
static void write_any(struct crowd *c)
{
    const struct mui_order order = {.fn = 7};
    struct pair *p = c->scene.pair;
    struct mui_output *o = &c->scene.output;
    const struct mui_order *taken;
    struct mui_reply reply = {0};
    const size_t size = draw_size(c);
    const size_t first = draw(c, 2) ? draw(c, (uint32_t)size + 1) : size;
    uint32_t index;
    int rc;

    assert_int_equal(mui_lane_push(&p->lane, &order, 1, p->owners, &index),
                     MU_OK);
    mui_lane_flush(&p->lane);
    assert_int_equal(mui_lane_take(&p->worker, &taken, &reply.index), MU_OK);
    assert_non_null(mui_output_room(o, first, &rc));
    check_room(c);
    o->size = first;
    assert_non_null(mui_output_room(o, size - first, &rc));
    check_room(c);
    o->size = size;
    mui_output_post(o, &reply);
    mui_lane_reply(&p->worker, &reply);
    c->replies[c->n++] = reply;
}

static void room_is_of_one_output(void **state)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct crowd c = {.random = seed};

        begin_scene(&c.scene, *state);
        ringing_crowd = &c;
        c.scene.pair->worker.ring = copy_when_rung;
        print_message("seed %d\n", (int)seed);
        for (int i = 0; i < N_STEPS; i++)
            if (c.n > 0 && (c.n == SLOTS || draw(&c, 3) == 0))
                copy_one(&c);
            else
                write_any(&c);
        while (c.n > 0)
            copy_one(&c);
        end_scene(&c.scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(large_output_waits_for_no_small_one),
        PAIR_TEST(large_output_waits_for_the_large_one_before),
        PAIR_TEST(room_is_of_one_output),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
