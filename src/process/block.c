/* block.c: the memory between the supervisor and one worker process. */
#include "process/block.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sys/memfd.h"

enum { HEAD_BYTES = 4096 };

_Static_assert(sizeof(struct mui_worker_head) <= HEAD_BYTES, "a page");

uint64_t mui_block_down_bytes(const struct mui_block_shape *shape)
{
    return (uint64_t)shape->n_lanes * mui_lane_down_bytes(shape->n_slots);
}

static uint64_t lanes_up_bytes(const struct mui_block_shape *shape)
{
    return (uint64_t)shape->n_lanes * mui_lane_up_bytes(shape->n_slots);
}

/* What no child of a task has: whole pages, also where they are larger. */
static uint64_t own_up_bytes(const struct mui_block_shape *shape)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    return (HEAD_BYTES + lanes_up_bytes(shape) + page - 1) & ~(page - 1);
}

uint64_t mui_block_up_bytes(const struct mui_block_shape *shape)
{
    return own_up_bytes(shape) + shape->n_lanes * shape->region_bytes;
}

int mui_block_open(const struct mui_block_shape *shape,
                   struct mui_block *ret_block)
{
    struct mui_block block = {.down_fd = -1, .up_fd = -1};
    void *base;
    int rc;

    block.down_fd = mui_memfd_open("muster-down", mui_block_down_bytes(shape));
    rc = block.down_fd;
    if (rc < 0)
        return rc;
    rc = mui_memfd_map(block.down_fd, mui_block_down_bytes(shape),
                       PROT_READ | PROT_WRITE, 1, &base);
    if (rc < 0)
        goto undo;
    block.down = base;
    rc = mui_memfd_seal_writes(block.down_fd);
    if (rc < 0)
        goto undo;
    block.up_fd = mui_memfd_open("muster-up", mui_block_up_bytes(shape));
    rc = block.up_fd;
    if (rc < 0)
        goto undo;
    /* the supervisor writes nothing there */
    rc = mui_memfd_map(block.up_fd, mui_block_up_bytes(shape), PROT_READ, 1,
                       &base);
    if (rc < 0)
        goto undo;
    block.up = base;
    mui_memfd_leave_undumped(base, mui_block_up_bytes(shape));
    *ret_block = block;
    return 0;
undo:
    mui_block_close(&block, shape);
    return rc;
}

static void close_fds(struct mui_block *block)
{
    if (block->down_fd >= 0)
        (void)close(block->down_fd);
    if (block->up_fd >= 0)
        (void)close(block->up_fd);
    block->down_fd = -1;
    block->up_fd = -1;
}

int mui_block_join(const struct mui_block_shape *shape, int down_fd, int up_fd,
                   struct mui_block *ret_block)
{
    struct mui_block block = {.down_fd = down_fd, .up_fd = up_fd};
    void *base;
    int rc = mui_memfd_map(down_fd, mui_block_down_bytes(shape), PROT_READ, 0,
                           &base);

    if (rc < 0)
        return rc;
    block.down = base;
    rc = mui_memfd_map(up_fd, mui_block_up_bytes(shape), PROT_READ | PROT_WRITE,
                       0, &base);
    if (rc < 0)
        return rc;
    block.up = base;
    mui_memfd_leave_undumped(base, mui_block_up_bytes(shape));
    /* children of tasks have their inputs, and outputs, but no lane to speak for us */
    if (madvise(base, own_up_bytes(shape), MADV_DONTFORK) < 0)
        return -errno;
    close_fds(&block);
    *ret_block = block;
    return 0;
}

void mui_block_populate(const struct mui_block *block,
                        const struct mui_block_shape *shape, bool is_supervisor)
{
    /* a kernel before 5.14 refuses, and they come when they are touched */
    (void)madvise(block->down, mui_block_down_bytes(shape),
                  is_supervisor ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
    (void)madvise(block->up, own_up_bytes(shape),
                  is_supervisor ? MADV_POPULATE_READ : MADV_POPULATE_WRITE);
}

void mui_block_close(struct mui_block *block,
                     const struct mui_block_shape *shape)
{
    close_fds(block);
    if (block->down)
        (void)munmap(block->down, mui_block_down_bytes(shape));
    if (block->up)
        (void)munmap(block->up, mui_block_up_bytes(shape));
    block->down = NULL;
    block->up = NULL;
}

struct mui_worker_head *mui_block_head(const struct mui_block *block)
{
    return (struct mui_worker_head *)block->up;
}

struct mui_lane_memory mui_block_lane(const struct mui_block *block,
                                      const struct mui_block_shape *shape,
                                      unsigned i)
{
    return (struct mui_lane_memory){
        .down = block->down + i * mui_lane_down_bytes(shape->n_slots),
        .up = block->up + HEAD_BYTES + i * mui_lane_up_bytes(shape->n_slots),
        .region = block->up + own_up_bytes(shape) + i * shape->region_bytes,
        .region_bytes = shape->region_bytes,
        .n_slots = shape->n_slots,
        .shared = true};
}
