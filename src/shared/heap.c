/* heap.c: segregated free lists over a chain of blocks.
 *
 * The chain is the truth: each block says how long it is and whether it is in
 * use, in one word, and the next one begins where it ends. Everything else (the
 * length of the block before, free lists, bins, sums) can be computed from it.
 *
 *     |len,used|prev| payload ... |len|prev| next, prev free ... |len,used| ...
 *     ^ 48 in a cache line, so that the payload starts at a line
 *
 * Each change of the chain is one release store of one word: a block is cut by
 * first writing the word of its rear part and then that of its front, merged by
 * writing the front's. So a kill at any instruction leaves a chain that is whole;
 * who then gets MU_OWNER_DIED from the lock builds the rest again (heap_rebuild).
 * Lost is at most the block that was marked "in use" and not yet returned.
 *
 * A file in /dev/shm has pages as long as there are some left, and then a store is SIGBUS.
 * So before a block is given its pages are taken, and that of the header behind it, in
 * steps, up to the watermark `backed`. Blocks are cut from the front of what is free, so
 * all that were ever given lie before it, and most calls find theirs there.
 *
 * Nothing that is read from the arena is trusted: an offset is checked against
 * this process's own copy of the bounds before it is followed, each loop over
 * blocks moves forward by at least a line, and nonsense sets is_broken. */
#include "shared/heap.h"

#include <errno.h>
#include <string.h>

#include "sys/populate.h"

#define LINE        UINT64_C(64)
#define USED        UINT64_C(1)
#define TAG         UINT64_C(0x2a) /* bits 1..5: this is a block's word */
#define TAG_MASK    UINT64_C(0x3e)
#define HEAD_OFFSET UINT64_C(48)
#define HEAD_BYTES  UINT64_C(16)
#define BACK_STEP                                                              \
    UINT64_C(262144) /* pages taken at once, while there are some */

struct block {
    _Atomic uint64_t word; /* length | TAG | USED */
    uint64_t prev_bytes;   /* length of the block before; 0: the first */
    uint64_t next_free;    /* the rest only while free: offsets, 0 is none */
    uint64_t prev_free;
};

static struct block *block_at(const struct mui_heap_view *v, uint64_t offset)
{
    return (struct block *)(v->base + offset);
}

static uint64_t block_word(const struct mui_heap_view *v, uint64_t offset)
{
    /* relaxed: the lock orders all of it */
    return atomic_load_explicit(&block_at(v, offset)->word,
                                memory_order_relaxed);
}

static void block_set(const struct mui_heap_view *v, uint64_t offset,
                      uint64_t bytes, uint64_t used)
{
    /* release: what was written for it before may not come after; the other end
     * is heap_rebuild() in whoever follows a dead holder */
    atomic_store_explicit(&block_at(v, offset)->word, bytes | TAG | used,
                          memory_order_release);
}

/* Whether a block can begin there. */
static int offset_is_sane(const struct mui_heap_view *v, uint64_t offset)
{
    return offset >= v->first && offset < v->end &&
           offset % LINE == HEAD_OFFSET;
}

/* The length in a word that belongs at this offset; 0 when it is nonsense. */
static uint64_t bytes_in(const struct mui_heap_view *v, uint64_t offset,
                         uint64_t word)
{
    uint64_t bytes = word & ~(LINE - 1);

    if ((word & TAG_MASK) != TAG || bytes == 0 || bytes > v->end - offset)
        return 0;
    return bytes;
}

/* The bin of a length: the highest bit and the two below. */
static unsigned bin_of(uint64_t bytes)
{
    uint64_t lines = bytes / LINE;
    unsigned high = 63 - (unsigned)__builtin_clzll(lines);

    if (high < 2)
        return (unsigned)lines;
    return high * 4 + (unsigned)(lines >> (high - 2) & 3);
}

static void list_insert(struct mui_heap_view *v, uint64_t offset,
                        uint64_t bytes)
{
    struct mui_heap *h = v->heap;
    unsigned bin = bin_of(bytes);
    struct block *b = block_at(v, offset);
    uint64_t old = h->bins[bin];

    b->prev_free = 0;
    b->next_free = old;
    if (offset_is_sane(v, old))
        block_at(v, old)->prev_free = offset;
    h->bins[bin] = offset;
    h->bin_map[bin / 64] |= UINT64_C(1) << bin % 64;
    h->free_bytes += bytes;
}

static void list_remove(struct mui_heap_view *v, uint64_t offset,
                        uint64_t bytes)
{
    struct mui_heap *h = v->heap;
    unsigned bin = bin_of(bytes);
    struct block *b = block_at(v, offset);
    uint64_t next = b->next_free;
    uint64_t prev = b->prev_free;

    if (offset_is_sane(v, next))
        block_at(v, next)->prev_free = prev;
    if (offset_is_sane(v, prev))
        block_at(v, prev)->next_free = next;
    else
        h->bins[bin] = next;
    if (h->bins[bin] == 0)
        h->bin_map[bin / 64] &= ~(UINT64_C(1) << bin % 64);
    h->free_bytes -= bytes;
}

