/* pin.c: which CPUs the threads of a team are bound to, by hwloc, and who is near
 * whom: the smaller the part of the machine that holds both, the nearer. */
#include <hwloc.h>
#include <stdlib.h>

#include "team/team.h"

struct mui_cpu_sets {
    hwloc_topology_t topology;
    unsigned n;
    struct {
        hwloc_obj_t object; /* a core, or one of its PUs */
        hwloc_cpuset_t set; /* one PU of it */
    } cpus[];
};

/* The CPUs that the caller may use: hwloc's "allowed" are those of its control group,
 * whatever taskset said. A machine that is made up has no caller. */
static hwloc_cpuset_t cpu_sets_usable(struct mui_cpu_sets *sets)
{
    hwloc_cpuset_t usable =
        hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(sets->topology));
    hwloc_cpuset_t bound = hwloc_bitmap_alloc();

    if (usable && bound && hwloc_topology_is_thissystem(sets->topology) &&
        hwloc_get_cpubind(sets->topology, bound, HWLOC_CPUBIND_THREAD) == 0)
        (void)hwloc_bitmap_and(usable, usable, bound);
    hwloc_bitmap_free(bound);
    return usable;
}

/* One core of the usable ones for each thread, all of them before any twice; a
 * thread of a core (PU) each where threads outnumber cores. */
static int cpu_sets_fill(struct mui_cpu_sets *sets)
{
    hwloc_cpuset_t usable = cpu_sets_usable(sets);
    hwloc_obj_type_t type = HWLOC_OBJ_CORE;
    int n;

    if (!usable)
        return -1;
    n = hwloc_get_nbobjs_inside_cpuset_by_type(sets->topology, usable, type);
    if (n < (int)sets->n) {
        type = HWLOC_OBJ_PU;
        n = hwloc_get_nbobjs_inside_cpuset_by_type(sets->topology, usable,
                                                   type);
    }
    for (unsigned i = 0; n > 0 && i < sets->n; i++) {
        hwloc_obj_t object = hwloc_get_obj_inside_cpuset_by_type(
            sets->topology, usable, type, i % (unsigned)n);

        sets->cpus[i].object = object;
        sets->cpus[i].set = object ? hwloc_bitmap_dup(object->cpuset) : NULL;
        if (sets->cpus[i].set)
            hwloc_bitmap_singlify(sets->cpus[i].set);
    }
    hwloc_bitmap_free(usable);
    return n > 0 ? 0 : -1;
}

struct mui_cpu_sets *mui_cpu_sets_new(unsigned n)
{
    struct mui_cpu_sets *sets =
        calloc(1, sizeof *sets + n * sizeof sets->cpus[0]);

    if (!sets)
        return NULL;
    sets->n = n;
    if (hwloc_topology_init(&sets->topology) < 0) {
        free(sets);
        return NULL;
    }
    if (hwloc_topology_load(sets->topology) < 0 || cpu_sets_fill(sets) < 0) {
        mui_cpu_sets_free(sets);
        return NULL;
    }
    return sets;
}

void mui_cpu_sets_free(struct mui_cpu_sets *sets)
{
    if (!sets)
        return;
    for (unsigned i = 0; i < sets->n; i++)
        hwloc_bitmap_free(sets->cpus[i].set);
    hwloc_topology_destroy(sets->topology);
    free(sets);
}

void mui_cpu_sets_bind(struct mui_cpu_sets *sets, unsigned i)
{
    if (sets->n > 0 && sets->cpus[i % sets->n].set)
        (void)hwloc_set_cpubind(sets->topology, sets->cpus[i % sets->n].set,
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
    /* Insertion: those equally near stay in the order of i + 1, i + 2 ..., so that
     * not everybody begins with the same one. */
    for (unsigned k = 0; k < n; k++) {
        unsigned other = (i + k) % n;
        int nearness = cpu_sets_nearness(sets, i, other);
        unsigned at = k;

        while (at > 0 &&
               cpu_sets_nearness(sets, i, ret_order[at - 1]) < nearness) {
            ret_order[at] = ret_order[at - 1];
            at--;
        }
        ret_order[at] = other;
    }
}
