/* run.c: run one order as a task: input, output, the call, the reply. */
#include "layer/run.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "muster/task.h"

#include "base/error.h"
#include "layer/output.h"
#include "process/crash.h"
#include "sync/fence.h"
#include "sys/calls.h"
#include "sys/clock.h"
#include "sys/flow.h"
#include "sys/module.h"

/* A file up to this size is read into a buffer that is kept; a larger one is
 * mapped: below it mapping costs more than copying. One that does not tell its size, as
 * those of /proc, is read to its end, in a buffer that grows to so much for the task. */
enum { FILE_READ_MAX = 256 * 1024, FILE_UNSIZED_MAX = 256 << 20 };

/* Look for what tasks left behind once they have run for so long since the last look,
 * which costs some 100 system calls, 30 us, or 1 us where the kernel says that they made
 * none (sys/calls.h); and at what takes one call, sooner. */
enum { LOOK_AFTER_NS = 1000 * 1000, GLANCE_AFTER_NS = 10 * 1000 };

struct mu_task {
    const uint8_t *input;
    size_t input_size;
    size_t reserved;               /* by mu_task_reserve(), behind the output */
    const struct mui_parts *parts; /* NULL: the input is one part */
    uint64_t tag;
    unsigned attempt;
    uint32_t index;
    struct mui_lane_worker *lane;
    const struct mui_terms *terms;
    struct mui_output output;
};

struct mui_runner {
    struct mu_task task;
    uint64_t fn_code; /* the function called last, and its address */
    mu_task_fn fn;
    struct mui_clock clock;
    int64_t now_ns;    /* when the last task ended; 0: time passed since */
    int64_t ran_ns;    /* how long tasks have run since the last look */
    int64_t glance_ns; /* the same when to glance */
    uint8_t *buffer;   /* [buffer_bytes] for file inputs; made when needed */
    size_t buffer_bytes;
    void *mapping; /* of a large file input */
    size_t
        mapped_bytes; /* not 0 without one: the buffer has grown for this task */
};

int mui_runner_new(const struct mui_terms *terms, struct mui_lane_worker *lane,
                   unsigned i_worker, struct mui_runner **ret_runner,
                   struct mu_error *err)
{
    struct mui_runner *runner = calloc(1, sizeof *runner);

    if (!runner || mui_output_init(&runner->task.output, lane,
                                   (size_t)terms->output_bytes) < 0) {
        free(runner);
        return mui_fail(err, -ENOMEM, "worker %u", i_worker);
    }
    runner->glance_ns = GLANCE_AFTER_NS;
    runner->task.terms = terms;
    runner->task.lane = lane;
    *ret_runner = runner;
    return 0;
}

void mui_runner_free(struct mui_runner *runner)
{
    if (!runner)
        return;
    if (mui_flow_lane() == runner->task.lane)
        mui_flow_serve(NULL);
    mui_output_fini(&runner->task.output);
    free(runner->buffer);
    free(runner);
}

void mui_runner_pause(struct mui_runner *runner)
{
    runner->now_ns = 0;
}

/* -- input -- */

static int grow_buffer(struct mui_runner *runner)
{
    size_t bytes =
        runner->buffer_bytes ? runner->buffer_bytes * 2 : FILE_READ_MAX;
    uint8_t *buffer;

    if (bytes > FILE_UNSIZED_MAX)
        return -EFBIG;
    buffer = realloc(runner->buffer, bytes + 1); /* a byte of 0 behind it */
    if (!buffer)
        return -ENOMEM;
    runner->buffer = buffer;
    runner->buffer_bytes = bytes;
    if (bytes > FILE_READ_MAX)
        runner->mapped_bytes = bytes;
    return 0;
}

