/* limit.h: what a worker process may use, kept by the kernel (setrlimit). */
#ifndef MUI_PROCESS_LIMIT_H
#define MUI_PROCESS_LIMIT_H

#include <stdint.h>

/* Zeros: no limit. See muster/pool.h. */
struct mui_limits {
    uint64_t
        memory_bytes; /* beyond what the worker has before its first task */
    int64_t cpu_ns;
    uint64_t file_bytes;
    unsigned open_files;
    unsigned recycle_tasks; /* not the kernel's: see worker.c */
    uint64_t recycle_bytes;
    unsigned sandbox;
    int strict;
};

/* In a worker, before any sandbox: make it possible to ask for memory later. */
void mui_limits_init(const struct mui_limits *limits);

/* From now on. */
void mui_limits_begin(const struct mui_limits *limits);

/* Give the next task its CPU time; a system call or two. */
void mui_limits_renew_cpu(int64_t cpu_ns);

/* Private memory of this process now; 0: not known. Signal-safe. */
uint64_t mui_limits_data_bytes(void);

#endif
