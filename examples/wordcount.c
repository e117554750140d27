/* wordcount.c: count the words of files.
 *
 *     muster map --each file --reduce merge wordcount.c:count ::: /usr/include
 *
 * A word is a run of ASCII letters; capitals count as small ones. `count` gives
 * one line a word, "word<TAB>how often", in the order of the words, and `merge`
 * combines several such lists: it is associative, as a reduce step has to be. What
 * gzip has packed is unpacked first. */
/* muster: pkg-config=zlib */
#include <muster/task.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* -- unpacking -- */

static int is_packed(const char *bytes, size_t size)
{
    return size > 2 && memcmp(bytes, "\x1f\x8b", 2) == 0;
}

/* Room for twice as much, behind what is there. */
static int widen(z_stream *z, char **text, size_t *room)
{
    size_t used = *room - z->avail_out;
    char *wider = realloc(*text, *room * 2);

    if (!wider)
        return -1;
    *text = wider;
    *room *= 2;
    z->next_out = (unsigned char *)wider + used;
    z->avail_out = (unsigned)(*room - used);
    return 0;
}

/* The text of a file of gzip, to be freed; NULL: it is broken, or does not fit. */
static char *unpack(const char *packed, size_t size, size_t *ret_size)
{
    enum { GZIP = 16 }; /* added to the bits of the window: expect its header */
    z_stream z = {.next_in = (unsigned char *)packed,
                  .avail_in = (unsigned)size};
    size_t room = size * 4;
    char *text = malloc(room);
    int rc = Z_MEM_ERROR;

    if (!text || size > UINT32_MAX / 8 ||
        inflateInit2(&z, MAX_WBITS + GZIP) != Z_OK) {
        free(text);
        return NULL;
    }
    z.next_out = (unsigned char *)text;
    z.avail_out = (unsigned)room;
    do {
        rc = inflate(&z, Z_NO_FLUSH);
        if (rc == Z_STREAM_END && z.avail_in)
            rc = inflateReset(&z); /* another one follows */
        else if (rc == Z_OK && z.avail_out == 0 && room < UINT32_MAX / 2)
            rc = widen(&z, &text, &room) < 0 ? Z_MEM_ERROR : Z_OK;
    } while (rc == Z_OK);
    (void)inflateEnd(&z);
    if (rc != Z_STREAM_END) {
        free(text);
        return NULL;
    }
    *ret_size = room - z.avail_out;
    return text;
}

/* -- counting -- */

struct word {
    const char *text; /* NULL: an empty slot */
    uint32_t length;
    uint32_t hash;
    uint64_t n;
};

/* Open addressing; at most half full. */
struct table {
    struct word *slots;
    size_t n_slots; /* a power of 2 */
    size_t n_words;
};

static struct word *find_slot(const struct table *t, const char *text,
                              uint32_t length, uint32_t hash)
{
    size_t i = hash & (t->n_slots - 1);

    while (t->slots[i].text &&
           (t->slots[i].hash != hash || t->slots[i].length != length ||
            memcmp(t->slots[i].text, text, length) != 0))
        i = (i + 1) & (t->n_slots - 1);
    return &t->slots[i];
}

static int grow(struct table *t)
{
    struct table larger = {.n_slots = t->n_slots ? t->n_slots * 4 : 1024,
                           .n_words = t->n_words};

    larger.slots = calloc(larger.n_slots, sizeof *larger.slots);
    if (!larger.slots)
        return -1;
    for (size_t i = 0; i < t->n_slots; i++) {
        const struct word *w = &t->slots[i];

        if (w->text)
            *find_slot(&larger, w->text, w->length, w->hash) = *w;
    }
    free(t->slots);
    *t = larger;
    return 0;
}

static int count_word(struct table *t, const char *text, uint32_t length,
                      uint32_t hash)
{
    struct word *w;

    if (t->n_words * 2 >= t->n_slots && grow(t) < 0)
        return -1;
    w = find_slot(t, text, length, hash);
    if (!w->text) {
        *w = (struct word){.text = text, .length = length, .hash = hash};
        t->n_words++;
    }
    w->n++;
    return 0;
}

/* Copy the text in small letters and count the words of the copy. */
static int count_text(struct table *t, const char *text, size_t size,
                      char *copy)
{
    size_t i = 0;

    while (i < size) {
        uint32_t hash = 2166136261U; /* FNV-1a */
        size_t start = i;

        for (; i < size; i++) {
            unsigned char small = (unsigned char)text[i] | 0x20;

            if (small < 'a' || small > 'z')
                break;
            copy[i] = (char)small;
            hash = (hash ^ small) * 16777619U;
        }
        if (i == start)
            i++;
        else if (count_word(t, copy + start, (uint32_t)(i - start),
                            hash ^ hash >> 15) < 0)
            return -1;
    }
    return 0;
}

