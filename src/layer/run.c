/* run.c: run one order as a task: input, output, the call, the reply. */
#include "layer/run.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "layer/input.h"
#include "layer/task.h"
#include "process/crash.h"
#include "sync/fence.h"
#include "sys/calls.h"
#include "sys/clock.h"
#include "sys/flow.h"
#include "sys/module.h"

/* Look for what tasks left behind once they have run for so long since the last look,
 * which costs some 100 system calls, 30 us, or 1 us where the kernel says that they made
 * none (sys/calls.h); and at what takes one call, sooner. */
enum { LOOK_AFTER_NS = 1000 * 1000, GLANCE_AFTER_NS = 10 * 1000 };

struct mui_runner {
    struct mu_task task;
    uint64_t fn_code; /* the function called last, and its address */
    mu_task_fn fn;
    struct mui_clock clock;
    int64_t now_ns;    /* when the last task ended; 0: time passed since */
    int64_t ran_ns;    /* how long tasks have run since the last look */
    int64_t glance_ns; /* the same when to glance */
    struct mui_file_input file;
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
    mui_file_input_fini(&runner->file);
    free(runner);
}

void mui_runner_pause(struct mui_runner *runner)
{
    runner->now_ns = 0;
}

/* -- input -- */

static int input_begin(struct mui_runner *runner, const struct mui_order *order)
{
    struct mu_task *t = &runner->task;
    const uint8_t *at;
    int rc;

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
        rc = mui_file_input_open(&runner->file,
                                 (const struct mui_file_range *)at);
        t->input = runner->file.bytes;
        t->input_size = runner->file.size;
        return rc;
    case MUI_FORM_INLINE:
    case MUI_FORM_PACK:
    case MUI_N_FORMS:
        break;
    }
    return -EINVAL;
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
    mui_file_input_close(&runner->file);
    runner->now_ns = mui_clock_now(&runner->clock);
    answer(runner, index, start_ns, rc, code);
}
