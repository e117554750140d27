/* pin.c: which CPUs the threads of a team are bound to, by hwloc.
 *
 * hwloc numbers cores so that neighbours share caches and NUMA nodes; each thread
 * gets one, and searches its neighbours' seats first. */
#include <hwloc.h>
#include <stdlib.h>

#include "team/team.h"

struct mui_cpu_sets {
    hwloc_topology_t topology;
    unsigned n;
    hwloc_cpuset_t sets[];
};

/* One core of those that this process may use for each thread, all of them before
 * any twice; a thread of a core (PU) each where threads outnumber cores. */
static int cpu_sets_fill(struct mui_cpu_sets *sets)
{
    hwloc_const_cpuset_t allowed =
        hwloc_topology_get_allowed_cpuset(sets->topology);
    hwloc_obj_type_t type = HWLOC_OBJ_CORE;
    int n =
        hwloc_get_nbobjs_inside_cpuset_by_type(sets->topology, allowed, type);

    if (n < (int)sets->n) {
        type = HWLOC_OBJ_PU;
        n = hwloc_get_nbobjs_inside_cpuset_by_type(sets->topology, allowed,
                                                   type);
    }
    for (unsigned i = 0; n > 0 && i < sets->n; i++) {
        hwloc_obj_t object = hwloc_get_obj_inside_cpuset_by_type(
            sets->topology, allowed, type, i % (unsigned)n);

        sets->sets[i] = object ? hwloc_bitmap_dup(object->cpuset) : NULL;
        if (sets->sets[i])
            hwloc_bitmap_singlify(sets->sets[i]);
    }
    return n > 0 ? 0 : -1;
}

struct mui_cpu_sets *mui_cpu_sets_new(unsigned n)
{
    struct mui_cpu_sets *sets =
        calloc(1, sizeof *sets + n * sizeof sets->sets[0]);

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
        hwloc_bitmap_free(sets->sets[i]);
    hwloc_topology_destroy(sets->topology);
    free(sets);
}

void mui_cpu_sets_bind(struct mui_cpu_sets *sets, unsigned i)
{
    if (sets->n > 0 && sets->sets[i % sets->n])
        (void)hwloc_set_cpubind(sets->topology, sets->sets[i % sets->n],
                                HWLOC_CPUBIND_THREAD);
}