/* Read the range into `buffer`. How much that is, less if the file became shorter; -errno */
static ssize_t read_all(int fd, uint8_t *buffer, size_t size, uint64_t offset)
{
    size_t got = 0;

    while (got < size) {
        ssize_t n = pread(fd, buffer + got, size - got, (off_t)(offset + got));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

static int read_range(struct mui_runner *runner, int fd, uint64_t offset,
                      uint64_t size)
{
    size_t got = 0;
    int rc = runner->buffer ? 0 : grow_buffer(runner);

    while (rc == 0) {
        size_t room = runner->buffer_bytes - got;
        size_t wanted = room < size - got ? room : (size_t)(size - got);
        ssize_t n = read_all(fd, runner->buffer + got, wanted, offset + got);

        if (n < 0)
            return (int)n;
        got += (size_t)n;
        if (got == size || (size_t)n < wanted)
            break;
        rc = grow_buffer(runner);
    }
    if (rc != 0)
        return rc;
    runner->buffer[got] = 0;
    runner->task.input = runner->buffer;
    runner->task.input_size = got;
    return 0;
}

/* The page that the range ends in, or else the next, is a copy, with 0 behind the end. */
static int map_range(struct mui_runner *runner, int fd, uint64_t offset,
                     size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t skip = (size_t)(offset % page);
    size_t end = (skip + size) / page * page;
    size_t rest = (skip + size) % page;
    uint8_t *base = mmap(NULL, end + page, PROT_READ, MAP_PRIVATE, fd,
                         (off_t)(offset - skip));
    ssize_t n;

    if (base == MAP_FAILED)
        return -errno;
    runner->mapping = base;
    runner->mapped_bytes = end + page;
    if (mmap(base + end, page, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        return -errno;
    n = read_all(fd, base + end, rest, offset - skip + end);
    if (n < 0)
        return (int)n;
    if (mprotect(base + end, page, PROT_READ) < 0)
        return -errno;
    (void)madvise(base, end, MADV_SEQUENTIAL);
    runner->task.input = base + skip;
    runner->task.input_size = end - skip + (size_t)n;
    return 0;
}

/* Whether a range begins behind the end of its file. At `end` 0 it may be one that tells no
 * size: there is an end there if the byte before it can be read. */
static bool is_beyond(int fd, uint64_t end, uint64_t offset, size_t got)
{
    uint8_t byte;

    if (end != 0)
        return offset > end;
    return got == 0 && offset > 0 && read_all(fd, &byte, 1, offset - 1) != 1;
}

static int open_range(struct mui_runner *runner,
                      const struct mui_file_range *range)
{
    const char *path = (const char *)(range + 1);
    struct stat st;
    uint64_t size;
    int rc;
    /* a named pipe is refused below, and not waited for until somebody writes */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0) {
        rc = -errno;
    } else if (!S_ISREG(st.st_mode)) {
        rc = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    } else {
        uint64_t end = (uint64_t)st.st_size;

        if (end == 0)
            size = UINT64_MAX;
        else
            size = range->offset >= end ? 0 : end - range->offset;
        if (range->size && range->size < size)
            size = range->size;
        rc = size <= FILE_READ_MAX || end == 0
                 ? read_range(runner, fd, range->offset, size)
                 : map_range(runner, fd, range->offset, (size_t)size);
        /* a part of what was asked for is not what was asked for */
        if (rc == 0 &&
            (runner->task.input_size < range->size ||
             is_beyond(fd, end, range->offset, runner->task.input_size)))
            rc = -ERANGE;
    }
    (void)close(fd);
    return rc;
}

static int input_begin(struct mui_runner *runner, const struct mui_order *order)
{
    struct mu_task *t = &runner->task;
    const uint8_t *at;

    t->parts = NULL;
    if (order->form == MUI_FORM_INLINE) {
        t->input = order->u.bytes;
        t->input_size = order->inline_size;
        return 0;
    }
    if (order->form == MUI_FORM_PACK) {
        t->input = (const uint8_t *)(uintptr_t)order->u.span.address;
        t->input_size = (size_t)order->u.span.size;
        return 0;
    }
    at = t->terms->arena ? t->terms->arena + order->u.span.address
                         : (const uint8_t *)(uintptr_t)order->u.span.address;
    switch ((enum mui_form)order->form) {
    case MUI_FORM_SPAN:
        t->input = at;
        t->input_size = (size_t)order->u.span.size;
        return 0;
    case MUI_FORM_PARTS:
        t->parts = (const struct mui_parts *)at;
        t->input = (const uint8_t *)&t->parts->sizes[t->parts->n];
        t->input_size = (size_t)order->u.span.size -
                        (size_t)(t->input - (const uint8_t *)t->parts);
        return 0;
    case MUI_FORM_FILE:
        return open_range(runner, (const struct mui_file_range *)at);
    case MUI_FORM_INLINE:
    case MUI_FORM_PACK:
    case MUI_N_FORMS:
        break;
    }
    return -EINVAL;
}

static void input_end(struct mui_runner *runner)
{
    if (!runner->mapped_bytes)
        return;
    if (runner->mapping) {
        (void)munmap(runner->mapping, runner->mapped_bytes);
        runner->mapping = NULL;
    } else {
        free(runner->buffer);
        runner->buffer = NULL;
        runner->buffer_bytes = 0;
    }
    runner->mapped_bytes = 0;
}

/* -- the call -- */

static int find_function(struct mui_runner *runner, uint64_t code)
{
    void *address;
    int rc;

    if (code == runner->fn_code && runner->fn)
        return 0;
    /* a library that is loaded here runs its constructors */
    if (runner->task.terms->is_worker)
        mui_calls_begin();
    rc = mui_module_decode(code, &address);
    if (runner->task.terms->is_worker)
        mui_calls_end();
    /* the supervisor made the code, where nobody here can write: what we know of
     * modules was written over, and a reply would blame this task for it */
    if (rc == -EINVAL || rc == -ENOENT)
        __builtin_trap();
    if (rc < 0)
        return rc;
    runner->fn_code = code;
    memcpy(&runner->fn, &address, sizeof runner->fn);
    return 0;
}

/* The lane that this thread runs a task of; NULL between tasks. Only the thread
 * itself looks, perhaps in a signal handler. */
static _Thread_local const struct mui_lane_worker *here
    __attribute__((tls_model("initial-exec")));

const struct mui_lane_worker *mui_runner_here(void)
{
    return here;
}

void mui_runner_forget_in_child(void)
{
    here = NULL;
    mui_flow_serve(NULL);
}

/* What it printed is out before its outcome is: the next here, or the end of the
 * program, may take this process and its buffers. __fpending() is a load or two. */
static void flush_text(void)
{
    if (stdout && __fpending(stdout) > 0)
        (void)fflush(stdout);
}

static int call(struct mui_runner *runner)
{
    struct mui_lane_worker *lane = runner->task.lane;
    const struct mui_lane_worker *outer = here;
    int code;

    if (runner->task.terms->limits.processes)
        mui_limits_forget();
    /* relaxed: read from a signal handler, for people */
    atomic_store_explicit(&lane->running_tag, runner->task.tag,
                          memory_order_relaxed);
    /* release: with the time of the start, see mui_lane_running_since() */
    atomic_store_explicit(&lane->is_running, true, memory_order_release);
    lane->outer = outer;
    mui_fence_compiler(); /* for signal handlers, which follow it */
    here = lane;
    /* from this frame on, and not from its caller's, frames are not the task's. What a
     * task has run, in a pool of its own on this thread, is its own doing */
    if (!outer)
        mui_flow_serve(lane);
    mui_calls_begin();
    code = runner->fn(&runner->task);
    if (runner->task.terms->is_worker) {
        flush_text(); /* perhaps by functions of the task's own */
        /* one that cancelled its thread ends here, and not the next one there */
        pthread_testcancel();
        mui_calls_end();
    }
    here = outer;
    atomic_store_explicit(&lane->is_running, false, memory_order_relaxed);
    return code;
}

/* After each task: whether this worker is to end. It ends after this order. */
static void look(struct mui_runner *runner, int64_t run_ns)
{
    unsigned how = MUI_LOOK_RAN;

    runner->ran_ns += run_ns;
    if (runner->ran_ns > runner->glance_ns) {
        runner->glance_ns = runner->ran_ns + GLANCE_AFTER_NS;
        how |= MUI_LOOK_GLANCE;
    }
    if (runner->ran_ns > LOOK_AFTER_NS) {
        runner->ran_ns = 0;
        runner->glance_ns = GLANCE_AFTER_NS;
        how |= MUI_LOOK_CLOSELY;
    }
    (void)mui_lane_is_spent(runner->task.lane, how);
}

/* Say what became of it: `rc` below 0, it could not be run; else it returned `code`. */
static void answer(struct mui_runner *runner, uint32_t index, int64_t start_ns,
                   int rc, int code)
{
    struct mui_lane_worker *lane = runner->task.lane;
    struct mui_output *o = &runner->task.output;
    int64_t run_ns = runner->now_ns - start_ns;
    struct mui_reply reply;
    uint8_t limit = 0;

    mui_crash_settle();
    if (rc == 0 && code)
        limit = (uint8_t)mui_limits_struck(code);
    look(runner, run_ns);
    /* most are said in a word, without a record of them */
    if (rc == 0 && code == 0 &&
        mui_lane_reply_brief(lane, index, start_ns, run_ns, o->base, o->size)) {
        o->size = 0; /* the memory serves the next output */
        return;
    }
    reply = (struct mui_reply){.index = index,
                               .kind = rc < 0 ? MUI_REPLY_ERROR : MUI_REPLY_RAN,
                               .code = rc < 0 ? rc : code,
                               .limit = limit,
                               .start_ns = start_ns,
                               .run_ns = run_ns};
    mui_output_post(o, &reply);
    mui_lane_reply(lane, &reply);
}

void mui_runner_run(struct mui_runner *runner, const struct mui_order *order,
                    uint32_t index)
{
    struct mu_task *t = &runner->task;
    int64_t start_ns =
        runner->now_ns ? runner->now_ns : mui_clock_now(&runner->clock);
    int code = 0;
    int rc;

    mui_lane_note_start(t->lane, start_ns);
    t->tag = order->tag;
    t->attempt = order->attempt;
    t->index = index;
    t->reserved = 0;

    rc = find_function(runner, order->fn);
    if (rc == 0)
        rc = input_begin(runner, order);
    if (rc == 0)
        code = call(runner);
    input_end(runner);
    runner->now_ns = mui_clock_now(&runner->clock);
    answer(runner, index, start_ns, rc, code);
}

/* -- what a task sees: muster/task.h -- */

const void *mu_task_input(const struct mu_task *task, size_t *ret_size)
{
    if (ret_size)
        *ret_size = task->input_size;
    return task->input;
}

size_t mu_task_n_parts(const struct mu_task *task)
{
    return task->parts ? (size_t)task->parts->n : 1;
}

const void *mu_task_part(const struct mu_task *task, size_t i_part,
                         size_t *ret_size)
{
    const uint8_t *at = task->input;

    if (i_part >= mu_task_n_parts(task))
        return NULL;
    if (!task->parts)
        return mu_task_input(task, ret_size);
    for (size_t i = 0; i < i_part; i++)
        at += mui_part_room(task->parts->sizes[i]);
    if (ret_size)
        *ret_size = (size_t)task->parts->sizes[i_part];
    return at;
}

const void *mu_task_arg(const struct mu_task *task, size_t *ret_size)
{
    if (ret_size)
        *ret_size = task->terms->arg_size;
    return task->terms->arg;
}

void *mu_task_reserve(struct mu_task *task, size_t size)
{
    int rc;
    void *room = mui_output_room(&task->output, size, &rc);

    task->reserved = room ? size : 0;
    return room;
}

int mu_task_commit(struct mu_task *task, size_t size)
{
    if (size > task->reserved)
        return -EINVAL;
    task->reserved = 0;
    task->output.size += size;
    return 0;
}

int mu_task_write(struct mu_task *task, const void *bytes, size_t size)
{
    int rc;
    uint8_t *room = mui_output_room(&task->output, size, &rc);

    task->reserved = 0;
    if (!room)
        return rc;
    if (size)
        memcpy(room, bytes, size);
    task->output.size += size;
    return 0;
}

/* What fills the output to its last byte: there is no room for the 0 behind it. */
__attribute__((format(printf, 2, 0))) static int print_apart(
    struct mu_task *task, const char *format, va_list args)
{
    char *text;
    int length = vasprintf(&text, format, args);
    int rc;

    if (length < 0)
        return -ENOMEM;
    rc = mu_task_write(task, text, (size_t)length);
    free(text);
    return rc;
}

int mu_task_printf(struct mu_task *task, const char *format, ...)
{
    enum { GUESS = 128 };
    size_t left = task->output.limit - task->output.size;
    int size = left < GUESS ? (int)left : GUESS;
    int length;
    int rc;

    task->reserved = 0;
    for (;;) {
        uint8_t *room = mui_output_room(&task->output, (size_t)size, &rc);
        va_list args;

        if (!room)
            return rc;
        va_start(args, format);
        length = vsnprintf((char *)room, (size_t)size, format, args);
        va_end(args);
        if (length < 0)
            return -EINVAL;
        if (length < size)
            break;
        if ((size_t)length == left) {
            va_start(args, format);
            rc = print_apart(task, format, args);
            va_end(args);
            return rc;
        }
        size = length + 1;
    }
    task->output.size += (size_t)length;
    return 0;
}

size_t mu_task_output_size(const struct mu_task *task)
{
    return task->output.size;
}

void mu_task_truncate(struct mu_task *task, size_t size)
{
    task->reserved = 0;
    if (size < task->output.size)
        task->output.size = size;
}

uint64_t mu_task_tag(const struct mu_task *task)
{
    return task->tag;
}

unsigned mu_task_attempt(const struct mu_task *task)
{
    return task->attempt;
}

unsigned mu_task_worker(const struct mu_task *task)
{
    return mui_lane_number(task->lane);
}

int mu_task_is_cancelled(const struct mu_task *task)
{
    return mui_lane_is_cancelled(task->lane, task->index);
}
