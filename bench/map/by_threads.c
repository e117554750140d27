/* by_threads.c: what a programmer writes by hand instead: the files of a list dealt
 * out to the threads in turns, no queue, no isolation.
 *
 *     by_threads words|sha256 N_THREADS LIST       a static split over pthreads
 *     by_threads batch FILE...                     words of these, in one thread
 *     by_threads merge                             sums of such lists, from stdin
 *
 * The work itself is that of the examples, so that only the running differs. */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../../examples/sha256.c"    /* NOLINT(bugprone-suspicious-include) */
#include "../../examples/wordcount.c" /* NOLINT(bugprone-suspicious-include) */

enum { THREADS_MAX = 256, BATCH_BYTES = 4 << 20 };

static char **names;
static size_t n_names;

struct part {
    pthread_t thread;
    size_t first;
    size_t step;
    struct table table;
    char *lines; /* sha256: what it prints */
    size_t n_lines_bytes;
};

/* The table keeps pointers into the copy, which therefore stays. */
static void count_file(struct table *table, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    void *text;
    char *copy;

    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && st.st_size > 0 &&
        (text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd,
                     0)) != MAP_FAILED) {
        copy = malloc((size_t)st.st_size);
        if (!copy || count_text(table, text, (size_t)st.st_size, copy) < 0)
            abort();
        (void)munmap(text, (size_t)st.st_size);
    }
    (void)close(fd);
}

static void *count_part(void *arg)
{
    struct part *part = arg;

    if (grow(&part->table) < 0)
        abort();
    for (size_t i = part->first; i < n_names; i += part->step)
        count_file(&part->table, names[i]);
    return NULL;
}

static void *digest_part(void *arg)
{
    struct part *part = arg;
    FILE *out = open_memstream(&part->lines, &part->n_lines_bytes);
    char hex[HEX_BYTES];

    for (size_t i = part->first; out && i < n_names; i += part->step)
        if (digest_file(names[i], hex) == 0)
            (void)fprintf(out, "%s  %s\n", hex, names[i]);
    if (!out || fclose(out) != 0)
        abort();
    return NULL;
}

static void add_words(struct table *to, const struct table *from)
{
    for (size_t i = 0; i < from->n_slots; i++) {
        const struct word *w = &from->slots[i];

        if (!w->text)
            continue;
        if (count_word(to, w->text, w->length, w->hash) < 0)
            abort();
        find_slot(to, w->text, w->length, w->hash)->n += w->n - 1;
    }
}

static void print_words(struct table *t)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n_slots; i++)
        if (t->slots[i].text)
            t->slots[n++] = t->slots[i];
    qsort(t->slots, n, sizeof *t->slots, compare_words);
    for (size_t i = 0; i < n; i++)
        (void)printf("%.*s\t%llu\n", (int)t->slots[i].length, t->slots[i].text,
                     (unsigned long long)t->slots[i].n);
}

static void read_list(const char *path)
{
    FILE *list = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    ssize_t length;

    if (!list)
        abort();
    while ((length = getline(&line, &room, list)) > 0) {
        if (n_names % 1024 == 0) {
            char **more = realloc(names, (n_names + 1024) * sizeof *names);

            if (!more)
                abort();
            names = more;
        }
        line[length - 1] = '\0';
        if (!(names[n_names++] = strdup(line)))
            abort();
    }
    free(line);
    (void)fclose(list);
}

static int split(const char *work, unsigned n_threads, const char *list)
{
    static struct part parts[THREADS_MAX];
    int is_words = strcmp(work, "words") == 0;

    if (n_threads == 0 || n_threads > THREADS_MAX)
        return EXIT_FAILURE;
    read_list(list);
    for (unsigned i = 0; i < n_threads; i++) {
        parts[i].first = i;
        parts[i].step = n_threads;
        if (pthread_create(&parts[i].thread, NULL,
                           is_words ? count_part : digest_part, &parts[i]) != 0)
            return EXIT_FAILURE;
    }
    for (unsigned i = 0; i < n_threads; i++) {
        (void)pthread_join(parts[i].thread, NULL);
        if (!is_words)
            (void)fwrite(parts[i].lines, 1, parts[i].n_lines_bytes, stdout);
        else if (i > 0)
            add_words(&parts[0].table, &parts[i].table);
    }
    if (is_words)
        print_words(&parts[0].table);
    return EXIT_SUCCESS;
}

/* Lines "word<TAB>n", in any order. */
static int sum_lists(void)
{
    struct table table = {.n_slots = 0};
    char *line = NULL;
    size_t room = 0;
    ssize_t length;

    if (grow(&table) < 0)
        return EXIT_FAILURE;
    while ((length = getline(&line, &room, stdin)) > 0) {
        const char *tab = memchr(line, '\t', (size_t)length);
        uint32_t hash = 2166136261U;
        struct word *w;
        char *text;

        if (!tab)
            continue;
        for (const char *c = line; c < tab; c++)
            hash = (hash ^ (unsigned char)*c) * 16777619U;
        hash ^= hash >> 15;
        w = find_slot(&table, line, (uint32_t)(tab - line), hash);
        if (!w->text) {
            text = strndup(line, (size_t)(tab - line));
            if (!text || count_word(&table, text, (uint32_t)(tab - line), hash))
                return EXIT_FAILURE;
            w = find_slot(&table, text, (uint32_t)(tab - line), hash);
            w->n = 0;
        }
        w->n += strtoull(tab + 1, NULL, 10);
    }
    print_words(&table);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "batch") != 0)
        return split(argv[1], (unsigned)strtoul(argv[2], NULL, 10), argv[3]);
    if (argc == 2 && strcmp(argv[1], "merge") == 0)
        return sum_lists();
    if (argc > 2 && strcmp(argv[1], "batch") == 0) {
        struct part part = {.step = 1};

        /* in one piece: others write to the same file */
        (void)setvbuf(stdout, NULL, _IOFBF, BATCH_BYTES);
        names = argv + 2;
        n_names = (size_t)argc - 2;
        (void)count_part(&part);
        print_words(&part.table);
        return EXIT_SUCCESS;
    }
    (void)fprintf(stderr, "usage: see the head of by_threads.c\n");
    return EXIT_FAILURE;
}