/* Make lists and sums from the chain, and merge neighbours that are free. */
static int heap_rebuild(struct mui_heap_view *v)
{
    struct mui_heap *h = v->heap;
    uint64_t offset = v->first;
    uint64_t prev_bytes = 0;

    memset(h->bins, 0, sizeof h->bins);
    memset(h->bin_map, 0, sizeof h->bin_map);
    h->free_bytes = 0;
    while (offset < v->end) {
        uint64_t word = block_word(v, offset);
        uint64_t bytes = bytes_in(v, offset, word);

        while (bytes != 0 && !(word & USED) && offset + bytes < v->end) {
            uint64_t next = block_word(v, offset + bytes);
            uint64_t more = bytes_in(v, offset + bytes, next);

            if (more == 0 || (next & USED))
                break;
            bytes += more;
            block_set(v, offset, bytes, 0);
        }
        if (bytes == 0) {
            h->is_broken = 1;
            return MU_ECORRUPT;
        }
        block_at(v, offset)->prev_bytes = prev_bytes;
        if (!(word & USED))
            list_insert(v, offset, bytes);
        prev_bytes = bytes;
        offset += bytes;
    }
    block_at(v, v->end)->prev_bytes = prev_bytes;
    return 0;
}

static int heap_lock(struct mui_heap_view *v, int64_t deadline)
{
    int rc = mu_mutex_lock(&v->heap->lock, deadline);

    if (rc == MU_OWNER_DIED)
        rc = heap_rebuild(v);
    else if (rc != 0)
        return rc;
    if (rc == 0 && v->heap->is_broken)
        rc = MU_ECORRUPT;
    if (rc != 0)
        (void)mu_mutex_unlock(&v->heap->lock);
    return rc;
}

static void heap_unlock(struct mui_heap_view *v)
{
    (void)mu_mutex_unlock(&v->heap->lock);
}

int mui_heap_init(struct mui_heap *h, char *base, uint64_t from, uint64_t to,
                  bool must_back)
{
    struct mui_heap_view v = {.heap = h, .base = base};

    v.first = (from + HEAD_BYTES + LINE - 1) / LINE * LINE - HEAD_BYTES;
    v.end = to / LINE * LINE - HEAD_BYTES;
    /* before the first store, those to `h` included */
    if (mui_populate(h, sizeof *h) != 0 ||
        mui_populate(block_at(&v, v.first), sizeof(struct block)) != 0 ||
        mui_populate(block_at(&v, v.end), HEAD_BYTES) != 0)
        return -ENOMEM;
    *h = (struct mui_heap){.first = v.first, .end = v.end};
    h->backed = must_back ? v.first + sizeof(struct block) : to;
    block_set(&v, v.first, v.end - v.first, 0);
    block_set(&v, v.end, LINE, USED);
    return heap_rebuild(&v);
}

int mui_heap_view(struct mui_heap *h, char *base, uint64_t size,
                  struct mui_heap_view *ret_view)
{
    struct mui_heap_view v = {
        .heap = h, .base = base, .first = h->first, .end = h->end};

    if (v.first % LINE != HEAD_OFFSET || v.end % LINE != HEAD_OFFSET ||
        v.first >= v.end || v.end > size - HEAD_BYTES ||
        v.first < (uint64_t)((char *)h - base) + sizeof *h)
        return MU_ECORRUPT;
    *ret_view = v;
    return 0;
}

/* A free block of at least `bytes`. 0: none, or the lists are damaged. */
static uint64_t heap_find(struct mui_heap_view *v, uint64_t bytes)
{
    struct mui_heap *h = v->heap;
    unsigned bin = bin_of(bytes);
    uint64_t offset = h->bins[bin];

    /* In its own bin blocks may be shorter: look at the first few. */
    for (int i = 0; i < 8 && offset_is_sane(v, offset); i++) {
        if (bytes_in(v, offset, block_word(v, offset)) >= bytes)
            return offset;
        offset = block_at(v, offset)->next_free;
    }
    for (bin++; bin < MUI_HEAP_BINS; bin = (bin / 64 + 1) * 64) {
        uint64_t map = h->bin_map[bin / 64] >> bin % 64;

        if (map != 0)
            return h->bins[bin + (unsigned)__builtin_ctzll(map)];
    }
    /* The rest of its own bin, however long. */
    for (uint64_t left = (v->end - v->first) / LINE;
         left > 0 && offset_is_sane(v, offset); left--) {
        if (bytes_in(v, offset, block_word(v, offset)) >= bytes)
            return offset;
        offset = block_at(v, offset)->next_free;
    }
    return 0;
}

/* Have all pages before `end` there. 0; -ENOMEM. Killed before the store: who comes next
 * takes them once more, which changes nothing. */
static int heap_back(struct mui_heap_view *v, uint64_t end)
{
    uint64_t from = v->heap->backed;
    uint64_t far = (end + BACK_STEP - 1) / BACK_STEP * BACK_STEP;

    if (end <= from)
        return 0;
    if (far > v->end)
        far = v->end;
    if (far > end && mui_populate(v->base + from, far - from) == 0) {
        end = far;
    } else if (mui_populate(v->base + from, end - from) != 0) {
        /* nothing lies there yet, and others have no room meanwhile */
        mui_unpopulate(v->base + from, end - from);
        return -ENOMEM;
    }
    v->heap->backed = end;
    return 0;
}

