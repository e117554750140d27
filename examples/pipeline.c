/* pipeline.c: read, parse, count, write: four workers in a row with channels between
 * them, over any transport, as threads or as processes, by one word each.
 *
 *     pipeline shm processes FILE      count the words of FILE
 *     pipeline --table FILE            the same over every transport: what each costs
 *
 * The stages know nothing of either word. */
#include <ctype.h>
#include <muster/muster.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_LINKS = 3, WORD_MAX = 64, BLOCK_BYTES = 32768, N_SLOTS = 1 << 16 };

/* What a stage is given: both ends of every link; it keeps the two that it uses. */
struct stage {
    int i;          /* 0 read, 1 parse, 2 count, 3 write */
    int is_process; /* then each frees the ends of the others */
    struct mu_chan *ends[N_LINKS][2];
    char path[256];
    char out_path[64]; /* written by the last stage; empty: standard output */
};

struct count {
    char word[WORD_MAX];
    unsigned long n;
};

/* Send one message; an empty one is the end. */
static int put(struct mu_chan *to, const void *bytes, size_t size)
{
    return mu_chan_send(to, bytes, size, MU_NEVER);
}

static int read_stage(struct mu_chan *to, const char *path)
{
    static char block[BLOCK_BYTES];
    FILE *in = fopen(path, "r");
    size_t n;
    int rc = in ? 0 : 1;

    while (rc == 0 && (n = fread(block, 1, sizeof block, in)) > 0)
        rc = put(to, block, n);
    if (in)
        (void)fclose(in);
    return rc ? rc : put(to, NULL, 0);
}

/* Send each word that ends in `text`; *length letters of the last stay in `word`
 * for the next block. */
static int send_words(struct mu_chan *to, const char *text, size_t size,
                      char word[WORD_MAX], size_t *length)
{
    int rc = 0;

    for (size_t i = 0; i < size && rc == 0; i++) {
        int letter = (unsigned char)text[i];

        if (isalpha(letter) && *length < WORD_MAX - 1) {
            word[(*length)++] = (char)tolower(letter);
        } else if (*length > 0) {
            rc = put(to, word, *length);
            *length = 0;
        }
    }
    return rc;
}

static int parse_stage(struct mu_chan *from, struct mu_chan *to)
{
    char word[WORD_MAX];
    size_t length = 0;
    struct mu_chan_message m;
    int rc;

    while ((rc = mu_chan_borrow(from, MU_NEVER, &m)) == 0 && m.size > 0) {
        rc = send_words(to, m.data, m.size, word, &length);
        mu_chan_release(from);
        if (rc != 0)
            return rc;
    }
    mu_chan_release(from); /* the empty one */
    if (rc == 0 && length > 0)
        rc = put(to, word, length);
    return rc ? rc : put(to, NULL, 0);
}

static struct count *slot_of(struct count *slots, const char *word)
{
    unsigned hash = 2166136261U;

