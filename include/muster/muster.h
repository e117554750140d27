/* muster.h: all of muster. */
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
