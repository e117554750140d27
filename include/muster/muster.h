/* muster.h: all of muster: the pool, and what can be used without one.
 *
 * A page for each header, in which each call and macro has its place. */
#ifndef MUSTER_MUSTER_H
#define MUSTER_MUSTER_H

#include "muster/base.h"
#include "muster/channel.h"
#include "muster/init.h"
#include "muster/lock.h"
#include "muster/map.h"
#include "muster/pool.h"
#include "muster/shared.h"
#include "muster/task.h"
#include "muster/team.h"
#include "muster/worker.h"

#endif