    for (const char *c = word; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619U;
    while (slots[hash % N_SLOTS].n &&
           strcmp(slots[hash % N_SLOTS].word, word) != 0)
        hash++;
    return &slots[hash % N_SLOTS];
}

static int count_stage(struct mu_chan *from, struct mu_chan *to)
{
    struct count *slots = calloc(N_SLOTS, sizeof *slots);
    unsigned n_words = 0;
    char word[WORD_MAX];
    size_t size;
    int rc = slots ? 0 : 1;

    while (rc == 0 &&
           (rc = mu_chan_recv(from, word, sizeof word - 1, MU_NEVER, &size)) ==
               0 &&
           size > 0) {
        struct count *slot;

        word[size] = '\0';
        slot = slot_of(slots, word);
        if (slot->n == 0 && ++n_words > N_SLOTS / 2)
            rc = 1; /* more different words than this example has room for */
        memcpy(slot->word, word, size + 1);
        slot->n++;
    }
    for (int i = 0; i < N_SLOTS && rc == 0; i++) {
        if (slots[i].n > 0)
            rc = put(to, &slots[i], sizeof slots[i]);
    }
    free(slots);
    return rc ? rc : put(to, NULL, 0);
}

static int by_count(const void *a, const void *b)
{
    const struct count *x = a;
    const struct count *y = b;

    if (x->n != y->n)
        return x->n < y->n ? 1 : -1;
    return strcmp(x->word, y->word);
}

static int write_stage(struct mu_chan *from, const char *path)
{
    struct count *all = calloc(N_SLOTS, sizeof *all);
    FILE *out = path[0] ? fopen(path, "w") : stdout;
    size_t n = 0;
    size_t size;
    int rc = all && out ? 0 : 1;

    while (rc == 0 && n < N_SLOTS &&
           (rc = mu_chan_recv(from, &all[n], sizeof all[n], MU_NEVER, &size)) ==
               0 &&
           size > 0)
        n++;
    if (rc == 0) {
        qsort(all, n, sizeof *all, by_count);
        for (size_t i = 0; i < n && i < 10; i++)
            (void)fprintf(out, "%7lu %s\n", all[i].n, all[i].word);
    }
    if (out && fflush(out) != 0)
        rc = 1;
    if (out && path[0])
        (void)fclose(out);
    free(all);
    return rc;
}

/* In a process: let go of every end that another stage uses, so that its death is
 * seen. Each end is used by one stage: link k goes from stage k to stage k + 1. */
static void free_others(struct stage *s)
{
    for (int k = 0; k < N_LINKS; k++) {
        for (int side = 0; side < 2; side++) {
            if (k + side != s->i)
                mu_chan_free(s->ends[k][side]);
        }
    }
}

static int stage_run(void *arg, size_t size)
{
    struct stage *s = arg;
    struct mu_chan *from = s->i > 0 ? s->ends[s->i - 1][1] : NULL;
    struct mu_chan *to = s->i < N_LINKS ? s->ends[s->i][0] : NULL;
    int rc;

    (void)size;
    if (s->is_process)
        free_others(s);
    switch (s->i) {
    case 0:
        rc = read_stage(to, s->path);
        break;
    case 1:
        rc = parse_stage(from, to);
        break;
    case 2:
        rc = count_stage(from, to);
        break;
    default:
        rc = write_stage(from, s->out_path);
    }
    if (rc == 0 && to)
        rc = mu_chan_drain(to, MU_NEVER) < 0; /* closed is fine: it was read */
    return rc;
}

/* Make the links. A log is a file for each, gone at once by name. */
static int links_open(struct stage *s, const char *transport)
{
    for (int k = 0; k < N_LINKS; k++) {
        char address[300];
        struct mu_error err;

        (void)snprintf(address, sizeof address, "%s:", transport);
        if (strcmp(transport, "file") == 0)
            (void)snprintf(address, sizeof address, "file:/tmp/pipeline-%d-%d",
                           (int)getpid(), k);
        if (mu_chan_pair(address, NULL, s->ends[k], &err) != 0) {
            (void)fprintf(stderr, "pipeline: %s\n", err.text);
            return 1;
        }
        if (strcmp(transport, "file") == 0)
            (void)unlink(address + strlen("file:"));
    }
    return 0;
}

/* Run the four stages. 0, or 1 after it has said which failed. */
static int pipeline_run(const char *transport, int is_process, const char *path,
                        const char *out_path)
{
    static const char *const names[] = {"read", "parse", "count", "write"};
    struct mu_worker *workers[N_LINKS + 1] = {NULL};
    struct stage s = {.is_process = is_process};
    int rc = 0;

    (void)snprintf(s.path, sizeof s.path, "%s", path);
    (void)snprintf(s.out_path, sizeof s.out_path, "%s", out_path);
    if (links_open(&s, transport) != 0)
        return 1;
    for (s.i = 0; s.i <= N_LINKS; s.i++) {
        struct mu_worker_options how = {.kind = is_process ? MU_WORKER_PROCESS
                                                           : MU_WORKER_THREAD,
                                        .name = names[s.i],
                                        .inherits = 1};
        struct mu_error err;

        if (mu_worker_start(&how, stage_run, &s, sizeof s, &workers[s.i],
                            &err) != 0) {
            (void)fprintf(stderr, "pipeline: %s\n", err.text);
            exit(1);
        }
    }
    for (int k = 0; k < N_LINKS && is_process; k++) {
        mu_chan_free(s.ends[k][0]);
        mu_chan_free(s.ends[k][1]);
    }
    for (int i = 0; i <= N_LINKS; i++) {
        struct mu_worker_exit how = {.code = 1};

        if (mu_worker_join(workers[i], MU_NEVER, &how) != 0 ||
            how.end != MU_WORKER_RETURNED || how.code != 0) {
            char text[64];

            (void)mu_worker_describe(&how, text, sizeof text);
            (void)fprintf(stderr, "pipeline: %s: %s\n", names[i], text);
            rc = 1;
        }
        mu_worker_free(workers[i]);
    }
    for (int k = 0; k < N_LINKS && !is_process; k++) {
        mu_chan_free(s.ends[k][0]);
        mu_chan_free(s.ends[k][1]);
    }
    return rc;
}

static int table_print(const char *path)
{
    static const char *const transports[] = {"mem", "shm", "pipe", "unix",
                                             "tcp", "mq",  "file"};

    (void)printf("%-9s %12s %12s\n", "transport", "threads", "processes");
    for (size_t t = 0; t < sizeof transports / sizeof transports[0]; t++) {
        (void)printf("%-9s", transports[t]);
        for (int is_process = 0; is_process < 2; is_process++) {
            int64_t from = mu_now_ns();

            if (is_process && strcmp(transports[t], "mem") == 0) {
                (void)printf(" %12s", "-");
                continue;
            }
            if (pipeline_run(transports[t], is_process, path, "/dev/null") != 0)
                return 1;
            (void)printf(" %9.1f ms", (double)(mu_now_ns() - from) / 1e6);
            (void)fflush(stdout);
        }
        (void)printf("\n");
    }
    return 0;
}

int main(int argc, char **argv)
{
    int is_process;

    if (argc == 3 && strcmp(argv[1], "--table") == 0)
        return table_print(argv[2]);
    if (argc != 4 || (strcmp(argv[2], "threads") != 0 &&
                      strcmp(argv[2], "processes") != 0)) {
        (void)fprintf(stderr,
                      "usage: pipeline TRANSPORT threads|processes FILE\n"
                      "       pipeline --table FILE\n"
                      "transports: mem shm pipe unix tcp mq file\n");
        return 2;
    }
    is_process = strcmp(argv[2], "processes") == 0;
    if (is_process && strcmp(argv[1], "mem") == 0) {
        (void)fprintf(stderr, "pipeline: mem: is for threads\n");
        return 2;
    }
    return pipeline_run(argv[1], is_process, argv[3], "");
}
