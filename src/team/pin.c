/* pin.c: which CPUs the threads of a team are bound to, by hwloc, which is loaded for
 * the first, and who is near whom: the smaller the part of the machine that holds both,
 * the nearer. */
#include <hwloc.h>
#include <limits.h>
#include <stdlib.h>

#include "sys/library.h"
#include "team/team.h"

#define FUNCTIONS(F)                                                           \
    F(hwloc_topology_init)                                                     \
    F(hwloc_topology_load)                                                     \
    F(hwloc_topology_destroy)                                                  \
    F(hwloc_topology_is_thissystem)                                            \
    F(hwloc_topology_restrict)                                                 \
    F(hwloc_get_type_depth)                                                    \
    F(hwloc_get_nbobjs_by_depth)                                               \
    F(hwloc_get_obj_by_depth)                                                  \
    F(hwloc_bitmap_alloc)                                                      \
    F(hwloc_bitmap_dup)                                                        \
    F(hwloc_bitmap_singlify)                                                   \
    F(hwloc_bitmap_free)                                                       \
    F(hwloc_get_cpubind)                                                       \
    F(hwloc_set_cpubind)
MUI_LIBRARY(library, hw, MUSTER_HWLOC, FUNCTIONS);

struct mui_cpu_sets {
    hwloc_topology_t topology;
    unsigned n;
    struct {
        hwloc_obj_t object; /* a core, or one of its PUs */
        hwloc_cpuset_t set; /* one PU of it */
    } cpus[];
};

/* The CPUs that the caller may use: a topology is loaded with those of its control
 * group, whatever taskset said. A machine that is made up has no caller. */
static void keep_usable(hwloc_topology_t topology)
{
    hwloc_cpuset_t bound = hw.hwloc_bitmap_alloc();

    if (bound && hw.hwloc_topology_is_thissystem(topology) &&
        hw.hwloc_get_cpubind(topology, bound, HWLOC_CPUBIND_THREAD) == 0)
        (void)hw.hwloc_topology_restrict(topology, bound, 0);
    hw.hwloc_bitmap_free(bound);
}

/* 0 when the machine has no such level. */
static unsigned objects_at(const struct mui_cpu_sets *sets, int depth)
{
    return depth < 0 ? 0 : hw.hwloc_get_nbobjs_by_depth(sets->topology, depth);
}

/* One core of those that this process may use for each thread, all of them before
 * any twice; a thread of a core (PU) each where threads outnumber cores. */
static int cpu_sets_fill(struct mui_cpu_sets *sets)
{
    int depth = hw.hwloc_get_type_depth(sets->topology, HWLOC_OBJ_CORE);
    unsigned n = objects_at(sets, depth);

    if (n < sets->n) {
        depth = hw.hwloc_get_type_depth(sets->topology, HWLOC_OBJ_PU);
        n = objects_at(sets, depth);
    }
    for (unsigned i = 0; n > 0 && i < sets->n; i++) {
        hwloc_obj_t object =
            hw.hwloc_get_obj_by_depth(sets->topology, depth, i % n);

        sets->cpus[i].object = object;
        sets->cpus[i].set = object ? hw.hwloc_bitmap_dup(object->cpuset) : NULL;
        if (sets->cpus[i].set)
            hw.hwloc_bitmap_singlify(sets->cpus[i].set);
    }
    return n > 0 ? 0 : -1;
}

int mui_cpu_sets_load(void)
{
    return mui_library_load(&library);
}

struct mui_cpu_sets *mui_cpu_sets_new(unsigned n)
{
    struct mui_cpu_sets *sets =
        calloc(1, sizeof *sets + n * sizeof sets->cpus[0]);

    if (!sets)
        return NULL;
    sets->n = n;
    if (hw.hwloc_topology_init(&sets->topology) < 0) {
        free(sets);
        return NULL;
    }
    if (hw.hwloc_topology_load(sets->topology) < 0)
        goto free_sets;
    keep_usable(sets->topology);
    if (cpu_sets_fill(sets) < 0)
        goto free_sets;
    return sets;

free_sets:
    mui_cpu_sets_free(sets);
    return NULL;
}

void mui_cpu_sets_free(struct mui_cpu_sets *sets)
{
    if (!sets)
        return;
    for (unsigned i = 0; i < sets->n; i++)
        hw.hwloc_bitmap_free(sets->cpus[i].set);
    hw.hwloc_topology_destroy(sets->topology);
    free(sets);
}

void mui_cpu_sets_bind(struct mui_cpu_sets *sets, unsigned i)
{
    if (sets->n > 0 && sets->cpus[i % sets->n].set)
        (void)hw.hwloc_set_cpubind(sets->topology, sets->cpus[i % sets->n].set,
                                   HWLOC_CPUBIND_THREAD);
}

/* How deep in the machine's tree the part lies that holds both: more is nearer. */
static int cpu_sets_nearness(struct mui_cpu_sets *sets, unsigned a, unsigned b)
{
    hwloc_obj_t x = sets->cpus[a % sets->n].object;
    hwloc_obj_t y = sets->cpus[b % sets->n].object;

    if (!x || !y)
        return -1;
    return x == y ? x->depth
                  : hwloc_get_common_ancestor_obj(sets->topology, x, y)->depth;
}

void mui_cpu_sets_near(struct mui_cpu_sets *sets, unsigned i, unsigned n,
                       uint32_t *ret_order)
{
    int level = INT_MAX; /* who is so near comes next; at first nobody is */
    unsigned n_ordered = 0;

    while (n_ordered < n) {
        int next = INT_MIN;

        /* those equally near in the order of i + 1, i + 2 ..., so that not everybody
         * begins with the same one */
        for (unsigned k = 0; k < n; k++) {
            unsigned other = (i + k) % n;
            int nearness = cpu_sets_nearness(sets, i, other);

            if (nearness == level)
                ret_order[n_ordered++] = other;
            else if (nearness < level && nearness > next)
                next = nearness;
        }
        level = next;
    }
}
