/* log.h: what an append-only log is on the disk: its first page, its records, and how a
 * log that nobody had open is found to be whole. file.c appends and reads.
 *
 *     |page: struct mui_log_page|record|record|...|0
 *     record: |size, kind: 8 bytes|checksum: 4|0: 4|payload|zeros to 8|
 *
 * The checksum covers position, size and payload. So a whole record is known as one
 * wherever a search comes by, and no copy of it elsewhere is. */
#ifndef MUI_CHANNEL_LOG_H
#define MUI_CHANNEL_LOG_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "muster/channel.h"
#include "muster/lock.h"

#include "channel/wait.h"

#define MUI_LOG_BEGIN         UINT64_C(4096)
#define MUI_LOG_RECORD_HEADER 16
#define MUI_LOG_KIND_DATA     UINT64_C(0x4d)

/* The first page. Under `lock`: tail. Others by atomics. */
struct mui_log_page {
    uint64_t magic;
    struct mu_mutex lock;
    struct mu_mutex sync_lock;  /* who holds it calls fdatasync() */
    _Atomic uint64_t tail;      /* the next record begins here */
    _Atomic uint64_t durable;   /* the disk has all before */
    _Atomic uint64_t allocated; /* bytes of the file */
    _Atomic uint32_t event;     /* changes with every record */
    _Atomic uint32_t
        waiting; /* enum log_waiting, by readers; writers clear it */
    _Atomic uint32_t is_torn;   /* what lies behind the tail is to be cut off */
    _Atomic int32_t sync_error; /* fdatasync() failed so, with sync_lock held */
};

struct mui_log_header {
    uint64_t word; /* size << 8 | MUI_LOG_KIND_DATA */
    uint32_t checksum;
    uint32_t zero;
};
_Static_assert(sizeof(struct mui_log_header) == MUI_LOG_RECORD_HEADER,
               "no padding");

struct mui_log {
    int fd; /* 0: none */
    struct mui_log_page *page;
    struct mui_buffer in; /* bytes of the file from in_at */
    uint64_t in_at;
    size_t in_size;
};

static inline uint64_t mui_log_record(size_t size)
{
    return MUI_LOG_RECORD_HEADER + (size + 7) / 8 * 8;
}

uint32_t mui_log_checksum(uint64_t position, uint64_t word, const void *payload,
                          size_t size);

/* The size in a record's word; -1: there is no record. */
int64_t mui_log_word_size(uint64_t word);

/* Open a log, or make one of a file that is new; *ret_text says why not. A reader calls
 * it too: no byte behind the first page is changed. 0; MU_ECORRUPT; -errno. The caller
 * closes it in either case. */
int mui_log_open(struct mui_log *l, const char *path, const char **ret_text);
void mui_log_close(struct mui_log *l);

/* The first whole record behind damage at `from`, before `end`. 0; MU_EMPTY: none;
 * MU_ECORRUPT: too much looks like one; -errno. */
int mui_log_next(struct mui_log *l, uint64_t from, uint64_t end,
                 uint64_t *ret_at);

/* Under the lock: cut off what a dead writer or a loss of power left behind the last
 * whole record. 0; MU_ECORRUPT: the page is damaged; -errno. */
int mui_log_cut(struct mui_log *l);

#endif
