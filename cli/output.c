/* output.c: what tasks give, on standard output and standard error. */
#include "output.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "report.h"
#include "say.h"
#include "standard.h"
#include "whole.h"

enum { FLUSH_BYTES = 256 * 1024 };

static void write_output(const char *bytes, size_t size)
{
    whole_write_or_die(standard_output(), "standard ", "output", bytes, size);
}

/* One that is closed or full is no reason to stop, and there is nobody to tell; but
 * behind a signal nobody waits for its reader, task after task. */
static void write_error(const char *bytes, size_t size)
{
    if (whole_write(STDERR_FILENO, bytes, size) == -EINTR)
        say_fatal("cannot write to standard error: %s", say_reason(EINTR));
}

void output_flush(struct output *out)
{
    write_output(text_string(&out->buffer), out->buffer.size);
    text_clear(&out->buffer);
}

void output_put_tagged(struct text *t, const char *tag, size_t tag_size,
                       const char *bytes, size_t size)
{
    while (size) {
        const char *newline = memchr(bytes, '\n', size);
        size_t n = newline ? (size_t)(newline - bytes) + 1 : size;

        text_append(t, tag, tag_size);
        text_putc(t, '\t');
        text_append(t, bytes, n);
        bytes += n;
        size -= n;
    }
}

/* How a task failed; of a crash where, and the frames as an array. */
static void put_json_failure(struct text *t, const struct ended *e)
{
    struct text how = {0};
    struct text frames = {0};

    report_describe(e, &how, &frames);
    text_put(t, ",\"how\":");
    text_put_json(t, text_string(&how), how.size);
    report_put_limit_json(t, e->limit);
    if (!e->is_command && e->outcome->has_fault_address)
        text_printf(t, ",\"address\":\"0x%" PRIxPTR "\"",
                    (uintptr_t)e->outcome->fault_address);
    report_put_frames_json(t, &frames);
    text_fini(&how);
    text_fini(&frames);
}

static void put_json(struct text *t, const struct ended *e)
{
    text_printf(t, "{\"seq\":%llu,\"input\":", (unsigned long long)e->seq);
    text_put_json(t, e->name, e->name_size);
    text_printf(t,
                ",\"status\":\"%s\",\"code\":%d,\"signal\":%d,\"attempts\":%u,"
                "\"worker\":%u,\"start\":%.6f,\"seconds\":%.6f,\"output\":",
                mu_status_name(e->status), e->code, e->signal, e->attempts,
                e->worker, (double)e->start_ns / 1e9, (double)e->run_ns / 1e9);
    text_put_json(t, e->out, e->out_size);
    if (e->err_size) {
        text_put(t, ",\"stderr\":");
        text_put_json(t, e->err, e->err_size);
    }
    if (e->status != MU_DONE)
        put_json_failure(t, e);
    text_put(t, "}\n");
}

void output_add(struct output *out, const struct ended *e)
{
    struct text *t = &out->buffer;

    if (out->discards)
        return;
    if (out->json) {
        put_json(t, e);
    } else if (out->tag) {
        output_put_tagged(t, e->tag, e->tag_size, e->out, e->out_size);
    } else if (e->out_size >= FLUSH_BYTES) {
        output_flush(out);
        write_output(e->out, e->out_size);
    } else {
        text_append(t, e->out, e->out_size);
    }
    if (e->err_size && !out->json) {
        struct text tagged = {0};

        /* so that a terminal shows both in the order of the tasks */
        output_flush(out);
        if (out->tag)
            output_put_tagged(&tagged, e->tag, e->tag_size, e->err,
                              e->err_size);
        write_error(out->tag ? tagged.data : e->err,
                    out->tag ? tagged.size : e->err_size);
        text_fini(&tagged);
    }
    if (t->size >= FLUSH_BYTES)
        output_flush(out);
}

int output_settle(const struct output *out)
{
    int rc = out->discards ? 0 : whole_settle(standard_output());

    /* closed before: then nothing was written */
    if (rc == 0 || rc == -EBADF)
        return 0;
    return say_refuse("cannot write to standard output: %s", say_reason(-rc));
}

int output_print(const char *page)
{
    const struct output plain = {0};

    write_output(page, strlen(page));
    return output_settle(&plain) < 0 ? SAY_EXIT_OTHER : 0;
}

void output_fini(struct output *out)
{
    text_fini(&out->buffer);
}