/* Take the front of a free block. */
static void block_cut(struct mui_heap_view *v, uint64_t offset, uint64_t have,
                      uint64_t need)
{
    uint64_t rest = have - need;

    list_remove(v, offset, have);
#ifdef BUG_HEAP_FRONT_FIRST
    block_set(v, offset, need, USED);
#endif
    if (rest > 0) {
        block_at(v, offset + need)->prev_bytes = need;
        block_set(v, offset + need, rest, 0);
        block_at(v, offset + have)->prev_bytes = rest;
    }
    block_set(v, offset, need, USED);
    if (rest > 0)
        list_insert(v, offset + need, rest);
}

int mui_heap_take(struct mui_heap_view *v, size_t bytes, int64_t deadline,
                  uint64_t *ret_offset)
{
    uint64_t need;
    uint64_t offset;
    int rc;

    if (bytes > v->end - v->first)
        return -ENOMEM;
    need = (bytes + HEAD_BYTES + LINE - 1) / LINE * LINE;
    rc = heap_lock(v, deadline);
    if (rc != 0)
        return rc;
    offset = heap_find(v, need);
    if (offset == 0) {
        rc = -ENOMEM;
    } else {
        uint64_t word = offset_is_sane(v, offset) ? block_word(v, offset) : 0;
        uint64_t have = (word & USED) ? 0 : bytes_in(v, offset, word);

        if (have < need) {
            v->heap->is_broken = 1;
            rc = MU_ECORRUPT;
        } else {
            /* with what it becomes the header of */
            rc = heap_back(v, offset + need +
                                  (have > need ? sizeof(struct block) : 0));
        }
        if (rc == 0) {
            block_cut(v, offset, have, need);
            *ret_offset = offset + HEAD_BYTES;
        }
    }
    heap_unlock(v);
    return rc;
}

/* Merge with the free neighbours and put the whole into its list. */
static int block_merge(struct mui_heap_view *v, uint64_t offset, uint64_t bytes)
{
    uint64_t prev_bytes = block_at(v, offset)->prev_bytes;
    uint64_t next_word = block_word(v, offset + bytes);

    if (offset + bytes < v->end && !(next_word & USED)) {
        uint64_t more = bytes_in(v, offset + bytes, next_word);

        if (more == 0)
            return MU_ECORRUPT;
        list_remove(v, offset + bytes, more);
        bytes += more;
        block_set(v, offset, bytes, 0);
    }
    if (prev_bytes != 0) {
        uint64_t before = offset - prev_bytes;
        uint64_t word;

        if (prev_bytes > offset || !offset_is_sane(v, before))
            return MU_ECORRUPT;
        word = block_word(v, before);
        if (bytes_in(v, before, word) != prev_bytes)
            return MU_ECORRUPT;
        if (!(word & USED)) {
            list_remove(v, before, prev_bytes);
            offset = before;
            bytes += prev_bytes;
            block_set(v, offset, bytes, 0);
        }
    }
    block_at(v, offset + bytes)->prev_bytes = bytes;
    list_insert(v, offset, bytes);
    return 0;
}

int mui_heap_give(struct mui_heap_view *v, uint64_t offset, int64_t deadline)
{
    uint64_t word;
    uint64_t bytes;
    int rc;

    if (offset < HEAD_BYTES || !offset_is_sane(v, offset - HEAD_BYTES))
        return -EINVAL;
    offset -= HEAD_BYTES;
    rc = heap_lock(v, deadline);
    if (rc != 0)
        return rc;
    word = block_word(v, offset);
    bytes = bytes_in(v, offset, word);
    if (bytes == 0 || !(word & USED) ||
        block_at(v, offset + bytes)->prev_bytes != bytes) {
        rc = -EINVAL;
    } else {
        block_set(v, offset, bytes, 0);
        rc = block_merge(v, offset, bytes);
        if (rc != 0)
            v->heap->is_broken = 1;
    }
    heap_unlock(v);
    return rc;
}

int mui_heap_free_bytes(struct mui_heap_view *v, int64_t deadline,
                        uint64_t *ret_all, uint64_t *ret_largest)
{
    uint64_t all = 0;
    uint64_t largest = 0;
    int rc = heap_lock(v, deadline);

    if (rc != 0)
        return rc;
    for (uint64_t offset = v->first, bytes; offset < v->end; offset += bytes) {
        uint64_t word = block_word(v, offset);

        bytes = bytes_in(v, offset, word);
        if (bytes == 0) {
            v->heap->is_broken = 1;
            rc = MU_ECORRUPT;
            break;
        }
        if (word & USED)
            continue;
        all += bytes - HEAD_BYTES;
        if (bytes - HEAD_BYTES > largest)
            largest = bytes - HEAD_BYTES;
    }
    heap_unlock(v);
    if (rc == 0) {
        *ret_all = all;
        *ret_largest = largest;
    }
    return rc;
}