static int compare_words(const void *a, const void *b)
{
    const struct word *x = a;
    const struct word *y = b;
    int order =
        memcmp(x->text, y->text, x->length < y->length ? x->length : y->length);

    return order ? order : (x->length > y->length) - (x->length < y->length);
}

static int write_word(struct mu_task *task, const struct word *w)
{
    enum { NUMBER_BYTES = 24 };
    char *room = mu_task_reserve(task, w->length + NUMBER_BYTES);

    if (!room)
        return EXIT_FAILURE;
    memcpy(room, w->text, w->length);
    mu_task_commit(task, w->length + (size_t)snprintf(
                                         room + w->length, NUMBER_BYTES,
                                         "\t%llu\n", (unsigned long long)w->n));
    return 0;
}

static int write_sorted(struct mu_task *task, struct table *t)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n_slots; i++)
        if (t->slots[i].text)
            t->slots[n++] = t->slots[i];
    qsort(t->slots, n, sizeof *t->slots, compare_words);
    for (size_t i = 0; i < n; i++)
        if (write_word(task, &t->slots[i]) != 0)
            return EXIT_FAILURE;
    return 0;
}

int count(struct mu_task *task)
{
    struct table table = {.n_slots = 0};
    size_t size;
    const char *text = mu_task_input(task, &size);
    int packed = is_packed(text, size);
    char *copy = packed ? unpack(text, size, &size) : malloc(size + 1);
    int rc = EXIT_FAILURE;

    if (size == 0)
        rc = 0;
    else if (copy && grow(&table) == 0 &&
             count_text(&table, packed ? copy : text, size, copy) == 0)
        rc = write_sorted(task, &table);
    free(table.slots);
    free(copy);
    return rc;
}

/* -- merging -- */

enum { PARTS_MAX = 16 };

/* A list that is being read: its next word, and the bytes behind it. */
struct list {
    struct word word; /* .text is NULL at the end */
    const char *at;
    const char *end;
};

static void read_word(struct list *l)
{
    const char *tab = memchr(l->at, '\t', (size_t)(l->end - l->at));

    l->word.text = NULL;
    if (!tab)
        return;
    l->word = (struct word){.text = l->at, .length = (uint32_t)(tab - l->at)};
    for (l->at = tab + 1; l->at < l->end && *l->at != '\n'; l->at++)
        l->word.n = l->word.n * 10 + (uint64_t)(*l->at - '0');
    if (l->at < l->end)
        l->at++;
}

/* The smallest word that any list has next, with the sum of its numbers. */
static struct word take_smallest(struct list *lists, size_t n_lists)
{
    struct word least = {.text = NULL};
    uint64_t sum = 0;

    for (size_t i = 0; i < n_lists; i++)
        if (lists[i].word.text &&
            (!least.text || compare_words(&lists[i].word, &least) < 0))
            least = lists[i].word;
    for (size_t i = 0; least.text && i < n_lists; i++)
        while (lists[i].word.text &&
               compare_words(&lists[i].word, &least) == 0) {
            sum += lists[i].word.n;
            read_word(&lists[i]);
        }
    least.n = sum;
    return least;
}

int merge(struct mu_task *task)
{
    struct list lists[PARTS_MAX];
    size_t n_lists = mu_task_n_parts(task);
    struct word word;

    if (n_lists > PARTS_MAX)
        return EXIT_FAILURE;
    for (size_t i = 0; i < n_lists; i++) {
        size_t size;

        lists[i].at = mu_task_part(task, i, &size);
        lists[i].end = lists[i].at + size;
        read_word(&lists[i]);
    }
    while ((word = take_smallest(lists, n_lists)).text)
        if (write_word(task, &word) != 0)
            return EXIT_FAILURE;
    return 0;
}

/* -- a bug, on purpose -- */

static unsigned long *volatile table_of_nothing;

/* A line that begins with "#crash" leads to a table that was never made. */
static void obey(const char *text, size_t size)
{
    static const char order[] = "#crash";

    if (size >= sizeof order && memcmp(text, order, sizeof order - 1) == 0)
        table_of_nothing[size]++;
}

/* As count(), but an input that begins with "#crash" ends its worker. */
int count_or_crash(struct mu_task *task)
{
    size_t size;
    const char *text = mu_task_input(task, &size);

    obey(text, size);
    return count(task);
}
